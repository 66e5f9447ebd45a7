"""This file tests MinimalHTTPHandler with an HTTP client, over real sockets."""

from __future__ import annotations

import http.client
import socket
import socketserver

import pytest

from penstock.compat.fastcgi import HandlerException, MinimalHTTPHandler
from tests.compat.fastcgi.test_handler import running


class Hello(MinimalHTTPHandler):
    def handle(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200, "OK")
        self.send_header("Content-Type", "text/plain")
        self.end_headers()
        self.wfile.write(f"{self.command} {self.path} {self.request_version} ".encode() + body)


def raw(address, data: bytes) -> bytes:
    with socket.create_connection(address) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: sock.recv(65536), b""))


def test_it_answers_a_request():
    with running(socketserver.TCPServer(("127.0.0.1", 0), Hello)) as server:
        client = http.client.HTTPConnection(*server.server_address)
        client.request("POST", "/a?b", b"body")
        answer = client.getresponse()
        assert (answer.status, answer.reason, answer.version) == (200, "OK", 10)
        assert answer.read() == b"POST /a?b HTTP/1.1 body"
        client.close()


@pytest.mark.parametrize(
    ("sent", "status"),
    [(b"nonsense\r\n\r\n", 400), (b"GET /" + b"x" * 65536 + b" HTTP/1.1\r\n", 414)],
)
def test_a_head_that_is_wrong_is_refused_and_handle_is_not_called(sent, status):
    with running(socketserver.TCPServer(("127.0.0.1", 0), Hello)) as server:
        assert raw(server.server_address, sent).startswith(b"HTTP/1.0 %d " % status)


def test_a_connection_without_a_request_is_not_answered():
    with running(socketserver.TCPServer(("127.0.0.1", 0), Hello)) as server:
        assert raw(server.server_address, b"") == b""


def test_setup_ex_may_be_overridden():
    class Own(Hello):
        def setup_ex(self, e):
            self.wfile.write(b"own %d" % e.code)

    with running(socketserver.TCPServer(("127.0.0.1", 0), Own)) as server:
        assert raw(server.server_address, b"nonsense\r\n") == b"own 400"


def test_a_header_cannot_bring_another_one():
    class Split(MinimalHTTPHandler):
        def handle(self):
            try:
                self.send_header("X", "a\r\nSet-Cookie: b")
            except ValueError as error:
                self.wfile.write(str(error).encode())

    with running(socketserver.TCPServer(("127.0.0.1", 0), Split)) as server:
        assert b"cannot stand in the head" in raw(server.server_address, b"GET / HTTP/1.0\r\n\r\n")


def test_the_exception_keeps_code_and_reason():
    error = HandlerException(404, "nothing there")
    assert (error.code, error.err) == (404, "nothing there")
