"""Tests of the record trace: each record becomes one line of printable text, however it arrives."""

from __future__ import annotations

from penstock.protocol.spec import Role
from penstock.server.tracing import RecordTrace, describe
from penstock.testing import build


def test_each_direction_has_its_sign_and_its_own_record_borders():
    lines: list[str] = []
    trace = RecordTrace("#1", lines.append)
    wire = build.begin(Role.RESPONDER, 1)
    trace.inbound(wire[:5])
    trace.outbound(build.record(6, 1, b"out"))
    assert lines == ["#1 > STDOUT id=1 3 bytes b'out'"]
    trace.inbound(wire[5:])
    assert lines[1:] == [r"#1 < BEGIN_REQUEST id=1 8 bytes b'\x00\x01\x01\x00\x00\x00\x00\x00'"]


def test_content_is_cut_and_holds_nothing_that_a_terminal_obeys():
    line = describe(5, 7, b"\x1b]2;x\x07\r\n%s" + b"\xff" * 1000)
    assert line.startswith("STDIN id=7 1010 bytes b'")
    assert line.endswith("'...")
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < 300


def test_types_that_nobody_knows_have_a_name_too():
    assert describe(99, 0, b"") == "TYPE_99 id=0 0 bytes"


def test_bytes_that_are_no_records_are_a_line_and_no_error():
    lines: list[str] = []
    trace = RecordTrace("#1", lines.append)
    trace.inbound(b"GET / HTTP/1.1\r\n\r\n")
    assert lines[0].startswith("#1 ! ")
    assert "version 71" in lines[0]
