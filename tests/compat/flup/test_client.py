"""This file tests flup's client applications: what they send, what they give back, and what programs change on them."""

from __future__ import annotations

import io
import os
import socket
import struct
import threading

import pytest

from penstock.compat.flup.client import fcgi_app, scgi_app, transfer
from penstock.compat.flup.client.fcgi_app import FCGIApp, Record, decode_pair, encode_pair
from penstock.compat.flup.client.scgi_app import SCGIApp
from penstock.compat.flup.server import fcgi, scgi
from penstock.gateways.webserver import MalformedHead, cgi_params
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from tests.compat.flup.live import PLAIN, hello, live, show

KINDS = {"fcgi": (fcgi.WSGIServer, FCGIApp), "scgi": (scgi.WSGIServer, SCGIApp)}


@pytest.fixture(params=list(KINDS))
def pair(request, sock_dir):
    """Runs an application and asks it through the client: `(application, environ) -> status, headers, body`."""
    server_class, app_class = KINDS[request.param]

    def ask(application, environ=(), app_class=app_class, **options):
        said: list = []
        made = cgi_params("GET", "/") | {"wsgi.input": io.BytesIO()} | dict(environ)
        with live(server_class(application, bindAddress=f"{sock_dir}/s")):
            body = b"".join(app_class(connect=f"{sock_dir}/s", **options)(made, lambda *args: said.append(args)))
        assert len(said) == 1
        return (*said[0], body)

    ask.app_class = app_class  # type: ignore[attr-defined]
    return ask


def seen(answer) -> dict[str, str]:
    return dict(line.split("=", 1) for line in answer[2].decode("latin-1").splitlines())


def test_the_response_is_given_on_in_native_strings_with_lower_case_names(pair):
    status, headers, body = pair(hello)
    assert status == "200 OK"
    assert ("content-length", "5") in headers
    assert ("content-type", "text/plain") in headers
    assert body == b"hello"


def test_a_body_is_sent_as_long_as_content_length_says(pair):
    def echo(environ, start_response):
        start_response("200 OK", PLAIN)
        return [environ["wsgi.input"].read()]

    body = os.urandom(200_000)
    given = {"CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body + b"more")}
    assert pair(echo, given)[2] == body


def test_a_body_that_ends_too_early_is_an_error_and_no_shorter_body(pair):
    with pytest.raises(EOFError, match="6 bytes before"):
        pair(hello, {"CONTENT_LENGTH": "10", "wsgi.input": io.BytesIO(b"half")})


def test_parameters_of_more_than_a_record_are_sent(pair):
    # flup's header field for the length has 16 bits
    found = seen(pair(show, {"HTTP_X_LONG": "x" * 200_000, "HTTP_X_MORE": "y" * 70_000}))
    assert (found["HTTP_X_LONG"], found["HTTP_X_MORE"]) == ("x" * 200_000, "y" * 70_000)


def test_the_filter_sends_what_its_lists_name(pair):
    given = {"DOCUMENT_ROOT": "/srv", "SCRIPT_FILENAME": "/x", "SCRIPT_NAME": "/s", "secret": "1", "HTTP_A": "b"}
    found = seen(pair(show, given))
    assert (found["SCRIPT_NAME"], found["HTTP_A"]) == ("/s", "b")
    assert not {"DOCUMENT_ROOT", "SCRIPT_FILENAME", "secret"} & found.keys()


def test_without_the_filter_every_name_in_capitals_is_sent(pair):
    given = {"DOCUMENT_ROOT": "/srv", "secret": "1", "wsgi.version": (1, 0)}
    found = seen(pair(show, given, filterEnviron=False))
    assert found["DOCUMENT_ROOT"] == "/srv"
    assert "secret" not in found


def test_the_lists_are_the_classs_and_programs_change_them(pair):
    prefixes = [*pair.app_class._environPrefixes, "DOCUMENT_", "SCRIPT_"]
    renames = {"secret": "OPEN"}
    app = type("App", (pair.app_class,), {"_environPrefixes": prefixes, "_environRenames": renames})
    found = seen(pair(show, {"DOCUMENT_ROOT": "/srv", "secret": "1"}, app_class=app))
    assert (found["DOCUMENT_ROOT"], found["OPEN"]) == ("/srv", "1")
    assert "DOCUMENT_" not in pair.app_class._environPrefixes


def test_text_beyond_latin_1_is_sent_as_utf_8_and_bytes_and_numbers_as_they_are(pair):
    found = seen(pair(show, {"HTTP_A": "\u20ac", "HTTP_B": b"\xff", "HTTP_C": 5}))
    assert found["HTTP_A"].encode("latin-1") == "\u20ac".encode()
    assert (found["HTTP_B"], found["HTTP_C"]) == ("\xff", "5")


def test_programs_put_their_own_connection_in(pair):
    # as monitoring of php-fpm does, for flup's own dies on Python 3
    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._connect)
        connected.append(sock)
        return sock

    connected: list[socket.socket] = []
    app = type("App", (pair.app_class,), {"_getConnection": connect})
    assert pair(hello, app_class=app)[2] == b"hello"
    assert len(connected) == 1
    assert connected[0].fileno() == -1


