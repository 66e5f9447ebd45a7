"""This file tests what becomes of exceptions: the page, the log, and an answer that had begun already."""

from __future__ import annotations

import pytest

from penstock.compat.jon import cgi, fcgi
from penstock.gateways.environ import BadRequest
from penstock.protocol.spec import Role
from penstock.testing import Aborted
from tests.compat.jon.asking import ask, handler, run


def failing(req):
    req.set_header("X-Secret", "1")
    req.write("before ")
    raise LookupError("on purpose")


def test_an_exception_is_a_500_that_tells_nothing_and_the_log_has_the_traceback(caplog):
    answer = ask(failing, url="/place")
    assert answer.status == 500
    assert b"on purpose" not in answer.body
    assert b"before" not in answer.body
    assert answer.get("X-Secret") is None
    assert answer.get("Content-Type") == "text/html; charset=utf-8"
    (record,) = caplog.records
    assert "LookupError: on purpose" in record.getMessage()
    assert "in failing" in record.getMessage()
    assert "'GET' '/place'" in record.getMessage()


def test_page_and_log_have_the_name_of_the_request_in_common(caplog):
    request = run(failing)
    assert request.reference
    assert request.reference.encode() in request.output
    assert request.reference in caplog.text
    assert request.status == 500


def test_system_exit_ends_the_request_as_any_exception_and_nothing_else(caplog):
    def process(req):
        raise SystemExit(1)

    assert ask(process).status == 500
    assert "SystemExit: 1" in caplog.text


def test_a_handler_that_cannot_be_made_is_a_500_too(caplog):
    class Broken(cgi.Handler):
        def __init__(self):
            raise LookupError("no database")

    assert ask(Broken).status == 500
    assert "no database" in caplog.text


def test_a_handler_without_process_says_so_in_the_log(caplog):
    class Empty(cgi.Handler):
        pass

    assert ask(Empty).status == 500
    assert "Empty has no process(req)" in caplog.text


def test_a_handler_may_write_its_own_page_with_its_own_status():
    class Own(cgi.Handler):
        def process(self, req):
            failing(req)

        def traceback(self, req):
            req.clear_output()
            req.set_header("Status", "503 Service Unavailable")
            req.write("come back later")

    answer = ask(Own)
    assert (answer.status, answer.body) == (503, b"come back later")


def test_a_page_that_fails_itself_is_replaced_by_the_plain_one(caplog):
    class Own(cgi.Handler):
        def process(self, req):
            failing(req)

        def traceback(self, req):
            raise ValueError("again")

    assert ask(Own).status == 500
    assert "ValueError: again" in caplog.text
    assert "LookupError: on purpose" in caplog.text


def test_an_answer_that_has_begun_is_broken_off_and_no_page_stands_in_its_middle(caplog):
    def process(req):
        req.write("begun")
        req.flush()
        raise LookupError("on purpose")

    with pytest.raises(Aborted) as caught:
        ask(process)
    assert caught.value.output.endswith(b"begun")
    assert "on purpose" in caplog.text


def test_headers_that_are_out_but_have_not_left_are_taken_back():
    def process(req):
        req.output_headers()
        failing(req)

    answer = ask(process)
    assert answer.status == 500
    assert b"before" not in answer.body


def test_a_debug_handler_shows_the_traceback_escaped_and_logs_it(caplog):
    def process(req):
        req.write("before ")
        raise LookupError("<b>on purpose</b>")

    answer = ask(handler(process, cgi.DebugHandler))
    assert answer.status == 500
    assert b"LookupError: &lt;b&gt;on purpose&lt;/b&gt;" in answer.body
    assert b"in process" in answer.body
    assert b"before" not in answer.body
    assert "on purpose" in caplog.text


def test_the_mixin_makes_a_debug_handler_of_any():
    class Plain(cgi.Handler):
        def process(self, req):
            failing(req)

    class Mixed(cgi.DebugHandlerMixIn, Plain):
        pass

    assert b"LookupError: on purpose" in ask(Mixed).body


def test_a_debug_handler_shows_it_at_the_end_of_an_answer_that_has_begun_and_breaks_it_off():
    def process(req):
        req.write("begun")
        req.flush()
        raise LookupError("on purpose")

    with pytest.raises(Aborted) as caught:
        ask(handler(process, cgi.DebugHandler))
    assert b"begun" not in caught.value.output.partition(b"on purpose")[2]


def test_traceback_outside_of_an_exception_says_so(caplog):
    ask(lambda req: cgi.traceback(req))
    assert "no exception is being handled" in caplog.text


def test_error_writes_to_the_log_and_never_to_the_client(caplog):
    def process(req):
        req.error("a note\n")
        req.error(b"bytes")

    assert ask(process).body == b""
    assert [record.getMessage() for record in caplog.records] == ["a note", "bytes"]


def test_an_override_of_error_gets_the_traceback(caplog):
    notes = []

    class Mailing(fcgi.Request):
        def error(self, s):
            notes.append(s)

    assert ask(failing, request_type=Mailing).status == 500
    assert len(notes) == 1
    assert "LookupError: on purpose" in notes[0]
    assert not caplog.records


def test_a_bad_request_has_its_own_status_and_the_handler_is_not_asked(caplog):
    class Own(cgi.Handler):
        def process(self, req):
            raise BadRequest("it is bad")

        def traceback(self, req):
            raise AssertionError("asked")

    assert ask(Own).status == 400
    assert [record.levelname for record in caplog.records] == ["WARNING"]


@pytest.mark.parametrize("stage", ["__init__", "_init", "run", "after run"])
def test_a_request_type_that_fails_is_a_500(stage, caplog):
    class Failing(fcgi.Request):
        def __init__(self, *args):
            if stage == "__init__":
                raise LookupError("on purpose")
            super().__init__(*args)

        def _init(self):
            if stage == "_init":
                raise LookupError("on purpose")
            super()._init()

        def run(self):
            if stage != "run":
                super().run()
            if stage.endswith("run"):
                raise LookupError("on purpose")

    answer = ask(lambda req: req.write("page"), request_type=Failing)
    assert answer.status == (200 if stage == "after run" else 500)
    assert "on purpose" in caplog.text


@pytest.mark.parametrize("status", [None, "200 OK", "204"])
@pytest.mark.parametrize("closes", [False, True])
def test_an_authorizer_that_fails_denies_even_with_a_page_of_its_own(status, closes):
    class Lenient(cgi.Handler):
        def process(self, req):
            raise LookupError("on purpose")

        def traceback(self, req):
            if status:
                req.set_header("Status", status)
            req.write("sorry")
            if closes:
                req.close()

    answer = ask(Lenient, role=Role.AUTHORIZER)
    assert (answer.status, answer.body) == (500, b"sorry")


@pytest.mark.parametrize("base", [cgi.Handler, cgi.DebugHandler, type("Own", (cgi.Handler,), {"traceback": print})])
def test_an_authorizer_that_fails_after_flushing_its_permission_denies(base):
    def process(req):
        req.write("welcome")
        req.flush()
        raise LookupError("on purpose")

    answer = ask(handler(process, base), role=Role.AUTHORIZER)
    assert answer.status == 500
    assert b"welcome" not in answer.body
