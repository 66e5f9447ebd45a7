"""This file tests how records are shown."""

from __future__ import annotations

import pytest

from penstock.cli.records import RecordPrinter
from penstock.protocol.params import encode
from penstock.protocol.records import RecordReader, begin_request, end_request, record
from penstock.protocol.spec import RecordType


def shown(*wire: bytes, sign: str = ">") -> list[str]:
    lines: list[str] = []
    printer = RecordPrinter(lines.append)
    for one in RecordReader().feed(b"".join(wire)):
        printer(sign, one)
    return lines


@pytest.mark.parametrize(
    ("wire", "line"),
    [
        (begin_request(1, 1, 1), "> BEGIN_REQUEST id=1 role=RESPONDER flags=KEEP_CONN"),
        (begin_request(7, 2, 0), "> BEGIN_REQUEST id=7 role=AUTHORIZER flags=0"),
        (begin_request(7, 9, 0), "> BEGIN_REQUEST id=7 role=9 flags=0"),
        (end_request(1, 3), "> END_REQUEST id=1 app_status=3 protocol_status=REQUEST_COMPLETE"),
        (end_request(1, 0, 3), "> END_REQUEST id=1 app_status=0 protocol_status=UNKNOWN_ROLE"),
        (end_request(1, 0, 77), "> END_REQUEST id=1 app_status=0 protocol_status=77"),
        (record(RecordType.STDIN, 1), "> STDIN id=1 end"),
        (record(RecordType.STDOUT, 1, b"hello\n"), r"> STDOUT id=1 6 bytes b'hello\n'"),
        (record(RecordType.ABORT_REQUEST, 1), "> ABORT_REQUEST id=1 0 bytes"),
        (record(99, 0, b"?"), "> TYPE_99 id=0 1 bytes b'?'"),
    ],
)
def test_each_record_is_one_line_that_explains_it(wire, line):
    assert shown(wire) == [line]


def test_the_pairs_of_params_are_shown_once_all_are_there_though_they_cross_records():
    block = encode([(b"A", b"1"), (b"PATH_INFO", "/über".encode()), (b"EMPTY", b"")])
    wire = [record(RecordType.PARAMS, 1, part) for part in (block[:7], block[7:], b"")]
    assert shown(*wire) == [
        "> PARAMS id=1 7 bytes",
        f"> PARAMS id=1 {len(block) - 7} bytes",
        ">     A = 1",
        ">     PATH_INFO = /über",
        ">     EMPTY",
        "> PARAMS id=1 end",
    ]


def test_values_are_shown_as_pairs():
    wire = record(RecordType.GET_VALUES_RESULT, 0, encode([(b"FCGI_MAX_REQS", b"4")]))
    assert shown(wire, sign="<") == [f"< GET_VALUES_RESULT id=0 {len(wire) - 8} bytes", "<     FCGI_MAX_REQS = 4"]


def test_what_would_move_a_terminal_s_cursor_is_escaped():
    lines = shown(
        record(RecordType.STDOUT, 1, b"\x1b[2J"),
        record(RecordType.PARAMS, 1, encode([(b"A\x1b", b"\r\xff")])),
        record(RecordType.PARAMS, 1),
    )
    assert all(line.isprintable() for line in lines)


def test_a_record_that_cannot_be_read_is_shown_with_the_fault():
    assert "BEGIN_REQUEST with 1 bytes" in shown(record(RecordType.BEGIN_REQUEST, 1, b"x"))[0]
    assert len(shown(record(RecordType.GET_VALUES, 0, b"\x05\x05x"))) == 2