@pytest.mark.parametrize("app_class", [FCGIApp, SCGIApp])
def test_host_and_port_are_an_address_too(app_class):
    server_class = fcgi.WSGIServer if app_class is FCGIApp else scgi.WSGIServer
    with live(server_class(hello, bindAddress=("127.0.0.1", 0))) as running:
        port = int(running.address.rpartition(":")[2])
        environ = cgi_params("GET", "/") | {"wsgi.input": io.BytesIO()}
        for app in (app_class(host="127.0.0.1", port=port), app_class(connect=("127.0.0.1", port))):
            assert app(environ, lambda status, headers: None) == [b"hello"]


@pytest.mark.parametrize("app_class", [FCGIApp, SCGIApp])
@pytest.mark.parametrize("options", [{}, {"host": "127.0.0.1"}])
def test_an_address_is_needed(app_class, options):
    with pytest.raises(ValueError, match="say where the application listens"):
        app_class(**options)


def test_a_command_is_not_offered_and_says_what_to_do(sock_dir):
    with pytest.raises(ValueError, match="say where"):
        FCGIApp(command="app.fcgi", connect=f"{sock_dir}/s")
    with pytest.raises(NotImplementedError, match="start the application with a supervisor"):
        FCGIApp(command="app.fcgi")({}, lambda *args: None)


@pytest.mark.parametrize("app_class", [FCGIApp, SCGIApp])
def test_nobody_at_the_address_is_an_oserror(app_class, sock_dir):
    with pytest.raises(FileNotFoundError):
        app_class(connect=f"{sock_dir}/none")({"wsgi.input": io.BytesIO()}, lambda *args: None)


END_OF_STDIN = bytes((1, 5, 0, 1, 0, 0, 0, 0))


class Listening:
    """An application by hand: takes one connection, reads the request, says something and closes."""

    def __init__(self, folder, says: bytes) -> None:
        self.path = f"{folder}/hand"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, args=(says,))
        self._thread.start()

    def _serve(self, says: bytes) -> None:
        sock, _ = self._listener.accept()
        with sock:
            heard = b""
            while not heard.endswith((END_OF_STDIN, b",")):  # FastCGI's last record, or the end of SCGI's header
                heard += sock.recv(65536)
            sock.sendall(says)

    def __enter__(self) -> Listening:
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join()
        self._listener.close()


