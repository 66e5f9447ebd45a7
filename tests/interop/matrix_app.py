"""This file is the WSGI application of the matrix: the views of sample.py, and those that are hard for web servers.

Some tell the test how they ended: `box` in their query is the test's socket.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import parse_qs
from wsgiref.validate import validator

from tests.interop import sample
from tests.interop.sample import BLOCK, PATIENCE, View, blocks, pass_gate, text

HOSE = 512  # blocks, 32 MiB together: more than fits into all the buffers between the application and a client
EARLY = 2_000_000  # bytes that are written before the body is read: more than a socket takes
FIRST, SECOND, SHUT = b"data: first\n\n", b"data: second\n\n", b"data: the gate stayed shut\n\n"


def tell(box: str, word: str) -> None:
    """Put a word into the box of the test."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(box)
        sock.sendall(word.encode())


def header_pairs(query: dict[str, list[str]]) -> list[tuple[str, str]]:
    """The headers that a query asks for, as in `header=Name:value`."""
    return [(name, value) for name, _, value in (header.partition(":") for header in query.get("header", ()))]


def events(environ, start_response, query):
    """Two server-sent events; the second is made after the test has opened the gate."""

    def chunks() -> Iterator[bytes]:
        yield FIRST
        yield SECOND if pass_gate(query["gate"][0]) else SHUT

    start_response("200 OK", [("Content-Type", "text/event-stream"), ("X-Accel-Buffering", "no")])
    return chunks()


def hose(environ, start_response, query):
    """A long response; the box is told whether all of it was taken."""

    def chunks() -> Iterator[bytes]:
        word = "left"
        try:
            for _ in range(HOSE):
                yield BLOCK
            word = "whole"
        finally:
            tell(query["box"][0], word)

    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("X-Accel-Buffering", "no")])
    return chunks()


def eager(environ, start_response, query):
    """Writes 2 MB, then reads the body, then says how long it was."""

    def chunks() -> Iterator[bytes]:
        yield b"x" * EARLY
        yield b"%d" % sum(map(len, blocks(environ)))

    start_response("200 OK", [("Content-Type", "text/plain")])
    return chunks()


def take(environ, start_response, query):
    """Reads the body, and tells the box that it has come to its end."""
    size = sum(map(len, blocks(environ)))
    tell(query["box"][0], f"{size} bytes")
    return text(start_response, b"taken\n")


def refuse(environ, start_response, query):
    """An answer to an upload that nobody reads."""
    return text(start_response, b"too large\n", "413 Content Too Large")


def broken(environ, start_response, query):
    """Gives 6 bytes and raises, without having promised a length."""

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        raise LookupError("broken")

    start_response("200 OK", [("Content-Type", "text/plain"), *header_pairs(query)])
    return chunks()


def show(environ, start_response, query):
    """What the application sees of a request: its environ, and from that the words which ASGI has for the same."""
    seen = {name: value for name, value in environ.items() if isinstance(value, str)}
    words = {
        "path": seen["PATH_INFO"],
        "mount": seen["SCRIPT_NAME"],
        "query": seen["QUERY_STRING"],
        "raw_path": seen.get("REQUEST_URI", "").partition("?")[0],
        "scheme": seen["wsgi.url_scheme"],
        "client": [seen.get("REMOTE_ADDR"), int(seen.get("REMOTE_PORT") or 0)],
        "headers": {name[5:].lower().replace("_", "-"): seen[name] for name in seen if name.startswith("HTTP_")},
    }
    return text(start_response, json.dumps({**words, "environ": seen}).encode())


VIEWS: dict[str, View] = {
    **sample.VIEWS,
    **{view.__name__: view for view in (events, hose, eager, take, refuse, broken)},
}


def plain(environ, start_response):
    """The first segment of the path names the view; what names none is shown."""
    view = VIEWS.get(environ["PATH_INFO"].lstrip("/").partition("/")[0], show)
    return (show if view is sample.show else view)(environ, start_response, parse_qs(environ["QUERY_STRING"]))


app = validator(plain)
