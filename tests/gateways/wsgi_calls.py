"""This file runs WSGI applications in memory, for tests of the gateway: plain, and between the validator's two ears."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from wsgiref.validate import validator

import pytest

from penstock.gateways.request import Disconnected, Request
from penstock.gateways.webserver import cgi_params
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.spec import Role
from penstock.testing import MemoryRequest
from tests.gateways.responses import parse

PLAIN = [("Content-Type", "text/plain")]


def run(app, method: str = "GET", url: str = "/", body: bytes = b"", headers=()) -> MemoryRequest:
    """Run `app` for one request and return the request, with all that was answered."""
    request = MemoryRequest(cgi_params(method, url, headers, content_length=len(body) if body else None), body)
    gateway(app)(request)
    return request


def gateway(app) -> WSGIGateway:
    """A gateway that names its failures ref1, ref2, ..."""
    numbers = itertools.count(1)
    return WSGIGateway(app, new_reference=lambda: f"ref{next(numbers)}")


def answer(request: MemoryRequest) -> tuple[str, dict[str, str], bytes]:
    """Status, headers and body of a response that was ended once and is whole."""
    assert request.ended
    assert not request.aborted
    status, fields, body = parse(request.output)
    assert len({name.lower() for name, _ in fields}) == len(fields)
    return status, dict(fields), body


class Chunks:
    """A response that is no list, and that counts what is done to it.

    Args:
        chunks: what it gives; an exception among them is raised.
        closing: raised by close().
    """

    def __init__(self, chunks: Iterable[object], closing: BaseException | None = None) -> None:
        self._chunks = iter(chunks)
        self._closing = closing
        self.asked = 0
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        assert not self.closed, "asked for a chunk after close()"
        self.asked += 1
        chunk = next(self._chunks)
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk  # type: ignore[return-value]

    def close(self) -> None:
        self.closed += 1
        if self._closing is not None:
            raise self._closing


def responding(result: object, status: str = "200 OK", headers=PLAIN) -> Callable[..., Iterable[bytes]]:
    """An application that answers every request alike."""

    def app(environ, start_response):
        start_response(status, list(headers))
        return result

    return app


class Leaving(Request):
    """A request whose web server is gone after some writes."""

    def __init__(self, writes: int) -> None:
        super().__init__(Role.RESPONDER, MemoryRequest(cgi_params("GET", "/")).params)
        self.left = writes
        self.broken_off = False

    def write(self, data: bytes | memoryview) -> None:
        if not self.left:
            raise Disconnected("the web server has closed the connection")
        self.left -= 1

    def finish(self, data: bytes | memoryview = b"") -> None:
        self.write(data)

    def abort(self) -> None:
        self.broken_off = True


def validated(app):
    """The application as wsgiref's validator lets it through; it judges the gateway too."""
    return validator(app)


def plain(app):
    """The application as it is."""
    return app


BOTH_WAYS = pytest.mark.parametrize("via", [plain, validated])
"""The validator hides what a response is made of, so each rule has to hold without it as well."""
