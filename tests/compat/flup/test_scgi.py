"""This file tests flup's SCGI servers, and with them penstock's own server when its connections speak SCGI."""

from __future__ import annotations

import io
import logging
import os
import socket
from http.client import HTTPConnection
from pathlib import Path

import pytest

from penstock.compat.flup.client.scgi_app import SCGIApp
from penstock.compat.flup.server import NoDefault, scgi, scgi_base, scgi_fork
from penstock.connection import scgi as scgi_connection
from penstock.connection.limits import Limits
from penstock.connection.scgi import ScgiConnection
from penstock.gateways.webserver import Response, ResponseReader, cgi_params
from penstock.protocol.scgi import encode_header
from tests.compat.flup.live import PLAIN, answer, entries, hello, live, show
from tests.interop.nginx import start_scgi
from tests.processes import PATIENCE, Processes
from tests.server.peers import Gate


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", PLAIN)
    return [body]


def wire(method: str = "GET", url: str = "/", body: bytes = b"", length: int | None = None, **params: str) -> bytes:
    """A whole request."""
    made = cgi_params(method, url) | params
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in made.items()]
    return encode_header(pairs, len(body) if length is None else length) + body


def read_all(sock: socket.socket) -> Response:
    """The response, which ends where the connection does."""
    reader = ResponseReader()
    body = b""
    while data := sock.recv(65536):
        body += reader.feed(data)
    return Response(reader.finish(), body)


def ask(running, *args, **kwargs) -> Response:
    with running.connect() as peer:
        peer.sock.sendall(wire(*args, **kwargs))
        return read_all(peer.sock)


@pytest.fixture
def serve(sock_dir):
    """Runs an SCGI server."""

    def serve(application, **options):
        return live(scgi.WSGIServer(application, bindAddress=f"{sock_dir}/s", **options))

    return serve


def test_a_request_is_answered_and_the_connection_closed(serve):
    with serve(hello) as running:
        response = ask(running)
        assert (response.status, response.body, response.get("Content-Length")) == (200, b"hello", "5")


@pytest.mark.parametrize("size", [1, 100_000, 5_000_000])
def test_bodies_of_any_size_go_both_ways(serve, size):
    body = os.urandom(1000) * (size // 1000) or b"x"
    with serve(echo) as running, running.connect() as peer:
        app = SCGIApp(connect=running.address.removeprefix("unix:"))
        said = []
        environ = cgi_params("POST", "/") | {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body)}
        assert app(environ, lambda *args: said.append(args)) == [body]
        assert said[0][0] == "200 OK"
        assert peer.sock.fileno() > 0  # an idle connection holds nobody up


def test_a_request_may_come_in_drops(serve):
    request = wire("POST", "/x", b"0123456789")
    with serve(echo) as running, running.connect() as peer:
        for at in range(len(request)):
            peer.sock.sendall(request[at : at + 1])
        assert read_all(peer.sock).body == b"0123456789"


def test_a_client_may_close_its_side_behind_the_request(serve):
    with serve(echo) as running, running.connect() as peer:
        peer.sock.sendall(wire("POST", "/", b"body"))
        peer.sock.shutdown(socket.SHUT_WR)
        assert read_all(peer.sock).body == b"body"


def test_paths_come_from_the_request_uri_where_nothing_else_tells(serve):
    with serve(show) as running, running.connect() as peer:
        peer.sock.sendall(encode_header([(b"REQUEST_METHOD", b"GET"), (b"REQUEST_URI", b"/a%20b?c=d")], 0))
        found = entries(read_all(peer.sock))
        assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("", "/a b")
        assert (found["SCGI"], found["CONTENT_LENGTH"], found["FCGI_ROLE"]) == ("1", "0", "RESPONDER")


