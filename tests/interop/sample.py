"""This file is the WSGI application behind the web servers of the tests: each path does one thing that is hard to do.

`penstock serve tests/interop/sample.py` has wsgiref.validate judge every request; with `sample.py:plain` nobody does.
"""

from __future__ import annotations

import hashlib
import json
import socket
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import parse_qs
from wsgiref.validate import validator

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
View = Callable[[Environ, StartResponse, dict[str, list[str]]], Iterable[bytes]]

BLOCK = b"0123456789abcdef" * 4096
PATIENCE = 20.0


def pass_gate(path: str) -> bool:
    """Tell the test at `path` that we are here, and wait until it lets us on; false when it does not in time."""
    with socket.socket(socket.AF_UNIX) as gate:
        gate.settimeout(PATIENCE)
        gate.connect(path)
        try:
            return gate.recv(1) == b""
        except TimeoutError:
            return False


class Tracked:
    """An iterable that says on `wsgi.errors` when its close() is called."""

    def __init__(self, chunks: Iterator[bytes], environ: Environ, name: str) -> None:
        self._chunks = chunks
        self._errors = environ["wsgi.errors"]
        self._name = name

    def __iter__(self) -> Iterator[bytes]:
        return self._chunks

    def close(self) -> None:
        self._errors.write(f"closed {self._name}\n")
        self._errors.flush()


def text(start_response: StartResponse, body: bytes, status: str = "200 OK") -> Iterable[bytes]:
    start_response(status, [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def hello(environ, start_response, query):
    return text(start_response, b"hello, world\n")


def blocks(environ: Environ) -> Iterator[bytes]:
    while block := environ["wsgi.input"].read(len(BLOCK)):
        yield block


def echo(environ, start_response, query):
    """What became of the body: its length and SHA-256, and what CONTENT_LENGTH said."""
    size, digest = 0, hashlib.sha256()
    for block in blocks(environ):
        size += len(block)
        digest.update(block)
    said = {"length": size, "sha256": digest.hexdigest(), "content_length": environ.get("CONTENT_LENGTH")}
    return text(start_response, json.dumps(said).encode())


def lazily(environ, start_response, query):
    """Reads the body only while its own response is iterated, and says when it is closed."""

    def chunks() -> Iterator[bytes]:
        for block in blocks(environ):
            yield f"{len(block)}\n".encode()

    start_response("200 OK", [("Content-Type", "text/plain")])
    return Tracked(chunks(), environ, query["name"][0])


def show(environ, start_response, query):
    """The environ as JSON."""
    body = json.dumps({name: value for name, value in environ.items() if isinstance(value, str)}).encode()
    return text(start_response, body)


def answer(environ, start_response, query):
    """Any status, headers (`header=Name:value`) and body that the query asks for."""
    headers = [(name, value) for name, _, value in (header.partition(":") for header in query.get("header", ()))]
    body = query.get("body", [""])[0].encode()
    status = query["status"][0]
    if not status.startswith(("204", "304")):
        headers.append(("Content-Type", "text/plain"))
    start_response(status, headers)
    return [body] if body else []


def wide(environ, start_response, query):
    """A head of about `bytes` bytes."""
    wanted = int(query["bytes"][0])
    headers = [(f"X-Wide-{number}", "w" * 80) for number in range(wanted // 94)]
    start_response("200 OK", [("Content-Type", "text/plain"), *headers])
    return [b"wide"]


def stream(environ, start_response, query):
    """Two chunks; the second is made after the test has opened the gate, or it says that the gate stayed shut."""

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        yield b"second\n" if pass_gate(query["gate"][0]) else b"the gate stayed shut\n"

    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Accel-Buffering", "no")])
    return chunks()


def endless(environ, start_response, query):
    """A response without an end; says when it is closed."""

    def chunks() -> Iterator[bytes]:
        while True:
            yield BLOCK

    start_response("200 OK", [("Content-Type", "application/octet-stream")])
    return Tracked(chunks(), environ, query["name"][0])


def wait(environ, start_response, query):
    """Stands at the gate until the test opens it."""
    for _ in blocks(environ):
        pass
    return text(start_response, b"passed\n" if pass_gate(query["gate"][0]) else b"the gate stayed shut\n")


def early(environ, start_response, query):
    raise LookupError(query["name"][0])


def midway(environ, start_response, query):
    """Promises 100,000 bytes, gives 6, and raises."""

    def chunks() -> Iterator[bytes]:
        yield b"first\n"
        raise LookupError(query["name"][0])

    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "100000")])
    return Tracked(chunks(), environ, query["name"][0])


def say(environ, start_response, query):
    environ["wsgi.errors"].write(query["name"][0] + "\n")
    environ["wsgi.errors"].flush()
    return text(start_response, b"said\n")


VIEWS: dict[str, View] = {
    view.__name__: view for view in (hello, echo, lazily, show, answer, wide, stream, endless, wait, early, midway, say)
}


def plain(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
    """The first segment of the path names the view."""
    view = VIEWS.get(environ["PATH_INFO"].lstrip("/").partition("/")[0])
    if view is None:
        return text(start_response, b"no such view\n", "404 Not Found")
    return view(environ, start_response, parse_qs(environ["QUERY_STRING"]))


app = validator(plain)
