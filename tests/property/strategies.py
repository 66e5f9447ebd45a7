"""This file is what properties are tried on: bytes, records, pairs, requests, and ways to cut them."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st

from penstock.protocol.spec import KEEP_CONN, RecordType, Role
from penstock.testing import build

LONG_RUN = pytest.mark.timeout(1800)
"""For properties, which `make fuzz` tries on 10,000 examples."""

request_ids = st.sampled_from([1, 2, 3, 256, 65535])
native = st.text(st.characters(max_codepoint=255), max_size=200)
pairs = st.lists(st.tuples(native, native), max_size=20)
contents = st.binary(max_size=300)
paddings = st.integers(0, 255)


@st.composite
def wild_records(draw):
    """One record that may be anything, though mostly of a kind that exists, for an id that is likely to be open."""
    kind = draw(st.sampled_from(list(RecordType)) | st.integers(0, 255))
    if kind == RecordType.BEGIN_REQUEST and draw(st.integers(0, 9)):
        return build.begin(draw(st.sampled_from([1, 1, 2, 3, 9])), draw(request_ids), draw(st.integers(0, 255)))
    content = draw(st.just(b"") | contents)
    if kind in (RecordType.PARAMS, RecordType.GET_VALUES) and draw(st.booleans()):
        content = build.pair_block(draw(pairs), long=draw(st.booleans()))
    request_id = draw(st.sampled_from([0, 1, 1, 2, 3]) | request_ids)
    version = draw(st.sampled_from([1] * 30 + [0, 2]))
    return build.record(kind, request_id, content, padding=draw(st.just(0) | paddings), version=version)


wild_wires = st.lists(wild_records(), max_size=30).map(b"".join)


@st.composite
def good_requests(draw, request_id=1):
    """A whole request as bytes of whole records, in the records that `build` cuts by itself."""
    role = draw(st.sampled_from(list(Role)))
    wire = build.begin(role, request_id, draw(st.sampled_from([0, KEEP_CONN, 0x81])))
    wire += build.params(draw(pairs), request_id, long=draw(st.booleans()))
    if role is not Role.AUTHORIZER:
        wire += build.stdin(draw(contents), request_id)
    if role is Role.FILTER:
        wire += build.data(draw(contents), request_id)
    return wire


@st.composite
def cuts(draw):
    """A function that cuts bytes into pieces of random sizes."""
    sizes = draw(st.lists(st.integers(1, 40) | st.integers(1, 70_000), min_size=1, max_size=8))

    def cut(wire):
        at = turn = 0
        while at < len(wire):
            size = sizes[turn % len(sizes)]
            yield wire[at : at + size]
            at += size
            turn += 1

    return cut
