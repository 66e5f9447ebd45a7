"""This file holds connections to the law that any bytes make events or a RemoteProtocolError, and nothing else."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import (
    InputEnded,
    InputReceived,
    RequestAborted,
    RequestBegan,
    RequestRefused,
)
from penstock.connection.limits import Limits
from penstock.connection.state import MOVES, NEXT_PHASE, STREAMS, Move, Phase
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import decode
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import MANAGEMENT_TYPES, RecordType, Role
from penstock.testing import build
from tests.property.strategies import LONG_RUN, contents, cuts, wild_wires

pytestmark = LONG_RUN

APPLICATION_EVENTS = (InputEnded, InputReceived, RequestAborted, RequestBegan, RequestRefused)


def survives(connection, pieces):
    """Feed until a fault; any other exception than a RemoteProtocolError passes through, as a failure."""
    events = []
    for piece in pieces:
        try:
            events += connection.receive_data(piece)
        except RemoteProtocolError:
            with pytest.raises(LocalProtocolError):
                connection.receive_data(piece)
            break
    return events


@given(st.binary(max_size=2000), cuts())
def test_any_bytes_make_events_or_a_protocol_error(wire, cut):
    survives(ApplicationConnection(), cut(wire))
    web_server = WebServerConnection()
    web_server.begin(Role.RESPONDER, [])
    survives(web_server, cut(wire))


@given(wild_wires, cuts(), st.sampled_from([Limits(), Limits(params=50, pairs=3, requests=1)]))
def test_any_records_make_events_or_a_protocol_error(wire, cut, limits):
    connection = ApplicationConnection(limits)
    events = survives(connection, cut(wire))
    for event in events:
        assert isinstance(event, APPLICATION_EVENTS)
        assert connection.is_open(event.request_id)
    # Whatever came, what the connection says of itself is records.
    assert {kind for kind, _, _ in RecordReader().feed(connection.take_answers())} <= MANAGEMENT_TYPES
    for request_id in {event.request_id for event in events} | {0, 1, 2, 3, 256, 65535}:
        if connection.is_open(request_id):
            connection.finish(request_id)
    assert connection.open_requests == 0


@given(wild_wires, cuts(), st.lists(st.sampled_from([1, 2, 3]), unique=True))
def test_any_records_from_an_application_make_events_or_a_protocol_error(wire, cut, request_ids):
    connection = WebServerConnection()
    for request_id in request_ids:
        connection.begin(Role.RESPONDER, [], request_id=request_id)
    connection.ask_values(["FCGI_MPXS_CONNS"])
    for event in survives(connection, cut(wire)):
        assert getattr(event, "request_id", 1) in (1, *request_ids)


@given(st.binary(max_size=300))
def test_any_block_makes_pairs_or_a_protocol_error(block):
    try:
        found = decode(block, max_pairs=20)
    except RemoteProtocolError:
        return
    # Whatever was decoded accounts for every byte of the block.
    lengths = sum(len(name) + len(value) for name, value in found)
    assert lengths + 2 * len(found) <= len(block) <= lengths + 8 * len(found)


def standing_at(role: Role, phase: Phase) -> ApplicationConnection:
    """A connection whose request 1 has come this far."""
    connection = ApplicationConnection()
    connection.receive_data(build.begin(role))
    if phase is Phase.ABORTED:
        connection.receive_data(build.abort())
        return connection
    for stream in (RecordType.PARAMS, *STREAMS[role]):
        if phase == int(stream):
            break
        connection.receive_data(build.record(stream, 1))
    return connection


CELLS = list(
    product(
        [(role, phase) for role in Role for phase in (*NEXT_PHASE[role], Phase.COMPLETE, Phase.ABORTED)],
        range(256),
    )
)


@given(st.sampled_from(CELLS), st.just(b"") | contents)
def test_a_record_does_what_the_table_says_for_every_role_phase_and_type(cell, content):
    check_cell(cell, content)


@pytest.mark.parametrize("content", [b"", b"\1\1A1"])
def test_the_whole_product_of_roles_phases_and_types(content):
    for cell in CELLS:
        check_cell(cell, content)


def check_cell(cell, content):
    (role, phase), kind = cell
    connection = standing_at(role, phase)
    known = kind in set(RecordType)
    move = MOVES.get((role, phase, RecordType(kind))) if known else Move.IGNORE
    illegal = move in (None, Move.TWICE, Move.EARLY) or (move is Move.AGAIN and content)
    try:
        events = connection.receive_data(build.record(kind, 1, content))
    except RemoteProtocolError:
        # PARAMS that end here hold no broken pair, so a fault is the table's.
        assert illegal
        return
    assert not illegal
    assert connection.is_open(1)
    if move in (Move.IGNORE, Move.AGAIN):
        assert events == []
    elif move is Move.ABORT:
        assert events == [RequestAborted(1)]
    elif kind == RecordType.PARAMS:
        assert events == ([] if content else [RequestBegan.of(1, role, True, [])])
    else:
        stream = RecordType(kind)
        last = NEXT_PHASE[role][phase] is Phase.COMPLETE
        assert events == [InputReceived(1, stream, content) if content else InputEnded(1, stream, last)]
