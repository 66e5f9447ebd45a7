"""Tests of how a connection is shown: each record becomes lines of printable text, however it arrives."""

from __future__ import annotations

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.connection.limits import DEFAULT_LIMITS
from penstock.connection.scgi import ScgiConnection
from penstock.protocol.params import encode
from penstock.protocol.records import RecordReader, begin_request, end_request, record
from penstock.protocol.spec import RecordType, Role
from penstock.server.tracing import Explainer, RecordTrace, describe, trace_of
from penstock.testing import build


def explained(*wire: bytes) -> list[str]:
    explain = Explainer()
    return [line for one in RecordReader().feed(b"".join(wire)) for line in explain(*one)]


def test_each_direction_has_its_sign_and_its_own_record_borders():
    lines: list[str] = []
    trace = RecordTrace("#1", lines.append)
    wire = build.begin(Role.RESPONDER, 1)
    trace.inbound(wire[:5])
    trace.outbound(build.record(6, 1, b"out"))
    assert lines == ["#1 > STDOUT id=1 3 bytes b'out'"]
    trace.inbound(wire[5:])
    assert lines[1:] == ["#1 < BEGIN_REQUEST id=1 role=RESPONDER flags=KEEP_CONN"]


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
    trace = trace_of(ApplicationConnection(), "#1", lines.append)
    trace.inbound(b"GET / HTTP/1.1\r\n\r\n")
    assert lines[0].startswith("#1 ! ")
    assert "version 71" in lines[0]


def test_what_has_no_records_is_shown_as_it_passes():
    lines: list[str] = []
    trace = trace_of(ScgiConnection(), "#7", lines.append)
    trace.inbound(b"24:CONTENT_LENGTH\0")
    trace.outbound(b"Status: 200 OK\r\n")
    assert lines == [r"#7 < 18 bytes b'24:CONTENT_LENGTH\x00'", r"#7 > 16 bytes b'Status: 200 OK\r\n'"]


@pytest.mark.parametrize(
    ("wire", "line"),
    [
        (begin_request(1, 1, 1), "BEGIN_REQUEST id=1 role=RESPONDER flags=KEEP_CONN"),
        (begin_request(7, 2, 0), "BEGIN_REQUEST id=7 role=AUTHORIZER flags=0"),
        (begin_request(7, 9, 0), "BEGIN_REQUEST id=7 role=9 flags=0"),
        (end_request(1, 3), "END_REQUEST id=1 app_status=3 protocol_status=REQUEST_COMPLETE"),
        (end_request(1, 0, 3), "END_REQUEST id=1 app_status=0 protocol_status=UNKNOWN_ROLE"),
        (end_request(1, 0, 77), "END_REQUEST id=1 app_status=0 protocol_status=77"),
        (record(RecordType.STDIN, 1), "STDIN id=1 end"),
        (record(RecordType.STDOUT, 1, b"hello\n"), r"STDOUT id=1 6 bytes b'hello\n'"),
        (record(RecordType.ABORT_REQUEST, 1), "ABORT_REQUEST id=1 0 bytes"),
        (record(99, 0, b"?"), "TYPE_99 id=0 1 bytes b'?'"),
    ],
)
def test_each_record_is_one_line_that_explains_it(wire, line):
    assert explained(wire) == [line]


def test_the_pairs_of_params_are_shown_once_all_are_there_though_they_cross_records():
    block = encode([(b"A", b"1"), (b"PATH_INFO", "/über".encode()), (b"EMPTY", b"")])
    wire = [record(RecordType.PARAMS, 1, part) for part in (block[:7], block[7:], b"")]
    assert explained(*wire) == [
        "PARAMS id=1 7 bytes",
        f"PARAMS id=1 {len(block) - 7} bytes",
        "    A = 1",
        "    PATH_INFO = /über",
        "    EMPTY",
        "PARAMS id=1 end",
    ]


def test_the_params_of_two_requests_do_not_mix():
    first, second = (encode([(b"NAME", value)]) for value in (b"first", b"second"))
    wire = [(1, first[:4]), (2, second[:4]), (1, first[4:]), (2, second[4:]), (2, b""), (1, b"")]
    lines = explained(*(record(RecordType.PARAMS, number, part) for number, part in wire))
    assert lines[4:] == ["    NAME = second", "PARAMS id=2 end", "    NAME = first", "PARAMS id=1 end"]


def test_params_beyond_the_limit_are_not_kept():
    explain = Explainer()
    for number in range(1, 5000):
        list(explain(RecordType.PARAMS, number, bytes(65535)))
    assert sum(map(len, explain._params.values())) <= DEFAULT_LIMITS.params


def test_values_are_shown_as_pairs():
    wire = record(RecordType.GET_VALUES_RESULT, 0, encode([(b"FCGI_MAX_REQS", b"4")]))
    assert explained(wire) == [f"GET_VALUES_RESULT id=0 {len(wire) - 8} bytes", "    FCGI_MAX_REQS = 4"]


def test_what_would_move_a_terminal_s_cursor_is_escaped():
    lines = explained(
        record(RecordType.STDOUT, 1, b"\x1b[2J"),
        record(RecordType.PARAMS, 1, encode([(b"A\x1b", b"\r\xff")])),
        record(RecordType.PARAMS, 1),
    )
    assert all(line.isprintable() for line in lines)


def test_a_record_that_cannot_be_read_is_shown_with_the_fault():
    assert "BEGIN_REQUEST with 1 bytes" in explained(record(RecordType.BEGIN_REQUEST, 1, b"x"))[0]
    assert len(explained(record(RecordType.GET_VALUES, 0, b"\x05\x05x"))) == 2
