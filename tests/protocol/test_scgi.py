"""This file tests SCGI's header: the netstring, its pairs, and what is wrong with either."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import TooManyPairs
from penstock.protocol.scgi import HeaderReader, HeaderTooLong, decode_header, encode_header

# The example of the specification, byte for byte.
EXAMPLE = (
    b"70:CONTENT_LENGTH\x0027\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00REQUEST_URI\x00/deepthought\x00,"
    b"What is the answer to life?"
)
PAIRS = [("CONTENT_LENGTH", "27"), ("SCGI", "1"), ("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/deepthought")]


def pairs_of(header: bytes, max_pairs: int = 10_000) -> list[tuple[str, str]]:
    return list(zip(*decode_header(header, max_pairs), strict=True))


def test_the_specifications_example():
    found = HeaderReader(1000).feed(EXAMPLE)
    assert found is not None
    header, rest = found
    assert pairs_of(header) == PAIRS
    assert rest == b"What is the answer to life?"


def test_encoding_gives_the_specifications_example():
    pairs = [(name.encode(), value.encode()) for name, value in PAIRS]
    assert encode_header(pairs[2:], 27) == EXAMPLE.partition(b"What")[0]


def test_a_header_may_be_cut_anywhere():
    for cut in range(1, EXAMPLE.index(b",What") + 1):
        reader = HeaderReader(1000)
        assert reader.feed(EXAMPLE[:cut]) is None
        assert reader.pending
        found = reader.feed(EXAMPLE[cut:])
        assert found is not None
        assert pairs_of(found[0]) == PAIRS
        assert found[1] == b"What is the answer to life?"
        assert not reader.pending


def test_single_bytes_make_a_header_too():
    reader = HeaderReader(1000)
    results = [reader.feed(EXAMPLE[at : at + 1]) for at in range(EXAMPLE.index(b",What") + 1)]
    assert [result for result in results if result is not None] == [(EXAMPLE[3 : EXAMPLE.index(b",What")], b"")]


def test_nothing_fed_is_nothing_pending():
    reader = HeaderReader(1000)
    assert reader.feed(b"") is None
    assert reader.pending == 0


@pytest.mark.parametrize(
    "wire",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x01\x01\x00\x01\x00\x08\x00\x00",  # FastCGI
        b":",
        b"-1:",
        b"+5:",
        b" 5:",
        b"07:",
        b"5 :",
        b"5x",
        b"12345678901",  # more digits than anybody takes
    ],
)
def test_what_is_no_netstring_is_refused_at_once(wire):
    with pytest.raises(RemoteProtocolError, match="no SCGI peer"):
        HeaderReader(10**9).feed(wire)


def test_a_netstring_ends_in_a_comma():
    with pytest.raises(RemoteProtocolError, match="comma"):
        HeaderReader(1000).feed(EXAMPLE.replace(b",What", b"!What"))


def test_a_length_over_the_limit_is_refused_before_anything_is_held():
    assert HeaderReader(100).feed(b"100:") is None
    with pytest.raises(HeaderTooLong):
        HeaderReader(100).feed(b"101:")


def test_an_announced_length_costs_nothing():
    tracemalloc.start()
    try:
        HeaderReader(10**9).feed(b"999999999:")
        assert tracemalloc.get_traced_memory()[1] < 10_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("header", "why"),
    [
        (b"", "NUL"),
        (b"CONTENT_LENGTH\x000\x00SCGI\x001", "NUL"),
        (b"CONTENT_LENGTH\x000\x00SCGI\x001\x00ODD\x00", "without a value"),
        (b"SCGI\x001\x00CONTENT_LENGTH\x000\x00", "not with CONTENT_LENGTH"),
        (b"CONTENT_LENGTH\x000\x00A\x00b\x00", "SCGI=1"),
        (b"CONTENT_LENGTH\x000\x00SCGI\x002\x00", "SCGI=1"),
    ],
)
def test_what_is_no_scgi_header_is_refused_with_the_reason(header, why):
    with pytest.raises(RemoteProtocolError, match=why):
        decode_header(header)


def test_repeats_empty_values_and_every_byte_but_nul_are_kept():
    every = bytes(range(1, 256))
    header = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00A\x00\x00A\x00" + every + b"\x00"
    assert pairs_of(header)[2:] == [("A", ""), ("A", every.decode("latin-1"))]


def test_as_many_pairs_as_allowed_pass_and_not_one_more():
    header = b"CONTENT_LENGTH\x000\x00SCGI\x001\x00" + b"A\x00b\x00" * 8
    assert len(pairs_of(header, 10)) == 10
    with pytest.raises(TooManyPairs):
        decode_header(header, 9)


@pytest.mark.parametrize("pair", [(b"", b"x"), (b"A\0", b"x"), (b"A", b"\0")])
def test_what_scgi_cannot_carry_is_not_encoded(pair):
    with pytest.raises(LocalProtocolError):
        encode_header([pair], 0)


def test_length_and_version_stand_first_and_once_whatever_the_pairs_say():
    wire = encode_header([(b"A", b"1"), (b"CONTENT_LENGTH", b"9"), (b"SCGI", b"2"), (b"A", b"3")], 5)
    found = HeaderReader(1000).feed(wire)
    assert found is not None
    assert pairs_of(found[0]) == [("CONTENT_LENGTH", "5"), ("SCGI", "1"), ("A", "3")]


TEXT = st.binary(max_size=40).map(lambda value: value.replace(b"\0", b""))


@given(st.dictionaries(TEXT.filter(bool), TEXT, max_size=20), st.binary(max_size=50), st.integers(0, 2**60))
def test_what_was_encoded_is_read_as_it_was(pairs, rest, length):
    found = HeaderReader(10**6).feed(encode_header(pairs.items(), length) + rest)
    assert found is not None
    header, left = found
    assert left == rest
    read = {name.encode("latin-1"): value.encode("latin-1") for name, value in pairs_of(header)}
    assert read == {**pairs, b"CONTENT_LENGTH": b"%d" % length, b"SCGI": b"1"}


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_at_all_raise_nothing_but_a_protocol_error(pieces):
    reader = HeaderReader(1000)
    try:
        for piece in pieces:
            found = reader.feed(piece)
            if found is not None:
                decode_header(found[0])
                break
    except RemoteProtocolError:
        pass
