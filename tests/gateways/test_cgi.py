"""This file tests plain CGI in memory: environment, input and output; processes of their own are in tests/homes."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping

import pytest

from penstock.gateways import cgi
from penstock.gateways.cgi import CGIRequest, TooLarge, cgi_pairs, run_cgi
from penstock.gateways.environ import BadRequest, merge, normalise
from penstock.gateways.request import Disconnected, Request, TruncatedInput
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.spec import Role
from tests.gateways.responses import parse

GET = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/a.cgi", "PATH_INFO": "/x"}
HELLO = b"Content-Type: text/plain\r\nStatus: 200 OK\r\n\r\nhello"


def post(length: int | str | None, **more: str) -> dict[str, str]:
    said = {} if length is None else {"CONTENT_LENGTH": str(length)}
    return GET | {"REQUEST_METHOD": "POST"} | said | more


def admitted(environ: Mapping[str, str], stdin: io.BytesIO | None = None, **options) -> CGIRequest:
    request = CGIRequest(stdin or io.BytesIO(), io.BytesIO())
    request.admit(environ, **options)
    return request


class Sink(io.BytesIO):
    """Standard output that keeps what it got when it is closed, takes little at a time, or ends."""

    def __init__(self, most: int = 1 << 30, room: int = 1 << 30) -> None:
        super().__init__()
        self.most = most
        self.room = room
        self.flushed = 0

    def write(self, data) -> int:
        if not self.room:
            raise BrokenPipeError(32, "Broken pipe")
        piece = bytes(data)[: min(self.most, self.room)]
        self.room -= len(piece)
        return super().write(piece)

    def flush(self) -> None:
        self.flushed = len(self.getvalue())


def run(gateway, environ: Mapping[str, str] = GET, body: bytes = b"", stdout: Sink | None = None, **options):
    """Exit status and output of one request."""
    sink = stdout or Sink()
    status = run_cgi(gateway, environ, io.BytesIO(body), sink, **options)
    return status, sink.getvalue()


# Parameters


def test_the_parameters_are_the_request_s_alone():
    own = {"PATH": "/bin", "HOME": "/", "AUTH_TOKEN": "secret", "SERVER_KEY": "secret", "PYTHONPATH": "x"}
    theirs = GET | {"HTTP_X_A": "a", "REDIRECT_STATUS": "200", "SSL_PROTOCOL": "TLSv1.3", "HTTPS": "on"}
    assert dict(cgi_pairs(own | theirs)) == theirs


def test_every_variable_of_the_specification_is_one_of_them():
    names = (
        "AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE PATH_INFO PATH_TRANSLATED QUERY_STRING REMOTE_ADDR"
        " REMOTE_HOST REMOTE_IDENT REMOTE_USER REQUEST_METHOD SCRIPT_NAME SERVER_NAME SERVER_PORT SERVER_PROTOCOL"
        " SERVER_SOFTWARE"
    )
    assert " ".join(name for name, _ in cgi_pairs(dict.fromkeys(names.split(" "), ""))) == names


def test_bytes_beyond_ascii_become_one_character_each():
    value = os.fsdecode(b"/\xc3\xa9\xff")
    assert cgi_pairs({"PATH_INFO": value}) == [("PATH_INFO", "/\xc3\xa9\xff")]


def test_parameters_are_repaired_like_those_of_fastcgi():
    # Apache with mod_rewrite in .htaccess: the program's file is not in the URL
    sent = GET | {
        "SCRIPT_NAME": "/dispatch/app.cgi",
        "PATH_INFO": "/x",
        "REQUEST_URI": "/dispatch/x",
        "HTTP_PROXY": "p",
    }
    fastcgi = merge(list(sent.items()))
    normalise(fastcgi)
    request = admitted(sent)
    assert request.params == fastcgi | {"FCGI_ROLE": "RESPONDER"}
    assert (request.params["SCRIPT_NAME"], request.params["PATH_INFO"]) == ("/dispatch", "/x")
    assert "HTTP_PROXY" not in request.params
    assert request.role is Role.RESPONDER


def test_a_mount_decides_where_the_path_is_split():
    request = admitted(GET | {"SCRIPT_NAME": "/app/x.cgi", "PATH_INFO": "/y"}, mount="/app")
    assert (request.params["SCRIPT_NAME"], request.params["PATH_INFO"]) == ("/app", "/x.cgi/y")


def test_a_client_cannot_say_what_the_role_is():
    assert admitted(GET | {"HTTP_FCGI_ROLE": "FILTER", "FCGI_ROLE": "FILTER"}).params["FCGI_ROLE"] == "RESPONDER"


# The body


@pytest.mark.parametrize("environ", [post(None), post(""), post("0"), GET])
def test_without_a_length_there_is_no_body_and_nothing_is_read(environ):
    stdin = io.BytesIO(b"not ours")
    assert admitted(environ, stdin).stdin.read() == b""
    assert stdin.tell() == 0


@pytest.mark.parametrize("read", [io.BufferedReader.read, io.BufferedReader.readline, lambda f: f.read(100)])
def test_not_one_byte_behind_the_body_is_read(read):
    stdin = io.BytesIO(b"12345and what is not the body")
    assert read(admitted(post(5), stdin).stdin) == b"12345"
    assert stdin.tell() == 5


def test_lines_and_pieces_of_the_body_are_read_as_from_any_file():
    body = admitted(post(10), io.BytesIO(b"ab\ncd\nefghij")).stdin
    assert body.readline() == b"ab\n"
    assert body.read(2) == b"cd"
    assert list(body) == [b"\n", b"efgh"]
    assert body.read() == b""


@pytest.mark.parametrize("sent", [post(None, HTTP_TRANSFER_ENCODING="Chunked"), post("-1")])
def test_a_body_of_unknown_length_ends_with_the_input_and_gets_its_length(sent):
    request = admitted(sent, io.BytesIO(b"x" * 70_000))
    assert request.params["CONTENT_LENGTH"] == "70000"
    assert "HTTP_TRANSFER_ENCODING" not in request.params
    assert request.stdin.read() == b"x" * 70_000


@pytest.mark.parametrize("length", ["5x", "+5", " 5", "5, 5", "٣", "1" * 20])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(BadRequest, match="CONTENT_LENGTH"):
        admitted(post(length))


def test_a_body_over_the_limit_is_refused_before_it_is_read():
    stdin = io.BytesIO(b"x" * 11)
    with pytest.raises(TooLarge, match="a body of 11 bytes; 10 are allowed"):
        admitted(post(11), stdin, max_body=10)
    assert stdin.tell() == 0
    assert admitted(post(10), io.BytesIO(b"x" * 10), max_body=10).stdin.read() == b"x" * 10


def test_a_body_of_unknown_length_is_held_to_the_limit_as_well():
    with pytest.raises(TooLarge, match="more than the 10 bytes"):
        admitted(post("-1"), io.BytesIO(b"x" * 11), max_body=10)
    assert admitted(post("-1"), io.BytesIO(b"x" * 10), max_body=10).params["CONTENT_LENGTH"] == "10"


@pytest.mark.parametrize("read", [lambda f: f.read(), lambda f: f.read(4) + f.read(4)])
def test_a_body_that_ends_too_early_is_an_error_where_it_is_read(read):
    with pytest.raises(TruncatedInput, match="the body has 3 bytes, its CONTENT_LENGTH says 5"):
        read(admitted(post(5), io.BytesIO(b"abc")).stdin)


def test_an_input_that_is_reset_is_a_body_that_ends_too_early():
    class Reset(io.BytesIO):
        def read1(self, size=-1):
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(TruncatedInput, match="the body has 0 bytes"):
        admitted(post(5), Reset()).stdin.read()


@pytest.mark.parametrize("memory", [1 << 20, 100_000, 10])
def test_a_body_that_was_taken_in_for_a_large_response_is_read_as_if_nothing_had_happened(memory, monkeypatch):
    monkeypatch.setattr(cgi, "BODY_MEMORY", memory)
    content = bytes(range(256)) * 1000
    stdin = io.BytesIO(content)
    request = admitted(post(len(content)), stdin)
    assert request.stdin.read(10) == content[:10]
    request.write(b"x" * cgi.HELD_INPUT)
    assert stdin.tell() < len(content), "a small response takes nothing in"
    request.write(b"x")
    assert stdin.tell() == len(content)
    assert request.stdin.read() == content[10:]
    request.stdin.close()


def test_a_truncated_body_that_was_taken_in_is_an_error_behind_what_there_was():
    request = admitted(post(5), io.BytesIO(b"abc"))
    request.write(b"x" * (cgi.HELD_INPUT + 1))
    assert request.stdin.read(3) == b"abc"
    with pytest.raises(TruncatedInput):
        request.stdin.read(3)


# The response


def test_the_response_is_flushed_piece_by_piece():
    sink = Sink()
    seen = []

    def gateway(request: Request) -> None:
        request.write(HELLO)
        seen.append(sink.flushed)
        request.finish(b" world")

    assert run(gateway, stdout=sink) == (0, HELLO + b" world")
    assert seen == [len(HELLO)]
    assert sink.flushed == len(HELLO) + 6


def test_an_output_that_takes_little_at_a_time_gets_everything():
    assert run(lambda request: request.finish(HELLO), stdout=Sink(most=3)) == (0, HELLO)


def test_a_buffered_output_is_written_past_its_buffer_behind_what_waits_there(tmp_path):
    with open(tmp_path / "out", "wb") as file:
        file.write(b"first ")
        run_cgi(lambda request: request.finish(HELLO), GET, io.BytesIO(), file)
        assert (tmp_path / "out").read_bytes() == b"first " + HELLO


def test_nothing_can_be_said_after_the_end():
    request = admitted(GET)
    request.finish(HELLO)
    for call in (request.write, request.finish):
        with pytest.raises(Disconnected):
            call(b"more")


@pytest.mark.parametrize("room", [0, 3])
def test_a_web_server_that_leaves_ends_the_request_in_silence_with_1(room, caplog):
    calls = []

    def gateway(request: Request) -> None:
        for _ in range(2):
            with pytest.raises(Disconnected):
                request.write(HELLO)
            calls.append(True)
        request.write(HELLO)

    assert run(gateway, stdout=Sink(room=room)) == (1, HELLO[:room])
    assert calls == [True, True]
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


def test_a_closed_output_is_a_web_server_that_has_left():
    sink = Sink()
    request = CGIRequest(io.BytesIO(), sink)
    sink.close()
    with pytest.raises(Disconnected):
        request.finish(HELLO)
    assert request.broken


def test_an_output_that_does_not_block_is_an_end_and_no_endless_loop():
    class Full(Sink):
        def write(self, data):
            return None

    assert run(lambda request: request.finish(HELLO), stdout=Full())[0] == 1


def test_a_broken_response_is_an_exit_status_of_1():
    def gateway(request: Request) -> None:
        request.write(HELLO)
        request.abort()

    assert run(gateway) == (1, HELLO)


def test_a_gateway_that_forgets_the_end_leaves_a_broken_response():
    assert run(lambda request: request.write(HELLO)) == (1, HELLO)


@pytest.mark.parametrize("gateway", [lambda request: None, lambda request: 1 / 0, lambda request: exit(3)])
def test_no_response_is_ever_empty(gateway, caplog):
    status, output = run(gateway)
    assert parse(output)[0] == "500 Internal Server Error"
    assert status == 0
    assert "the application gave no answer" in caplog.text


@pytest.mark.parametrize(
    ("environ", "answer", "reason"),
    [
        (post("x"), "400 Bad Request", "CONTENT_LENGTH is 'x'"),
        (post(11), "413 Request Entity Too Large", "a body of 11 bytes"),
        ({"GATEWAY_INTERFACE": "CGI/1.1"}, "500 Internal Server Error", "no REQUEST_METHOD is sent"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_page_and_a_line_in_the_log(environ, answer, reason, caplog):
    called: list[Request] = []
    status, output = run(called.append, environ, max_body=10)
    assert (status, parse(output)[0], called) == (0, answer, [])
    assert reason in caplog.text


def test_the_page_for_a_head_request_has_no_body():
    _, output = run(lambda request: None, GET | {"REQUEST_METHOD": "HEAD"})
    assert parse(output)[2] == b""


def test_a_truncated_body_that_nobody_caught_is_a_400(caplog):
    status, output = run(lambda request: request.finish(request.stdin.read()), post(5), b"abc")
    assert (status, parse(output)[0]) == (0, "400 Bad Request")
    assert "the body has 3 bytes" in caplog.text


def test_wsgi_is_told_that_it_runs_once_among_others(capsys):
    seen = {}

    def app(environ, start_response):
        seen.update(environ)
        environ["wsgi.errors"].write("to standard error\n")
        start_response("200 OK", [])
        return [environ["wsgi.input"].read()]

    gateway = WSGIGateway(app, run_once=True, multiprocess=True, new_reference=lambda: "r")
    status, output = run(gateway, post(3), b"abc")
    assert (status, parse(output)[2]) == (0, b"abc")
    assert (seen["wsgi.run_once"], seen["wsgi.multiprocess"], seen["wsgi.multithread"]) == (True, True, False)
    assert (seen["FCGI_ROLE"], seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("RESPONDER", "/a.cgi", "/x")
    assert capsys.readouterr().err == "to standard error\n"
