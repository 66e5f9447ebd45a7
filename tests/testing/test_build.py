"""This file tests the builders of records against bytes written out by hand."""

from __future__ import annotations

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import RecordType, Role
from penstock.testing import build, joined


def test_a_record_may_lie_about_everything():
    assert build.record(5, 1, b"abc", padding=2) == bytes.fromhex("0105000100030200 616263 a5a5")
    assert build.record(5, 1, b"abc", version=9, length=65535) == bytes.fromhex("09050001ffff0000 616263")


def test_the_records_of_a_web_server():
    assert build.begin() == bytes.fromhex("0101000100080000 0001010000000000")
    assert build.begin(9, 300, 0x80, padding=1) == bytes.fromhex("0101012c00080100 0009800000000000 a5")
    assert build.params({"A": "1"}) == bytes.fromhex("0104000100040000 01014131 0104000100000000")
    assert build.params([("A", "1")], 2, end=False) == bytes.fromhex("0104000200040000 01014131")
    assert build.params({"A": "1"}, long=True, end=False) == bytes.fromhex("01040001000a0000 80000001 80000001 4131")
    assert build.stdin(b"ab", 3) == bytes.fromhex("0105000300020000 6162 0105000300000000")
    assert build.data(b"ab", end=False) == bytes.fromhex("0108000100020000 6162")
    assert build.abort(7) == bytes.fromhex("0102000700000000")
    assert build.get_values("X") == bytes.fromhex("0109000000030000 0100 58")


def test_a_stream_is_cut_and_padded_as_asked():
    assert build.stdin(b"abc", cut=2, padding=1) == bytes.fromhex(
        "0105000100020100 6162 a5 0105000100010100 63 a5 0105000100000100 a5"
    )
    assert build.stdin() == bytes.fromhex("0105000100000000")
    assert build.stdin(end=False) == b""


@pytest.mark.parametrize("role", [Role.RESPONDER, Role.AUTHORIZER])
def test_a_whole_request_is_what_its_role_gets(role):
    kinds = [kind for kind, _, _ in RecordReader().feed(build.request({"A": "1"}, b"x", role=role, request_id=4))]
    stdin = [RecordType.STDIN] * 2 if role is Role.RESPONDER else []
    assert kinds == [RecordType.BEGIN_REQUEST, RecordType.PARAMS, RecordType.PARAMS, *stdin]


def test_recut_cuts_streams_and_leaves_other_records_whole():
    wire = build.begin() + build.params({"A": "1"}) + build.get_values("X") + build.stdin(b"abc")
    made = RecordReader().feed(build.recut(wire, sizes=[1, 2], paddings=[0, 255]))
    assert [(kind, content) for kind, _, content in made] == [
        (1, bytes.fromhex("0001010000000000")),
        (4, b"\x01"),
        (4, b"\x01A"),
        (4, b"1"),
        (4, b""),
        (9, b"\x01\x00X"),
        (5, b"ab"),
        (5, b"c"),
        (5, b""),
    ]
    assert len(build.recut(wire, [1], [9])) == len(build.recut(wire, [1], [0])) + 9 * 11


def test_recut_means_the_same():
    wire = build.request({"A": "x" * 300}, b"body" * 100)
    expected = joined(ApplicationConnection().receive_data(wire))
    assert joined(ApplicationConnection().receive_data(build.recut(wire))) == expected
