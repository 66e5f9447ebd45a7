"""This file tests a handler's life: an instance for each request, and every way to end and to fail."""

from __future__ import annotations

import logging
import sys

import pytest

from penstock.gateways.environ import BadRequest
from penstock.gateways.handler import Handler
from penstock.gateways.request import Disconnected, TruncatedInput
from penstock.testing import Aborted, MemoryRequest
from tests.gateways.asking import REFERENCE, ask, gateway, handler, params

SECRET = "the secret of the traceback"


def logged(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == level]


class TestLife:
    def test_each_request_gets_an_instance_of_its_own_made_without_arguments(self):
        seen = []

        class Counting(Handler):
            def __init__(self) -> None:
                seen.append(self)

            def process(self, request):
                assert seen[-1] is self

        ask(Counting)
        ask(Counting)
        assert len(set(map(id, seen))) == 2

    def test_a_handler_that_does_nothing_gives_an_empty_page(self):
        response = ask(lambda request: None)
        assert (response.status, response.body) == (200, b"")
        assert response.get("Content-Length") == "0"

    @pytest.mark.parametrize("code", [None, 0])
    def test_sys_exit_ends_the_response_as_a_cgi_program_would(self, code):
        def process(request):
            request.write("before")
            sys.exit(code)

        assert ask(process).body == b"before"

    @pytest.mark.parametrize("code", [1, "out of order"])
    def test_sys_exit_with_an_error_is_a_500(self, code):
        assert ask(lambda request: sys.exit(code)).status == 500


class TestFailure:
    def test_before_the_head_it_is_a_500_with_a_reference_and_the_traceback_stays_in_the_log(self, caplog):
        def process(request):
            request.status = 201
            request.set_header("X-Made", "yes")
            request.write("half a page")
            raise ValueError(SECRET)

        response = ask(process, "POST", "/x?y")
        assert response.status == 500
        assert REFERENCE.encode() in response.body
        assert SECRET.encode() not in response.body
        assert b"half a page" not in response.body
        assert response.get("X-Made") is None
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert int(response.get("Content-Length") or 0) == len(response.body)
        (line,) = logged(caplog, logging.ERROR)
        assert line == f"[{REFERENCE}] the handler failed before its response began: 'POST' '/x?y'"
        assert SECRET in caplog.text

    def test_after_the_head_the_response_is_broken_off(self, caplog):
        def process(request):
            request.write("half a page")
            request.flush()
            raise ValueError(SECRET)

        with pytest.raises(Aborted) as broken:
            ask(process)
        assert broken.value.output.endswith(b"half a page")
        assert f"[{REFERENCE}] the handler failed in the middle of its response" in caplog.text

    def test_after_a_complete_response_it_is_only_logged(self, caplog):
        def process(request):
            request.end()
            raise ValueError(SECRET)

        assert ask(process).status == 200
        assert f"[{REFERENCE}] the handler failed after its response was complete" in caplog.text

    def test_for_head_there_is_no_page(self):
        def process(request):
            raise ValueError

        response = ask(process, "HEAD")
        assert (response.status, response.body) == (500, b"")

    @pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, RecursionError, GeneratorExit])
    def test_no_exception_of_a_handler_reaches_the_server(self, error):
        def process(request):
            raise error

        assert ask(process).status == 500

    @pytest.mark.parametrize("error", [Disconnected, TruncatedInput])
    def test_a_client_that_has_left_is_the_servers_business(self, error):
        def process(request):
            request.write("x")
            raise error("gone")

        request = MemoryRequest(params())
        with pytest.raises(error):
            gateway(handler(process))(request)
        assert request.writes == []
        assert not request.ended

    def test_a_connection_error_of_the_handlers_own_is_a_500(self):
        def process(request):
            raise ConnectionResetError("the database")

        assert ask(process).status == 500

    def test_an_error_that_names_a_status_is_answered_with_it_and_one_line_without_a_traceback(self, caplog):
        class Teapot(BadRequest):
            status = 418

        def process(request):
            raise Teapot("no coffee here")

        assert ask(process).status == 418
        assert [record.getMessage() for record in caplog.records] == [f"answered 418 [{REFERENCE}]: no coffee here"]
        assert caplog.records[0].exc_info is None

    def test_such_an_error_in_the_middle_of_a_response_is_logged_with_its_traceback(self, caplog):
        def process(request):
            request.flush()
            raise BadRequest("too late")

        with pytest.raises(Aborted):
            ask(process)
        (record,) = caplog.records
        assert record.exc_info

    def test_a_header_that_cannot_be_sent_is_a_500(self):
        assert ask(lambda request: request.set_header("X-Bad", "a\r\nSet-Cookie: b=c")).status == 500

    def test_the_reference_and_status_are_the_servers_to_know(self):
        request = MemoryRequest(params())

        def process(_):
            raise ValueError

        gateway(handler(process))(request)
        assert (request.reference, request.status) == (REFERENCE, 500)


class TestFailedHook:
    def test_it_writes_the_page_and_may_change_the_status(self):
        class Own(Handler):
            def process(self, request):
                request.set_header("X-Old", "1")
                raise ValueError(SECRET)

            def failed(self, request, error):
                assert request.status == 500
                request.status = 503
                request.set_header("Content-Type", "text/plain")
                request.write(f"{type(error).__name__} {request.reference}")

        response = ask(Own)
        assert (response.status, response.body) == (503, f"ValueError {REFERENCE}".encode())
        assert response.get("Content-Type") == "text/plain"
        assert response.get("X-Old") is None

    def test_when_it_fails_too_the_plain_page_is_sent_and_both_are_logged(self, caplog):
        class Own(Handler):
            def process(self, request):
                raise ValueError(SECRET)

            def failed(self, request, error):
                request.write("half a page")
                raise LookupError("in the hook")

        response = ask(Own)
        assert response.status == 500
        assert REFERENCE.encode() in response.body
        assert b"half a page" not in response.body
        assert SECRET in caplog.text
        assert "in the hook" in caplog.text

    def test_when_it_fails_in_the_middle_of_its_page_the_response_is_broken_off(self):
        class Own(Handler):
            def process(self, request):
                raise ValueError(SECRET)

            def failed(self, request, error):
                request.flush()
                raise LookupError("in the hook")

        with pytest.raises(Aborted):
            ask(Own)

    def test_it_is_not_asked_when_the_client_has_left(self):
        class Own(Handler):
            def process(self, request):
                raise Disconnected("gone")

            def failed(self, request, error):
                pytest.fail("nobody reads the page")

        with pytest.raises(Disconnected):
            ask(Own)

    def test_a_class_that_cannot_be_made_gets_the_plain_page(self):
        class Broken(Handler):
            def __init__(self) -> None:
                raise ValueError(SECRET)

            def process(self, request):
                pytest.fail("there is no instance")

            def failed(self, request, error):
                pytest.fail("there is no instance")

        response = ask(Broken)
        assert response.status == 500
        assert REFERENCE.encode() in response.body


class TestErrors:
    def test_lines_go_to_the_log(self, caplog):
        def process(request):
            print("no", "disk", file=request.errors)
            request.errors.write("half a ")
            request.errors.write("line\nand another")

        ask(process)
        assert [(record.levelno, record.getMessage()) for record in caplog.records] == [
            (logging.ERROR, "no disk"),
            (logging.ERROR, "half a line"),
            (logging.ERROR, "and another"),
        ]
