"""This file tests how bytes become records and records bytes, down to each byte of a header."""

from __future__ import annotations

import pytest

from penstock.protocol import records
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.records import RecordReader


def test_a_header_says_version_type_id_content_and_padding_in_network_order():
    assert records.record(5, 0x1234, b"abc", 5) == b"\x01\x05\x12\x34\x00\x03\x05\x00abc\0\0\0\0\0"
    assert records.header(6, 0xFFFF, 0xABCD) == b"\x01\x06\xff\xff\xab\xcd\x00\x00"


def test_the_largest_record_has_65535_bytes_and_255_of_padding():
    made = records.record(5, 1, b"x" * 65535, 255)
    assert len(made) == 8 + 65535 + 255
    assert RecordReader().feed(made) == [(5, 1, b"x" * 65535)]


@pytest.mark.parametrize(("content", "padding"), [(b"x" * 65536, 0), (b"", 256), (b"", -1)])
def test_what_does_not_fit_a_record_is_refused(content, padding):
    with pytest.raises(LocalProtocolError, match="do not fit one record"):
        records.record(5, 1, content, padding)


def test_a_stream_is_cut_into_records_that_need_no_padding():
    content = bytes(range(256)) * 600
    made = RecordReader().feed(records.stream(6, 300, content))
    assert [len(piece) for _, _, piece in made] == [65528, 65528, 153600 - 2 * 65528]
    assert {(kind, request_id) for kind, request_id, _ in made} == {(6, 300)}
    assert b"".join(piece for _, _, piece in made) == content


@pytest.mark.parametrize("content", [b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_a_stream_takes_any_buffer(content):
    assert records.stream(6, 1, content) == b"\x01\x06\x00\x01\x00\x03\x00\x00abc"


def test_no_content_makes_no_record_because_an_empty_one_would_end_the_stream():
    assert records.stream(6, 1, b"") == b""


@pytest.mark.parametrize("size", [65528, 65529])
def test_a_stream_around_the_size_of_one_record(size):
    made = RecordReader().feed(records.stream(6, 1, b"x" * size))
    assert [len(piece) for _, _, piece in made] == ([65528] if size == 65528 else [65528, 1])


def test_the_records_with_fixed_contents_have_the_bytes_of_section_5():
    assert records.begin_request(1, 2, 1) == bytes.fromhex("0101000100080000 0002010000000000")
    assert records.end_request(258, 3, 2) == bytes.fromhex("0103010200080000 0000000302000000")
    assert records.end_request(1, -1) == bytes.fromhex("0103000100080000 ffffffff00000000")
    assert records.unknown_type(200) == bytes.fromhex("010b000000080000 c800000000000000")
    assert records.response(2, b"", 5) == bytes.fromhex("0106000200000000 0103000200080000 0000000500000000")


def test_what_a_fixed_content_says_comes_back():
    assert records.parse_begin_request(bytes.fromhex("ffff81aaaaaaaaaa")) == (65535, 0x81)
    assert records.parse_end_request(bytes.fromhex("fffffffe03aaaaaa")) == (0xFFFFFFFE, 3)
    assert records.parse_unknown_type(bytes.fromhex("0caaaaaaaaaaaaaa")) == 12


@pytest.mark.parametrize("size", [0, 7, 9, 16])
@pytest.mark.parametrize("parse", [records.parse_begin_request, records.parse_end_request, records.parse_unknown_type])
def test_a_fixed_content_of_another_size_is_refused(parse, size):
    with pytest.raises(RemoteProtocolError, match=f"with {size} bytes"):
        parse(bytes(size))


def test_a_reader_keeps_what_is_not_whole_yet():
    reader = RecordReader()
    wire = records.record(5, 1, b"abc", 4) + records.record(5, 1)
    assert reader.feed(wire[:10]) == []
    assert reader.pending == 10
    assert reader.feed(wire[10:17]) == [(5, 1, b"abc")]
    assert reader.pending == 2
    assert reader.feed(wire[17:]) == [(5, 1, b"")]
    assert reader.pending == 0


def test_padding_that_has_not_arrived_holds_its_record_back():
    reader = RecordReader()
    assert reader.feed(b"\x01\x05\x00\x01\x00\x00\x02\x00\xaa") == []
    assert reader.feed(b"\xaa") == [(5, 1, b"")]


def test_what_a_record_reserves_is_not_looked_at():
    assert RecordReader().feed(b"\x01\x05\x00\x01\x00\x01\x00\xffx") == [(5, 1, b"x")]


@pytest.mark.parametrize("version", [0, 2, 255])
def test_another_version_is_refused_as_soon_as_its_header_is_there(version):
    reader = RecordReader()
    header = bytes((version, 5, 0, 1, 255, 255, 255, 0))
    assert reader.feed(header[:7]) == []
    with pytest.raises(RemoteProtocolError, match=f"version {version}"):
        reader.feed(header[7:])


def test_a_spent_reader_takes_nothing():
    with pytest.raises(LocalProtocolError, match="3 bytes"):
        records.SpentReader().feed(b"abc")