def record(kind: int, content: bytes = b"") -> bytes:
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def ask(app) -> list[bytes]:
    environ = {"REQUEST_METHOD": "GET", "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO()}
    found: list[bytes] = app(environ, lambda *args: None)
    return [*found, environ["wsgi.errors"].getvalue().encode()]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("says", "error", "match"),
    [
        (b"", ConnectionError, "before it had answered"),
        (record(6, b"Content-Type: a/b\r\n\r\nhalf"), ConnectionError, "before it had answered"),
        (record(6) + record(3, bytes(8)), MalformedHead, "empty response"),
        (record(3, struct.pack("!LB3x", 0, 2)), ConnectionError, "refused the request: OVERLOADED"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", RemoteProtocolError, "no FastCGI"),
    ],
)
def test_what_is_no_answer_is_an_error_and_no_empty_page(sock_dir, says, error, match):
    with Listening(sock_dir, says) as other, pytest.raises(error, match=match):
        ask(FCGIApp(connect=other.path))


def test_an_empty_answer_over_scgi_is_an_error(sock_dir):
    with Listening(sock_dir, b"") as other, pytest.raises(MalformedHead, match="empty response"):
        ask(SCGIApp(connect=other.path))


def test_stderr_goes_to_wsgi_errors(sock_dir):
    says = record(7, b"oops") + record(6, b"Content-Type: a/b\r\n\r\nbody") + record(6) + record(3, bytes(8))
    with Listening(sock_dir, says) as other:
        assert ask(FCGIApp(connect=other.path)) == [b"body", b"oops"]


def test_an_application_that_does_not_move_is_given_up(sock_dir, monkeypatch):
    monkeypatch.setattr(transfer, "TIMEOUT", 0.01)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(f"{sock_dir}/silent")
        silent.listen()
        with pytest.raises(TimeoutError):
            ask(FCGIApp(connect=f"{sock_dir}/silent"))


def test_an_answer_before_the_body_is_sent_is_taken():
    # 16 MiB do not fit into any buffer: sending all before reading would wait for ever
    ours, theirs = socket.socketpair()
    got = bytearray()

    def take(data: bytes) -> bool:
        got.extend(data)
        return len(got) == 1 << 24

    def answer() -> None:
        theirs.sendall(bytes(1 << 24))

    thread = threading.Thread(target=answer)
    thread.start()
    with ours, theirs:
        transfer.transfer(ours, iter([bytes(1 << 24)]), take)
        thread.join()


def test_get_values_by_hand(sock_dir):
    with live(fcgi.WSGIServer(hello, bindAddress=f"{sock_dir}/s", maxThreads=3)):
        app = FCGIApp(connect=f"{sock_dir}/s")
        with app._getConnection() as sock:
            found = app._fcgiGetValues(sock, ["FCGI_MAX_REQS", b"FCGI_MPXS_CONNS", "NONSENSE"])
    assert found == {b"FCGI_MAX_REQS": b"3", b"FCGI_MPXS_CONNS": b"1"}


# -- records by hand, as scripts for php-fpm build them


def test_a_request_built_record_by_record(sock_dir):
    with live(fcgi.WSGIServer(show, bindAddress=f"{sock_dir}/s")):
        app = FCGIApp(connect=f"{sock_dir}/s")
        with app._getConnection() as sock:
            begin = Record(fcgi_app.FCGI_BEGIN_REQUEST, 1)
            begin.contentData = fcgi_app.struct.pack(fcgi_app.FCGI_BeginRequestBody, fcgi_app.FCGI_RESPONDER, 0)
            begin.contentLength = fcgi_app.FCGI_BeginRequestBody_LEN
            begin.write(sock)
            app._fcgiParams(sock, 1, {"REQUEST_METHOD": "GET", "X": "y" * 100_000})
            app._fcgiParams(sock, 1, {})
            Record(fcgi_app.FCGI_STDIN, 1).write(sock)
            output = b""
            while True:
                found = Record()
                found.read(sock)
                if found.type == fcgi_app.FCGI_END_REQUEST:
                    break
                assert (found.type, found.requestId, len(found.contentData)) == (
                    fcgi_app.FCGI_STDOUT,
                    1,
                    found.contentLength,
                )
                output += found.contentData
        assert b"\nX=" + b"y" * 100_000 in output


def test_a_record_is_padded_and_read_back_without_its_padding():
    one, two = socket.socketpair()
    with one, two:
        record = Record(fcgi_app.FCGI_STDIN, 7)
        record.contentData, record.contentLength = b"abc", 3
        record.write(one)
        one.close()
        found = Record()
        found.read(two)
        assert (found.type, found.requestId, found.contentData, found.paddingLength) == (5, 7, b"abc", 5)
        with pytest.raises(EOFError):
            found.read(two)


def test_a_record_that_is_cut_off_is_an_eof_error():
    one, two = socket.socketpair()
    with one, two:
        one.sendall(struct.pack("!BBHHBx", 1, 6, 1, 10, 0) + b"half")
        one.close()
        with pytest.raises(EOFError, match="inside a record"):
            Record().read(two)


def test_a_record_cannot_hold_more_than_64_kib():
    record = Record(fcgi_app.FCGI_STDIN, 1)
    record.contentData, record.contentLength = bytes(70_000), 70_000
    one, two = socket.socketpair()
    with one, two, pytest.raises(LocalProtocolError):
        record.write(one)


@pytest.mark.parametrize(
    ("name", "value"), [(b"A", b"b"), (b"", b""), (b"n" * 127, b"v" * 128), (b"n" * 300, b"v" * 70_000)]
)
def test_pairs_are_read_as_they_were_written(name, value):
    wire = b"xx" + encode_pair(name, value)
    assert decode_pair(wire, 2) == (len(wire), (name, value))


@pytest.mark.parametrize("wire", [b"", b"\x01", b"\x80\x00", b"\x05\x05abc"])
def test_a_pair_that_is_cut_off_is_an_error(wire):
    with pytest.raises(RemoteProtocolError):
        decode_pair(wire)


def test_a_netstring():
    assert scgi_app.encodeNetstring(b"abc") == b"3:abc,"
