"""Tests of the WSGI gateway: applications that fail, at every point where they can, and close() in every case."""

from __future__ import annotations

import logging

import pytest

from penstock.gateways.request import Disconnected
from tests.gateways.responses import parse
from tests.gateways.wsgi_calls import BOTH_WAYS, PLAIN, Chunks, Leaving, answer, gateway, responding, run

ERRORS = [LookupError("lost"), SystemExit(3), KeyboardInterrupt(), GeneratorExit(), AssertionError("no")]
LENGTH_5 = [*PLAIN, ("Content-Length", "5")]


@BOTH_WAYS
class TestFailing:
    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    @pytest.mark.parametrize("begun", [False, True])
    def test_before_the_head_is_out_is_a_500_with_a_reference(self, via, error, begun, caplog):
        def app(environ, start_response):
            if begun:
                start_response("200 OK", PLAIN)
            raise error

        request = run(via(app), url="/here")
        status, headers, body = answer(request)
        assert status == "500 Internal Server Error"
        assert headers["Content-Type"] == "text/html; charset=utf-8"
        assert b"ref1" in body
        assert b"lost" not in body
        assert (request.status, request.reference) == (500, "ref1")
        assert "[ref1] the application failed before its response began: 'GET' '/here'" in caplog.text
        assert type(error).__name__ in caplog.text

    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_before_the_first_chunk_is_a_500_too(self, via, error):
        body = Chunks([b"", error])
        assert answer(run(via(responding(body))))[0] == "500 Internal Server Error"
        assert body.closed == 1

    @pytest.mark.parametrize("error", ERRORS, ids=repr)
    def test_in_mid_body_breaks_the_response_off(self, via, error, caplog):
        body = Chunks([b"begun", error])
        request = run(via(responding(body)))
        assert request.aborted
        assert parse(request.output)[2] == b"begun"
        assert body.closed == 1
        assert "in the middle of its response" in caplog.text
        assert request.reference == "ref1"

    @pytest.mark.parametrize("headers", [PLAIN, LENGTH_5])
    def test_after_the_last_chunk_is_logged_and_nothing_more(self, via, headers, caplog):
        body = Chunks([b"whole"], closing=LookupError("late"))
        request = run(via(responding(body, headers=headers)))
        assert answer(request)[2] == b"whole"
        assert request.status == 200
        assert "after its response was complete" in caplog.text

    def test_is_answered_without_a_body_for_head(self, via):
        def app(environ, start_response):
            raise LookupError

        status, headers, body = answer(run(via(app), "HEAD"))
        assert (status, body) == ("500 Internal Server Error", b"")
        assert int(headers["Content-Length"]) > 0

    def test_cannot_put_lines_into_the_log(self, via, caplog):
        def app(environ, start_response):
            raise LookupError

        request = run(via(app), url="/")
        request.params["REQUEST_URI"] = "/\r\n2026-01-01 ERROR forged\x1b[31m"
        request.ended = False
        caplog.clear()
        gateway(via(app))(request)
        (record,) = caplog.records
        assert "\n" not in record.getMessage()
        assert "\x1b" not in record.getMessage()

    def test_shows_the_traceback_to_the_log_alone(self, via, caplog):
        def app(environ, start_response):
            raise LookupError("secret")

        request = run(via(app))
        assert "test_wsgi_failures.py" in caplog.text
        assert b"Traceback" not in request.output
        assert b"secret" not in request.output


@BOTH_WAYS
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("chunks", "headers"),
    [
        ([], PLAIN),
        ([b"a", b"b"], PLAIN),
        ([b"abcde"], LENGTH_5),
        ([b"abcdefg", b"h"], LENGTH_5),
        ([b"abc"], LENGTH_5),
        ([], LENGTH_5),
        ([LookupError("x")], PLAIN),
        ([b"a", LookupError("x")], PLAIN),
        ([b"a", SystemExit()], PLAIN),
        ([b"a", Disconnected("x")], PLAIN),
    ],
)
@pytest.mark.parametrize("closing", [None, LookupError("y"), SystemExit()])
def test_close_is_called_exactly_once_however_it_ends(via, method, chunks, headers, closing):
    body = Chunks(chunks, closing)
    try:
        request = run(via(responding(body, headers=headers)), method)
    except Disconnected:
        assert any(isinstance(chunk, Disconnected) for chunk in chunks)
    else:
        assert request.ended
    assert body.closed == 1


@BOTH_WAYS
@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_web_server_that_leaves_ends_the_work_with_close_and_without_a_fuss(via, writes, caplog):
    body = Chunks([b"a", b"b", b"c", b"d", b"e"])
    request = Leaving(writes)
    with pytest.raises(Disconnected):
        gateway(via(responding(body)))(request)
    assert body.closed == 1
    assert body.asked == writes + 1
    assert not caplog.records


def test_a_missing_head_does_not_keep_close_away():
    body = Chunks([b"a"])
    assert answer(run(lambda environ, start_response: body))[0] == "500 Internal Server Error"
    assert body.closed == 1


def test_an_application_that_swallows_the_disconnect_is_stopped_all_the_same(caplog):
    caplog.set_level(logging.ERROR)

    def app(environ, start_response):
        write = start_response("200 OK", PLAIN)
        for _ in range(10):
            try:
                write(b"x")
            except OSError:
                continue
        return [b"y"]

    with pytest.raises(Disconnected):
        gateway(app)(Leaving(3))
    assert not caplog.records


@pytest.mark.parametrize("result", [None, 5, object()])
def test_what_is_no_iterable_is_a_500(result, caplog):
    assert answer(run(responding(result)))[0] == "500 Internal Server Error"
    said = f"the application returned a {type(result).__name__}, no iterable of bytes (PEP 3333)"
    assert f"TypeError: {said}" in caplog.text
