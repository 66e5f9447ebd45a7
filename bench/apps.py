"""The WSGI applications every Python peer serves, one per load: ``hello``, ``page`` and ``upload``.

They stay small and import nothing at their head: what is measured is the server around them, and what one load needs
(a hash library, say) must not stand in the memory figures of another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from wsgiref.types import StartResponse, WSGIEnvironment

HELLO = (b"Hello from a small application behind nginx.\n" * 4)[:140]

# One page of 12,288 bytes in five unequal pieces, as a template engine that yields its blocks hands it over.
PAGE_SIZES = (512, 2048, 4096, 4096, 1536)
PAGE = tuple((b"<p>penstock bench, block %d</p>\n" % number * 160)[:size] for number, size in enumerate(PAGE_SIZES))

BLOCK = 65536


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:  # noqa: ARG001
    """Answer 140 bytes of plain text of known length."""
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", "140")])
    return [HELLO]


def page(environ: WSGIEnvironment, start_response: StartResponse) -> Iterator[bytes]:
    """Answer 12 KB in five chunks; the cookie repeats the request's ``X-Last``, so lost headers are noticed."""
    cookie = "last=" + environ.get("HTTP_X_LAST", "missing") + "; Path=/; HttpOnly"
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Set-Cookie", cookie)])
    yield from PAGE


def upload(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """Read the body in blocks and answer its SHA-256 in hexadecimal."""
    import hashlib

    digest = hashlib.sha256()
    left = int(environ["CONTENT_LENGTH"])
    read = environ["wsgi.input"].read
    while left > 0 and (block := read(min(left, BLOCK))):
        digest.update(block)
        left -= len(block)
    answer = digest.hexdigest().encode("ascii")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