_HEADER = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00CONTENT_LENGTH\x007\x00"
TWO_LENGTHS = b"%d:%b,GET / S" % (len(_HEADER), _HEADER)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"101:" + b"x" * 10, 431),
        (TWO_LENGTHS, 400),
        (encode_header([], 0), 500),  # without REQUEST_METHOD, as a web server that is set up wrong
        (wire().replace(b"CONTENT_LENGTH\x000\x00", b"CONTENT_LENGTH\0x\0"), 400),
    ],
)
def test_what_can_be_answered_is_answered(serve, sent, status, monkeypatch, caplog):
    if status == 431:
        monkeypatch.setattr(scgi_connection, "ScgiConnection", lambda *_: ScgiConnection(Limits(params=100)))
    with serve(hello) as running, running.connect() as peer:
        peer.sock.sendall(sent)
        assert read_all(peer.sock).status == status


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\n\r\n", b"5:abcdeX", b"\x01\x01\x00\x01\x00\x08\x00\x00"])
def test_what_is_no_scgi_is_closed_with_a_line_in_the_log(serve, sent, caplog):
    with serve(hello) as running:
        with running.connect() as peer:
            peer.sock.sendall(sent)
            assert peer.closed()
        assert ask(running).status == 200
    assert "closed for a protocol error" in caplog.text


def test_a_body_that_is_shorter_than_announced_reaches_nobody(serve, caplog):
    called = []

    def application(environ, start_response):
        called.append(1)
        return hello(environ, start_response)

    with serve(application) as running:
        with running.connect() as peer:
            peer.sock.sendall(wire("POST", "/", b"half", length=100))
            peer.sock.shutdown(socket.SHUT_WR)
            assert peer.closed()
        assert ask(running).status == 200
    assert called == [1]


def test_an_answer_before_the_body_arrives_though_bytes_are_on_their_way(serve, monkeypatch):
    with serve(hello) as running, running.connect() as peer:
        peer.sock.sendall(wire("POST", "/", b"x" * 100_000) + b"y" * 100_000)
        assert read_all(peer.sock).body == b"hello"


def test_a_failure_is_a_500_or_with_debug_a_traceback(serve, caplog):
    def application(environ, start_response):
        raise LookupError("on purpose")

    with serve(application) as running:
        response = ask(running)
        assert (response.status, b"purpose" in response.body) == (500, False)
    with serve(application, debug=True) as running:
        response = ask(running)
        assert (response.status, b"purpose" in response.body) == (500, True)


def test_a_running_request_is_finished_when_the_server_stops(serve):
    gate = Gate()

    def application(environ, start_response):
        gate()
        return hello(environ, start_response)

    with serve(application) as running, running.connect() as peer:
        peer.sock.sendall(wire())
        gate.arrivals()
        running.server._exit()
        gate.open()
        assert read_all(peer.sock).body == b"hello"
        assert running.join() is False


# -- flup's options and hooks


def test_a_script_name_of_the_server_splits_the_path(sock_dir):
    def asked(script_name, **params):
        with live(scgi.WSGIServer(show, script_name, bindAddress=f"{sock_dir}/s")) as running:
            found = entries(ask(running, **params))
            return found["SCRIPT_NAME"], found["PATH_INFO"]

    assert asked("/app", SCRIPT_NAME="/app/x", PATH_INFO="") == ("/app", "/x")
    assert asked("", SCRIPT_NAME="/app", PATH_INFO="/x") == ("", "/app/x")
    for unsaid in (None, NoDefault):
        assert asked(unsaid, SCRIPT_NAME="/app", PATH_INFO="/x") == ("/app", "/x")


def test_no_request_variable_configures_the_server(serve):
    # flup obeys WSGI_SCRIPT_NAME
    with serve(show) as running:
        found = entries(ask(running, SCRIPT_NAME="/app", PATH_INFO="/x", WSGI_SCRIPT_NAME="/a"))
        assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("/app", "/x")


