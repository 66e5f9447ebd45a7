"""This file tests name-value pairs: both forms of a length, what is malformed, and what a length costs."""

from __future__ import annotations

import tracemalloc

import pytest

from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import TooManyPairs, decode, encode

MIB = 1024 * 1024


@pytest.mark.parametrize(
    ("size", "form"),
    [
        (0, b"\x00"),
        (1, b"\x01"),
        (127, b"\x7f"),
        (128, b"\x80\x00\x00\x80"),
        (1000, b"\x80\x00\x03\xe8"),
        (65535, b"\x80\x00\xff\xff"),
        (33554431, b"\x81\xff\xff\xff"),
    ],
)
def test_a_length_is_one_byte_up_to_127_and_four_from_128_on(size, form):
    value = bytes(size)
    assert encode([(b"", value)]) == b"\0" + form + value
    assert encode([(value, b"")]) == form + b"\0" + value
    assert decode(b"\x01" + form + b"N" + value) == [("N", "\0" * size)]
    assert decode(form + b"\x01" + value + b"V") == [("\0" * size, "V")]


def test_pairs_keep_their_order_and_their_repeats():
    pairs = [(b"B", b"1"), (b"A", b"2"), (b"B", b"3"), (b"", b""), (b"", b"4")]
    assert decode(encode(pairs)) == [("B", "1"), ("A", "2"), ("B", "3"), ("", ""), ("", "4")]


def test_bytes_become_characters_one_to_one():
    every = bytes(range(256))
    assert decode(encode([(every, every)])) == [(every.decode("latin-1"), every.decode("latin-1"))]


def test_no_block_means_no_pairs():
    assert decode(b"") == []
    assert encode([]) == b""


@pytest.mark.parametrize("long_name", [False, True])
@pytest.mark.parametrize("long_value", [False, True])
def test_each_length_may_have_the_long_form_by_itself(long_name, long_value):
    block = (b"\x80\0\0\x01" if long_name else b"\x01") + (b"\x80\0\0\x02" if long_value else b"\x02") + b"Axy"
    assert decode(block * 3) == [("A", "xy")] * 3


@pytest.mark.parametrize("whole", [b"\x01\x02Axy", b"\x80\0\0\x01\x80\0\0\x02Axy", b"\x01\x80\0\0\x02Axy"])
def test_a_pair_that_is_cut_anywhere_is_refused(whole):
    for size in range(1, len(whole)):
        with pytest.raises(RemoteProtocolError):
            decode(b"\x01\x01B1" + whole[:size])


@pytest.mark.parametrize(
    "block",
    [
        bytes.fromhex("ffffffffffffffff"),
        bytes.fromhex("80000001"),
        bytes.fromhex("7fffffff7fffffff"),
        bytes.fromhex("80000000"),
        bytes.fromhex("00ffffffff"),
        bytes.fromhex("ffffffff00"),
        bytes.fromhex("0101") + b"A1" + bytes.fromhex("01ffffffff") + b"B",
    ],
)
def test_a_length_beyond_the_stream_is_refused_and_never_allocated(block):
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            decode(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_the_longest_stream_of_empty_pairs_that_is_allowed_passes():
    assert len(decode(b"\0\0" * 10_000)) == 10_000
    assert len(decode(b"\0\0" * 5, max_pairs=5)) == 5


def test_one_pair_more_than_allowed_is_refused():
    with pytest.raises(TooManyPairs, match="more than 10000 name-value pairs"):
        decode(b"\0\0" * 10_001)
    with pytest.raises(TooManyPairs):
        decode(b"\x01\x01A1" * 6, max_pairs=5)
    assert len(decode(b"\x01\x01A1" * 5, max_pairs=5)) == 5


def test_too_many_pairs_are_counted_before_any_is_built():
    block = b"\x05\x03NAME1val" * 100_000
    tracemalloc.start()
    try:
        with pytest.raises(TooManyPairs):
            decode(block)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB


def test_a_long_stream_of_few_pairs_passes_the_count():
    assert decode(encode([(b"A", b"x" * 50_000), (b"B", b"y")]), max_pairs=2) == [("A", "x" * 50_000), ("B", "y")]


def test_a_long_stream_that_is_cut_off_is_called_cut_off():
    with pytest.raises(RemoteProtocolError, match="cut off inside its lengths") as caught:
        decode(encode([(b"A", b"x" * 50_000)]) + b"\x01")
    assert not isinstance(caught.value, TooManyPairs)


class _Huge(bytes):
    """Says that it has 2 GiB."""

    def __len__(self) -> int:
        return 2**31


def test_what_no_length_can_say_is_not_encoded():
    with pytest.raises(LocalProtocolError, match="2147483648 bytes"):
        encode([(b"A", _Huge())])
