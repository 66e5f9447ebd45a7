"""This file is flup.middleware.gzip: WSGI middleware that compresses responses."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, final

from penstock.gateways.compression import accepts_gzip, compressed, is_compressible, vary_by_encoding
from penstock.gateways.wsgi import ExcInfo, WSGIApplication

__all__ = ["GzipMiddleware"]

MIME_TYPES: Final = ("text/", r"application/(?:.+\+)?xml$")
_GZIP_FORMAT: Final = 31  # zlib's window of 32 KiB, with gzip's header and trailer around it


class GzipMiddleware:
    """Compresses what clients want compressed, without holding pieces back for longer than zlib does.

    Args:
        application: a WSGI application.
        mime_types: regular expressions for the beginning of content types; text and XML by default.
        compress_level: 1 (fast) to 9 (small).
    """

    def __init__(
        self, application: WSGIApplication, mime_types: Sequence[str] | None = None, compress_level: int = 9
    ) -> None:
        self._application = application
        self._mime_types = [re.compile(pattern) for pattern in (MIME_TYPES if mime_types is None else mime_types)]
        self._compress_level = compress_level

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """PEP 3333."""
        if environ.get("REQUEST_METHOD") == "HEAD" or not accepts_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            return self._application(environ, start_response)
        gzip = _Gzip(start_response, self._mime_types, self._compress_level)
        result = self._application(environ, gzip.start_response)
        if type(result) in (list, tuple):
            return [gzip.compress(b"".join(map(_as_bytes, result))) + gzip.end()]
        return _Pieces(result, gzip)


@final
class _Gzip:
    """One response that is compressed, or not: its content type tells."""

    def __init__(self, start_response: Callable[..., Any], mime_types: list[re.Pattern[str]], level: int) -> None:
        self._start_response = start_response
        self._mime_types = mime_types
        self._level = level
        self._zlib: Any = None

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        kind = next((value for name, value in headers if name.lower() == "content-type"), "").partition(";")[0].strip()
        self._zlib = None
        if any(pattern.match(kind) for pattern in self._mime_types):
            headers = vary_by_encoding(headers)
            # Text or not is for the patterns to say; all else that forbids compression is known below.
            rest = [(name, value) for name, value in headers if name.lower() != "content-type"]
            if status[:3] not in ("204", "304") and is_compressible(
                int(status[:3]), [*rest, ("Content-Type", "text/x")]
            ):
                headers = compressed(headers)
                self._zlib = zlib.compressobj(self._level, zlib.DEFLATED, _GZIP_FORMAT)
        write = self._start_response(status, headers, *([exc_info] if exc_info else []))
        return lambda data: write(self.compress(data))

    def compress(self, data: bytes | str) -> bytes:
        data = _as_bytes(data)
        return data if self._zlib is None else self._zlib.compress(data)

    def end(self) -> bytes:
        return b"" if self._zlib is None else self._zlib.flush()


@final
class _Pieces:
    """An application's iterable: a piece for each of its pieces, and one more for what zlib still has."""

    def __init__(self, result: Iterable[bytes], gzip: _Gzip) -> None:
        self._iterator = iter(result)
        self._gzip = gzip
        self._ended = False
        if hasattr(result, "close"):
            self.close = result.close

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        if self._ended:
            raise StopIteration
        try:
            return self._gzip.compress(next(self._iterator))
        except StopIteration:
            self._ended = True
            return self._gzip.end()


def _as_bytes(data: bytes | str) -> bytes:
    return data.encode("latin-1") if isinstance(data, str) else data
