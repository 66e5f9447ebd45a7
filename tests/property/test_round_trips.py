"""This file holds encoders and decoders to the law that what goes in comes out again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.protocol import records
from penstock.protocol.params import decode, encode
from penstock.protocol.records import RecordReader
from penstock.testing import build
from tests.property.strategies import LONG_RUN, contents, cuts, paddings, pairs
from tests.vectors.wire import long_pair, pair

pytestmark = LONG_RUN


@given(pairs)
def test_pairs_come_back(given_pairs):
    assert decode(encode([(name.encode("latin-1"), value.encode("latin-1")) for name, value in given_pairs])) == (
        given_pairs
    )


@given(st.lists(st.tuples(st.binary(max_size=127), st.binary(max_size=127), st.booleans()), max_size=20))
def test_pairs_come_back_from_either_form_of_their_lengths(given_pairs):
    block = b"".join((long_pair if long else pair)(name, value) for name, value, long in given_pairs)
    assert decode(block) == [(name.decode("latin-1"), value.decode("latin-1")) for name, value, _ in given_pairs]


@given(pairs)
def test_our_encoder_takes_the_shortest_form(given_pairs):
    block = build.pair_block(given_pairs)
    lengths = [len(part) for one in given_pairs for part in one]
    assert len(block) == sum(lengths) + sum(1 if length < 128 else 4 for length in lengths)


@given(st.lists(st.tuples(st.integers(0, 255), st.integers(0, 65535), contents, paddings), max_size=20), cuts())
def test_records_come_back_however_they_are_cut(made, cut):
    wire = b"".join(records.record(*each) for each in made)
    reader = RecordReader()
    read = [record for piece in cut(wire) for record in reader.feed(piece)]
    assert read == [(kind, request_id, content) for kind, request_id, content, _ in made]
    assert reader.pending == 0


@given(st.integers(0, 255), st.integers(1, 65535), st.integers(0, 300_000), st.binary(min_size=1, max_size=7))
def test_a_stream_comes_back_from_its_records_and_none_of_them_ends_it(kind, request_id, size, pattern):
    content = (pattern * (size // len(pattern) + 1))[:size]
    read = RecordReader().feed(records.stream(kind, request_id, content))
    assert all(piece and (one, other) == (kind, request_id) for one, other, piece in read)
    assert b"".join(piece for _, _, piece in read) == content


@given(st.integers(0, 65535), st.integers(0, 255))
def test_begin_request_comes_back(role, flags):
    ((_, _, content),) = RecordReader().feed(records.begin_request(1, role, flags))
    assert records.parse_begin_request(content) == (role, flags)


@given(st.integers(0, 2**32 - 1), st.integers(0, 255))
def test_end_request_comes_back(app_status, status):
    ((_, _, content),) = RecordReader().feed(records.end_request(1, app_status, status))
    assert records.parse_end_request(content) == (app_status, status)
