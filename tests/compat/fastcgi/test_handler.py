"""This file tests FcgiHandler under the servers of the standard library's socketserver, over real sockets."""

from __future__ import annotations

import contextlib
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Iterator

import pytest

from penstock.client import Client
from penstock.compat.fastcgi import FcgiHandler, ForkingUnixServer, Record, ReuseThreadingServer
from penstock.protocol.spec import Role
from penstock.testing import build
from tests.server.peers import Peer, request


class Echo(FcgiHandler):
    def handle(self):
        self.print("Content-Type: text/plain")
        self.print()
        self["stdout"].write(b"%d " % self.length)
        self.write(self.content().upper().encode())
        self[Record.STDOUT].write(self["data"].read())


@contextlib.contextmanager
def running(server):
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def serving(handler: type[FcgiHandler], kind=socketserver.TCPServer) -> Iterator[str]:
    with running(kind(("127.0.0.1", 0), handler)) as server:
        yield f"127.0.0.1:{server.socket.getsockname()[1]}"


def ask(address: str, *args, **kwargs):
    with Client(address) as client:
        return client.request(*args, **kwargs)


@pytest.mark.parametrize("kind", [socketserver.TCPServer, socketserver.ThreadingTCPServer, ReuseThreadingServer])
def test_it_answers_under_the_tcp_servers(kind):
    with serving(Echo, kind) as address:
        for _ in range(3):
            answer = ask(address, "POST", "/", body=b"abc")
            assert (answer.status, answer.body) == (200, b"3 ABC")


@pytest.mark.parametrize("kind", [socketserver.UnixStreamServer, socketserver.ThreadingUnixStreamServer])
def test_it_answers_under_the_unix_servers(kind, sock_dir):
    with running(kind(f"{sock_dir}/s", Echo)):
        assert ask(f"unix:{sock_dir}/s", "POST", "/", body=b"abc").body == b"3 ABC"


def test_it_answers_under_the_forking_server(programs, processes, sock_dir):
    text = """
from fastcgi import *
class Handler(FcgiHandler):
    def handle(self): self.write(b"Content-Type: text/plain\\r\\n\\r\\n" + self.stdin.read())
with ForkingUnixServer("s", Handler) as server:
    print("ready", flush=True)
    server.serve_forever()
"""
    script = programs.script(text)
    processes.start(sys.executable, script, cwd=sock_dir, env=programs.environ()).wait_for("ready")
    for _ in range(3):
        assert ask(f"unix:{sock_dir}/s", "POST", "/", body=b"abc").body == b"abc"
    assert issubclass(ForkingUnixServer, socketserver.UnixStreamServer)


def test_the_answer_has_its_own_id_and_the_status_of_the_specification():
    with serving(Echo) as address, Peer(connect(address)) as peer:
        answer = peer.send(request("/", b"abc", request_id=7)).answer(7)
        assert (answer.body, answer.ended, answer.app_status, answer.protocol_status) == (b"3 ABC", True, 0, 0)
        assert peer.closed()


def connect(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)))


def test_a_body_of_unknown_length_and_cut_parameters_arrive_whole():
    with serving(Echo) as address, Peer(connect(address)) as peer:
        sent = request("/", b"x" * 100_000, length=None, extra={"HTTP_X_LONG": "y" * 9000})
        assert peer.send(build.recut(sent, (1, 700))).answer().body == b"100000 " + b"X" * 100_000


def test_get_values_is_answered_and_a_connection_without_a_request_is_forgotten():
    with serving(Echo) as address:
        with Client(address) as client:
            assert "FCGI_MAX_REQS" in client.values()
        connect(address).close()
        assert ask(address, "GET", "/").body == b"0 "


def test_the_headers_that_fastai_s_handlers_look_at_are_there():
    class Look(FcgiHandler):
        def handle(self):
            names = ("QUERY_STRING", "HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH", "CONTENT_LENGTH")
            self.print("Content-Type: text/plain\r\n")
            self.print(" ".join(self.environ.get(name, "-") for name in names))

    with serving(Look) as address:
        assert ask(address, "POST", "/?q", [("Content-Type", "a/b")], b"abc").body == b"q a/b 3 3\r\n"
        assert ask(address, "GET", "/").body == b" - - -\r\n"


def test_a_filter_has_its_data():
    with serving(Echo) as address:
        assert ask(address, "POST", "/", body=b"abc", role=Role.FILTER, data=b"data").body == b"3 ABCdata"


def test_a_handler_that_fails_is_a_500_and_what_it_says_on_stderr_is_logged(caplog):
    class Fail(FcgiHandler):
        def handle(self):
            self.err("a note")
            self.print("Content-Type: text/plain\r\n")
            raise LookupError("on purpose")

    with serving(Fail) as address, caplog.at_level(logging.ERROR, "penstock"):
        answer = ask(address, "GET", "/")
    assert (answer.status, answer.stderr) == (500, b"")
    assert "a note" in caplog.text
    assert "LookupError: on purpose" in caplog.text


def test_a_handler_that_says_nothing_is_a_500(caplog):
    with serving(FcgiHandler) as address:
        assert ask(address, "GET", "/").status == 500


def test_setup_and_finish_may_be_overridden():
    class Hooks(FcgiHandler):
        def setup(self):
            super().setup()
            self.print("Content-Type: text/plain\r\n")

        def finish(self):
            self.stdout.write(b"finished")
            super().finish()

    with serving(Hooks) as address:
        assert ask(address, "GET", "/").body == b"finished"


def test_rfile_and_wfile_get_a_sentence(caplog):
    class Raw(FcgiHandler):
        def handle(self):
            self.wfile.write(b"x")

    with serving(Raw) as address:
        assert ask(address, "GET", "/").status == 500
    assert "use self['stdin'] and self['stdout']" in caplog.text
