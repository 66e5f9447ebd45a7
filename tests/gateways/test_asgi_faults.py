"""What becomes of ASGI applications that break the rules: the right status, one line in the log, and no more."""

from __future__ import annotations

import logging

import pytest

from penstock.gateways import asgi_scope
from tests.gateways.asgi_runs import run, saying

START = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}
BODY = {"type": "http.response.body", "body": b"hello"}
PART = {"type": "http.response.body", "body": b"part", "more_body": True}


@pytest.fixture(autouse=True)
def unwarned(monkeypatch):
    monkeypatch.setattr(asgi_scope, "_warned", set())


def lines(caplog) -> list[str]:
    """What an operator is told, without the traceback."""
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def said(caplog) -> str:
    """The exception of the only line."""
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    return str(record.exc_info[1])


BEFORE = {
    "nothing at all": ((), "returned before its response was complete"),
    "a head and nothing": ((START,), "returned before its response was complete"),
    "a body first": ((BODY,), "came before http.response.start"),
    "two heads": ((START, START), "sent twice"),
    "a message of websockets": (({"type": "websocket.accept"},), "none of an http response"),
    "a message without a type": (({},), "None is none of an http response"),
    "no status": (({"type": "http.response.start"},), "has no 'status'"),
    "a status that is text": (({**START, "status": "200 OK"},), "the status is a str, not an int: '200 OK'"),
    "a status that is none": (({**START, "status": 99},), "'99' is not three digits"),
    "an interim status": (({**START, "status": 103},), "103 announces another response"),
    "headers that are text": (({**START, "headers": [("a", "b")]},), "headers are pairs of bytes"),
    "headers that are no pairs": (({**START, "headers": [b"a: b"]},), "headers are pairs of bytes"),
    "a line within a header": (({**START, "headers": [(b"a", b"b\r\nc: d")]},), "control character"),
    "two lengths": (({**START, "headers": [(b"content-length", b"1")] * 2},), "given twice"),
    "a body that is text": ((START, {**BODY, "body": "hello"}), "the body is a str, not bytes"),
    "too few bytes at once": (
        ({**START, "headers": [(b"content-length", b"9")]}, BODY),
        "4 bytes shorter than its Content-Length",
    ),
    "a file without a path": ((START, {"type": "http.response.pathsend"}), "has no 'path'"),
}


@pytest.mark.parametrize("what", list(BEFORE))
def test_a_fault_before_the_head_has_left_is_a_500_and_one_line(what, caplog):
    messages, reason = BEFORE[what]
    request = run(saying(*messages))
    assert (request.status, request.ended) == (500, "finished")
    assert "Status: 500 Internal Server Error" in request.head
    assert b"ref" in request.body
    assert request.reference == "ref"
    assert reason in said(caplog)
    assert lines(caplog)[0].startswith("[ref] the application failed before its response: 'GET' '/'")


@pytest.mark.parametrize("messages", [(), (START,)], ids=["nothing", "a head"])
def test_an_exception_before_the_head_has_left_is_a_500_without_its_text(messages, caplog):
    request = run(saying(*messages, then=ValueError("a secret")))
    assert (request.status, request.ended, b"secret" in request.output) == (500, "finished", False)
    assert said(caplog) == "a secret"


def test_the_page_of_a_500_is_left_out_for_head():
    request = run(saying(then=ValueError()), method="HEAD")
    assert (request.status, request.body) == (500, b"")


MIDDLE = {
    "an exception": ((START, PART), ValueError("boom"), "boom"),
    "nothing more": ((START, PART), None, "returned before its response was complete"),
    "a second head": ((START, PART, START), None, "sent twice"),
    "a body that is text": ((START, PART, {**BODY, "body": "hello"}), None, "not bytes"),
    "fewer bytes than said": (
        ({**START, "headers": [(b"content-length", b"99")]}, PART, BODY),
        None,
        "90 bytes shorter",
    ),
}


@pytest.mark.parametrize("what", list(MIDDLE))
def test_a_fault_in_the_middle_breaks_the_response_off_and_is_one_line(what, caplog):
    messages, error, reason = MIDDLE[what]
    request = run(saying(*messages, then=error))
    assert (request.status, request.ended, request.body) == (200, "aborted", b"part")
    assert reason in said(caplog)
    assert lines(caplog)[0].startswith("[ref] the application failed in the middle of its response")


AFTER = {
    "an exception": (None, ValueError("boom"), "boom"),
    "a second head": (START, None, "sent twice"),
    "a second body": (BODY, None, "came after the last one"),
}


@pytest.mark.parametrize("what", list(AFTER))
def test_a_fault_after_the_response_costs_the_client_nothing_and_is_one_line(what, caplog):
    message, error, reason = AFTER[what]
    request = run(saying(START, BODY, *([message] if message else []), then=error))
    assert (request.status, request.ended, request.body) == (200, "finished", b"hello")
    assert reason in said(caplog)
    assert lines(caplog)[0].startswith("[ref] the application failed after its response")


def test_more_bytes_than_said_are_cut_off_and_one_line(caplog):
    request = run(saying({**START, "headers": [(b"content-length", b"3")]}, BODY))
    assert (request.body, request.ended) == (b"hel", "finished")
    assert lines(caplog) == ["'GET' '/': the application gave more bytes than its Content-Length; the rest was dropped"]


def test_a_head_that_some_web_servers_would_refuse_is_one_line(caplog):
    for _ in range(2):
        run(saying({**START, "headers": [(b"x", b"y" * 9000)]}, BODY))
    assert ["too big for some web servers" in line for line in lines(caplog)] == [True]


def test_hop_by_hop_headers_are_left_out_and_one_line(caplog):
    for _ in range(2):
        request = run(saying({**START, "headers": [(b"connection", b"close"), (b"x", b"y")]}, BODY))
    assert ("connection" in request.head, "x: y" in request.head) == (False, True)
    assert len(lines(caplog)) == 1


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("whatever")])
def test_what_is_raised_because_the_client_has_left_is_no_line(error, caplog):
    async def app(scope, receive, _send):
        scope["test"].leave()
        assert (await receive())["type"] == "http.disconnect"
        raise error

    async def wrapped(scope, receive, send):
        # The gateway's own receive, bound to its request.
        await app({**scope, "test": receive.__self__._request}, receive, send)

    request = run(wrapped)
    assert (request.ended, lines(caplog)) == ("", [])


@pytest.mark.parametrize("data", [bytearray(b"hello"), memoryview(b"hello")], ids=["bytearray", "memoryview"])
def test_whatever_holds_bytes_is_a_body(data):
    assert run(saying(START, {**BODY, "body": data})).body == b"hello"
