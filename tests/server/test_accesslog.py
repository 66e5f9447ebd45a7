"""Tests of the access log: a request is one line that says what happened, whatever the request holds."""

from __future__ import annotations

import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.request import Request
from penstock.server.accesslog import AccessLog, escape
from penstock.testing import MemoryRequest

PARAMS = {
    "REQUEST_METHOD": "GET",
    "REQUEST_URI": "/a%20b?c=d",
    "REMOTE_ADDR": "192.0.2.1",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "HTTP_REFERER": "http://example.org/",
    "HTTP_USER_AGENT": "Mozilla/5.0",
}
LINE = re.compile(
    r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4} ([!-~]+) "([ -~]*)" (\d{3}|-) (\d+)B (\d+\.\d)ms(?: ([0-9a-f]+))?\n'
)

HOSTILE = [
    "/\r\n2026-01-01T00:00:00+0000 192.0.2.9 forged",
    '/" 200 1B 0.1ms\n',
    "/\\",
    "/\\x0a",
    "\x1b]2;title\x07\x1b[31m",
    "\u202e".encode().decode("latin-1"),  # as it comes: each byte one character
    b"\xff\xfe\x80\x00\x85\x9b".decode("latin-1"),
    "\x7f\x00\t",
    "",
    " ",
]


class Pipe:
    """A log, and what has been written to it."""

    def __init__(self, style: str) -> None:
        self.end, writing = os.pipe()
        os.set_blocking(self.end, False)
        os.set_blocking(writing, False)
        self.writing = writing
        self.log = AccessLog(writing, style)

    def read(self) -> str:
        try:
            return os.read(self.end, 1 << 20).decode("ascii")
        except BlockingIOError:
            return ""

    def fill(self) -> None:
        """Leave no room for another line."""
        for size in (4096, 1):
            try:
                while True:
                    os.write(self.writing, b"\n" * size)
            except BlockingIOError:
                continue

    def close(self) -> None:
        os.close(self.end)
        os.close(self.writing)


@pytest.fixture
def text():
    made = Pipe("text")
    yield made
    made.close()


@pytest.fixture
def as_json():
    made = Pipe("json")
    yield made
    made.close()


def ended(params=PARAMS, status=200, size=12, reference="") -> Request:
    request = MemoryRequest([])
    request.params = dict(params)
    request.status, request.body_length, request.reference = status, size, reference
    return request


def test_a_line_says_who_asked_for_what_and_what_came(text):
    text.log.write(ended(), 0.00123)
    found = LINE.fullmatch(text.read())
    assert found
    assert found.groups() == ("192.0.2.1", "GET /a%20b?c=d", "200", "12", "1.2", None)


def test_a_failure_has_its_reference_and_a_request_without_an_answer_a_dash(text):
    text.log.write(ended(status=500, reference="a1b2c3"), 0)
    text.log.write(ended({}, 0, 0), 0)
    first, second = text.read().splitlines(keepends=True)
    assert first.endswith(" a1b2c3\n")
    assert LINE.fullmatch(first)
    assert ' - "- -" - 0B 0.0ms\n' in second


def test_without_request_uri_the_path_is_put_together(text):
    text.log.write(ended({"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "QUERY_STRING": "y=z"}), 0)
    assert '"- /app/x?y=z"' in text.read()


def test_json_holds_the_same_and_more(as_json):
    as_json.log.write(ended(reference="a1b2c3"), 0.00123)
    fields = json.loads(as_json.read())
    assert fields.pop("time")
    assert fields == {
        "remote": "192.0.2.1",
        "method": "GET",
        "uri": "/a%20b?c=d",
        "protocol": "HTTP/1.1",
        "role": "responder",
        "status": 200,
        "bytes": 12,
        "ms": 1.23,
        "referer": "http://example.org/",
        "agent": "Mozilla/5.0",
        "reference": "a1b2c3",
    }


@pytest.mark.parametrize("value", HOSTILE)
@pytest.mark.parametrize("name", list(PARAMS))
def test_nothing_in_a_request_forges_a_line(text, as_json, name, value):
    for pipe in (text, as_json):
        pipe.log.write(ended({**PARAMS, name: value}), 0)
        line = pipe.read()
        assert line.count("\n") == 1
        assert line.endswith("\n")
        assert line[:-1].isprintable()
        if pipe is text:
            found = LINE.fullmatch(line)
            assert found
            assert '"' not in found[2]
        else:
            fields = json.loads(line)
            assert value in fields.values() or (name, value) == ("REQUEST_URI", "")


native = st.text(st.characters(max_codepoint=255), max_size=80)


@given(native, native, native)
def test_any_text_stays_in_its_field(method, uri, remote):
    pipe = Pipe("text")
    try:
        pipe.log.write(ended({"REQUEST_METHOD": method, "REQUEST_URI": uri, "REMOTE_ADDR": remote}), 0)
        found = LINE.fullmatch(pipe.read())
        assert found
        assert found[2] == f"{escape(method) or '-'} {escape(uri) or '-'}"
    finally:
        pipe.close()


@given(native, native)
def test_two_texts_never_look_alike(one, other):
    assert (escape(one) == escape(other)) == (one == other)


@pytest.mark.parametrize("style", ["text", "json"])
def test_lines_that_find_no_room_are_counted_and_the_number_is_told(style):
    pipe = Pipe(style)
    try:
        pipe.fill()
        for _ in range(3):
            pipe.log.write(ended(), 0)
        while pipe.read():
            pass
        pipe.log.write(ended(), 0)
        pipe.log.write(ended(), 0)
        notice, line, other = pipe.read().splitlines()
        if style == "json":
            assert json.loads(notice) == {"lost": 3}
            assert json.loads(line)["status"] == json.loads(other)["status"] == 200
        else:
            assert notice == "# 3 lines lost"
            assert line == other
    finally:
        pipe.close()


def test_a_reader_that_has_stopped_reading_stops_nobody(text):
    """The pipe is full and writing to it would wait; the line is lost and counted instead."""
    text.fill()
    os.set_blocking(text.writing, True)
    text.log.write(ended(), 0.001)
    while text.read():
        pass
    text.log.write(ended(), 0.001)
    assert text.read().startswith("# 1 lines lost\n")


def test_a_line_that_was_cut_off_is_ended_and_counted(text, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:10]))
    text.log.write(ended(), 0)
    monkeypatch.setattr(os, "write", real)
    text.log.write(ended(), 0)
    torn, notice, line = text.read().splitlines(keepends=True)
    assert len(torn) == 11
    assert notice == "# 1 lines lost\n"
    assert LINE.fullmatch(line)


def test_a_log_that_is_closed_hurts_nobody():
    pipe = Pipe("text")
    pipe.close()
    pipe.log.write(ended(), 0)
    pipe.log.write(ended(), 0)


def test_a_format_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="xml"):
        AccessLog(1, "xml")
