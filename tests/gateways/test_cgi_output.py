"""This file tests the response of plain CGI: how it is written, and what there is when it cannot be."""

from __future__ import annotations

import io
import logging
import os

import pytest

from penstock.gateways.cgi import CGIRequest, run_cgi
from penstock.gateways.request import Disconnected, Request
from penstock.gateways.wsgi import WSGIGateway
from tests.gateways.cgi_runs import GET, HELLO, Sink, admitted, post, run
from tests.gateways.responses import parse


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


def test_nothing_of_an_undelivered_response_waits_in_a_buffer():
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as file:  # which raises at its end if something is left to write
        assert run_cgi(lambda request: request.finish(HELLO), GET, io.BytesIO(), file) == 1


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
        (post("x"), "400", "CONTENT_LENGTH is 'x'"),
        (post(11), "413", "a body of 11 bytes"),
        ({"GATEWAY_INTERFACE": "CGI/1.1"}, "500", "no REQUEST_METHOD is sent"),
    ],
)
def test_a_request_that_cannot_be_answered_gets_a_page_and_a_line_in_the_log(environ, answer, reason, caplog):
    called: list[Request] = []
    status, output = run(called.append, environ, max_body=10)
    assert (status, parse(output)[0][:3], called) == (0, answer, [])
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