def test_the_environments_allow_list_is_fastcgis_and_not_scgis(monkeypatch):
    monkeypatch.setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1")
    with live(scgi.WSGIServer(hello, bindAddress=("127.0.0.1", 0))) as running:
        assert ask(running).status == 200
    assert scgi_base.BaseSCGIServer(hello)._allowed() == ["127.0.0.1"]


def test_an_address_that_is_taken_is_logged_and_run_returns_false(caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = scgi.WSGIServer(hello, bindAddress=taken.getsockname())
        assert server.run() is False
    assert "Failed to bind socket" in caplog.text


def test_requests_are_logged_under_flups_name(caplog):
    caplog.set_level(logging.DEBUG)
    server = scgi.WSGIServer(hello, loggingLevel=logging.DEBUG)
    answer(server, "GET", "/x", SCRIPT_NAME="/app")
    assert [record.name for record in caplog.records] == ["scgi-wsgi"] * 2
    assert caplog.records[0].getMessage() == "GET /app/x"
    assert "done (" in caplog.records[1].getMessage()
    caplog.clear()
    answer(scgi.WSGIServer(hello, loggingLevel=logging.WARNING))
    assert caplog.records == []


def test_hooks_see_environ_and_files():
    class Server(scgi.WSGIServer):
        def handler(self, request):
            if request.environ["PATH_INFO"] == "/raw":
                request.stdout.write(b"Status: 202 Taken\r\nContent-Type: text/plain\r\n\r\n" + request.stdin.read())
                return
            if request.environ["PATH_INFO"] == "/fail":
                raise LookupError("on purpose")
            request.environ["ADDED"] = "1"
            scgi.WSGIServer.handler(self, request)

        def error(self, request):
            request.logger.warning("error() of the program")
            request.stdout.write("Status: 503 Later\r\nContent-Type: text/plain\r\n\r\nlater")

    server = Server(show)
    assert answer(server, "POST", "/raw", b"body")[:2] == (
        (202, "Taken", [("Content-Type", "text/plain")]),
        b"body",
    )
    assert entries(answer(server))["ADDED"] == "1"
    assert answer(server, "GET", "/fail").status == 503


def test_programs_may_put_their_own_request_class():
    class Request(scgi_base.Request):
        def run(self):
            self.environ["FROM"] = "mine"
            scgi_base.Request.run(self)

    class Server(scgi.WSGIServer):
        requestClass = Request  # noqa: N815 - flup's name

    assert entries(answer(Server(show)))["FROM"] == "mine"


def test_the_forking_server_promises_a_process_for_itself(sock_dir):
    with live(scgi_fork.WSGIServer(show, bindAddress=f"{sock_dir}/s")) as running:
        found = entries(ask(running))
        assert (found["wsgi.multithread"], found["wsgi.multiprocess"]) == ("False", "True")


# -- behind a real web server


@pytest.fixture
def behind_nginx(nginx: str, sock_dir: Path, processes: Processes):
    """Starts nginx in front of the SCGI socket; a connection to it."""
    port = start_scgi(processes, nginx, sock_dir, f"{sock_dir}/s")
    connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    yield connection
    connection.close()


def test_nginx_asks_over_scgi(serve, behind_nginx):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/show":
            return show(environ, start_response)
        return echo(environ, start_response)

    body = os.urandom(300_000)
    with serve(application) as running:
        assert running
        behind_nginx.request("GET", "/show?a=%20b", headers={"X-Name": "value"})
        found = dict(line.split("=", 1) for line in behind_nginx.getresponse().read().decode().splitlines())
        assert (found["SCRIPT_NAME"], found["PATH_INFO"], found["QUERY_STRING"]) == ("", "/show", "a=%20b")
        assert found["HTTP_X_NAME"] == "value"
        for method in ("POST", "PUT"):
            behind_nginx.request(method, "/echo", body)
            response = behind_nginx.getresponse()
            assert (response.status, response.read()) == (200, body)
        behind_nginx.request("HEAD", "/echo")
        response = behind_nginx.getresponse()
        assert (response.status, response.read()) == (200, b"")
