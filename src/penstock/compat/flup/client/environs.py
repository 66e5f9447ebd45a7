"""This file makes parameters of a WSGI environ, and a WSGI response of what an application has answered."""

# ruff: noqa: N802, N815 - flup's names

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

from penstock.gateways.webserver import ResponseReader

_CHUNK = 65528


class GatewayApp:
    """What flup's clients share: the choice of what goes into a request, which programs change on the class.

    Attributes:
        _environPrefixes: beginnings of the names that are passed on.
        _environCopies: names that are passed on.
        _environRenames: names that are passed on under another one.
    """

    _environPrefixes: ClassVar[list[str]] = ["SERVER_", "HTTP_", "REQUEST_", "REMOTE_", "PATH_", "CONTENT_"]
    _environCopies: ClassVar[list[str]] = ["SCRIPT_NAME", "QUERY_STRING", "AUTH_TYPE"]
    _environRenames: ClassVar[dict[str, str]] = {}
    _filterEnviron = True

    def _params(self, environ: dict[str, Any]) -> dict[str, str]:
        """What of the environ is sent."""
        return self._defaultFilterEnviron(environ) if self._filterEnviron else self._lightFilterEnviron(environ)

    def _defaultFilterEnviron(self, environ: dict[str, Any]) -> dict[str, Any]:
        prefixes = tuple(self._environPrefixes)
        found = {name: value for name, value in environ.items() if name.startswith(prefixes)}
        found |= {name: environ[name] for name in self._environCopies if name in environ}
        return found | {new: environ[old] for old, new in self._environRenames.items() if old in environ}

    def _lightFilterEnviron(self, environ: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in environ.items() if name.upper() == name}


def as_bytes(text: object) -> bytes:
    """A parameter's name or value: bytes, native text (PEP 3333), or other text as UTF-8; a number as its digits."""
    if isinstance(text, bytes):
        return text
    try:
        return str(text).encode("latin-1")
    except UnicodeEncodeError:
        return str(text).encode("utf-8", "surrogateescape")


def content_length(environ: dict[str, Any]) -> int:
    """Bytes of the request body; 0 where none is announced.

    Raises:
        ValueError: CONTENT_LENGTH is no number.
    """
    return int(environ.get("CONTENT_LENGTH") or 0)


def read_body(environ: dict[str, Any]) -> Iterator[bytes]:
    """The body, piece by piece, as long as CONTENT_LENGTH says.

    Raises:
        EOFError: it is shorter; sending half of a body for a whole one would be a lie.
    """
    left = content_length(environ)
    while left > 0:
        piece = environ["wsgi.input"].read(min(left, _CHUNK))
        if not piece:
            raise EOFError(f"wsgi.input ended {left} bytes before the CONTENT_LENGTH")
        left -= len(piece)
        yield piece


def answer(output: bytes, start_response: Callable[..., object]) -> list[bytes]:
    """Make a WSGI response of a CGI response; header names come in lower case, as flup gives them.

    Raises:
        MalformedHead: it is none.
    """
    reader = ResponseReader()
    body = reader.feed(output)
    head = reader.finish()
    start_response(f"{head.status} {head.reason}", [(name.lower(), value) for name, value in head.headers])
    return [body]
