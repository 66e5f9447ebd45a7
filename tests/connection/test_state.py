"""This file holds the tables of a request's life to what the specification's few sentences about streams imply."""

from __future__ import annotations

from itertools import product

import pytest

from penstock.connection.state import INPUT_TYPES, MOVES, NEXT_PHASE, OUTPUT_MOVES, STREAMS, Move, Phase, Refusal
from penstock.protocol.spec import MANAGEMENT_TYPES, ProtocolStatus, RecordType, Role

ROLES = list(Role)


def stairs(role: Role) -> list[Phase]:
    return [Phase.PARAMS, *(Phase(stream) for stream in STREAMS[role]), Phase.COMPLETE]


def implied(role: Role, phase: Phase, kind: RecordType) -> Move:
    """What the role's tuple of streams says about a record, in words instead of rows."""
    if kind is RecordType.BEGIN_REQUEST:
        return Move.TWICE
    if phase is Phase.ABORTED:
        return Move.IGNORE
    if kind is RecordType.ABORT_REQUEST:
        return Move.ABORT
    if kind not in (RecordType.PARAMS, *STREAMS[role]):
        return Move.IGNORE
    turn = stairs(role).index(Phase(kind)) - stairs(role).index(phase)
    if turn == 0:
        return Move.TAKE
    return Move.EARLY if turn > 0 else Move.AGAIN


def test_the_roles_have_the_streams_of_section_6():
    assert STREAMS == {
        Role.RESPONDER: (RecordType.STDIN,),
        Role.AUTHORIZER: (),
        Role.FILTER: (RecordType.STDIN, RecordType.DATA),
    }


def test_the_table_has_every_cell_and_no_other():
    cells = {(role, phase, kind) for role in Role for phase in (*stairs(role), Phase.ABORTED) for kind in INPUT_TYPES}
    assert set(MOVES) == cells


@pytest.mark.parametrize("cell", MOVES, ids=lambda cell: "-".join(part.name for part in cell))
def test_each_cell_says_what_follows_from_the_streams(cell):
    assert MOVES[cell] is implied(*cell)


@pytest.mark.parametrize("role", ROLES)
def test_each_end_of_a_stream_is_one_step_down_the_stairs(role):
    walked = [Phase.PARAMS]
    while walked[-1] in NEXT_PHASE[role]:
        walked.append(NEXT_PHASE[role][walked[-1]])
    assert walked == stairs(role)


def test_an_open_phase_is_the_number_of_its_records_and_a_closed_one_is_no_record_at_all():
    """So `kind == phase` means content of the open stream, whatever byte a peer puts there."""
    for phase in Phase:
        if phase in (Phase.COMPLETE, Phase.ABORTED):
            assert phase not in range(256)
        else:
            assert RecordType[phase.name] == int(phase)


def test_a_record_is_taken_exactly_where_it_is_content_of_the_open_stream():
    assert {cell for cell, move in MOVES.items() if move is Move.TAKE} == {
        (role, phase, kind) for role, phase, kind in MOVES if phase == int(kind)
    }


def test_the_two_tables_and_the_management_records_share_out_the_types():
    inbound = set(INPUT_TYPES)
    outbound = {kind for kind, _ in OUTPUT_MOVES} | {RecordType.END_REQUEST}
    assert not inbound & outbound
    assert inbound | outbound | MANAGEMENT_TYPES == set(RecordType)


def test_an_output_stream_is_taken_until_it_has_ended():
    moves = {False: Move.TAKE, True: Move.AGAIN}
    kinds = (RecordType.STDOUT, RecordType.STDERR)
    expected = {(kind, ended): move for kind, (ended, move) in product(kinds, moves.items())}
    assert expected == OUTPUT_MOVES


def test_every_refusal_ends_a_request_with_a_status_of_section_5_5():
    assert {refusal.value for refusal in Refusal} == set(ProtocolStatus)
