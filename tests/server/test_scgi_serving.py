"""Tests of both servers with SCGI in FastCGI's place: one request a connection, whose end is the response's."""

from __future__ import annotations

import socket

import pytest

import penstock
from penstock.gateways.webserver import Response, ResponseReader, cgi_params
from penstock.protocol.scgi import encode_header
from tests.processes import PATIENCE
from tests.server.asgi_apps import answer, http_only, read_all
from tests.server.peers import echo


@http_only
async def async_echo(_scope, receive, send):
    await answer(send, await read_all(receive))


@pytest.fixture(params=["1 thread", "4 threads", "event loop"])
def running(request, sock_dir, quick_end):
    """A server that echoes."""
    app = async_echo if request.param == "event loop" else echo
    threads = 4 if request.param == "4 threads" else 1
    with penstock.Server(app, f"unix:{sock_dir}/s", protocol="scgi", threads=threads, max_body=100_000) as server:
        yield server


def connect(server: penstock.Server) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(server.address.removeprefix("unix:"))
    return sock


def wire(body: bytes = b"", **params: str) -> bytes:
    made = cgi_params("POST", "/") | params
    return encode_header([(name.encode(), value.encode("latin-1")) for name, value in made.items()], len(body)) + body


def read_to_end(sock: socket.socket) -> Response:
    reader = ResponseReader()
    body = b""
    while data := sock.recv(65536):
        body += reader.feed(data)
    return Response(reader.finish(), body)


def ask(server: penstock.Server, *pieces: bytes) -> Response:
    with connect(server) as sock:
        for piece in pieces:
            sock.sendall(piece)
        return read_to_end(sock)


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_a_request_is_answered_and_the_connection_closed(running, size):
    body = b"x" * size
    for _ in range(3):
        response = ask(running, wire(body))
        assert (response.status, response.body) == (200, body)


def test_a_request_may_come_in_drops(running):
    request = wire(b"0123456789")
    assert ask(running, *(request[at : at + 1] for at in range(len(request)))).body == b"0123456789"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (wire(b"x" * 100_001), 413),
        (wire(HTTP_X="x" * 1_100_000), 431),
        (encode_header([], 0), 500),  # without REQUEST_METHOD
    ],
)
def test_what_is_refused_is_answered(running, sent, status):
    assert ask(running, sent).status == status
    assert ask(running, wire(b"next")).body == b"next"


def test_what_is_no_scgi_is_closed(running, caplog):
    with connect(running) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(100) == b""
    assert "closed for a protocol error" in caplog.text
    assert ask(running, wire(b"next")).body == b"next"
