"""This file holds every rule of a request's life, as tables, and nothing that acts on them.

Law 1: whatever decides if a record is legal for a request stands here, and nowhere else.
Law 2: nothing here knows bytes, sockets, limits or what a record holds; only types, roles and phases.

A role is its tuple of input streams (section 6). A request's phase is the stream it waits for; when the last stream of
its role has ended, the input is COMPLETE. The web server walks a request down one of these stairs:

    Responder    PARAMS -> STDIN -> COMPLETE
    Authorizer   PARAMS -> COMPLETE
    Filter       PARAMS -> STDIN -> DATA -> COMPLETE

and ABORTED is one step away from each of them. The application answers on two streams of its own, and its END_REQUEST
ends the request from any phase; the id is then inactive, and an application ignores every record for an inactive id but
BEGIN_REQUEST (section 3.3).
"""

from __future__ import annotations

from enum import Enum, IntEnum
from itertools import pairwise
from typing import Final

from penstock.protocol.spec import ProtocolStatus, RecordType, Role

STREAMS: Final[dict[Role, tuple[RecordType, ...]]] = {
    Role.RESPONDER: (RecordType.STDIN,),
    Role.AUTHORIZER: (),
    Role.FILTER: (RecordType.STDIN, RecordType.DATA),
}
"""The input streams of each role, in their order (section 6)."""


class Phase(IntEnum):
    """Which stream of a request is open; the value of an open phase is the type of its records.

    The others are negative, because a peer may send any type from 0 to 255 and none may be taken for their content.
    """

    ABORTED = -2
    COMPLETE = -1
    PARAMS = RecordType.PARAMS
    STDIN = RecordType.STDIN
    DATA = RecordType.DATA


class Move(Enum):
    """What a record does to the request it names."""

    TAKE = "content of the open stream, or its end if empty"
    AGAIN = "a stream that has ended: its empty record may be repeated, content is a protocol error"
    EARLY = "a stream before its turn: a protocol error"
    IGNORE = "not for this role, or too late to matter"
    ABORT = "the web server wants no answer any more"
    TWICE = "a second BEGIN_REQUEST for an active id: a protocol error"


_TAKE, _AGAIN, _EARLY = Move.TAKE, Move.AGAIN, Move.EARLY
_IGNORE, _ABORT, _TWICE = Move.IGNORE, Move.ABORT, Move.TWICE

INPUT_TYPES: Final = (
    RecordType.BEGIN_REQUEST,
    RecordType.ABORT_REQUEST,
    RecordType.PARAMS,
    RecordType.STDIN,
    RecordType.DATA,
)
"""The record types that a web server may send for a request; the columns of the table below."""

_ROWS: Final[dict[tuple[Role, Phase], tuple[Move, ...]]] = {
    # role, phase                         BEGIN   ABORT    PARAMS   STDIN    DATA
    (Role.RESPONDER, Phase.PARAMS): (_TWICE, _ABORT, _TAKE, _EARLY, _IGNORE),
    (Role.RESPONDER, Phase.STDIN): (_TWICE, _ABORT, _AGAIN, _TAKE, _IGNORE),
    (Role.RESPONDER, Phase.COMPLETE): (_TWICE, _ABORT, _AGAIN, _AGAIN, _IGNORE),
    (Role.RESPONDER, Phase.ABORTED): (_TWICE, _IGNORE, _IGNORE, _IGNORE, _IGNORE),
    # Some web servers send an Authorizer an empty STDIN, some none, some a body: none of it is for us (section 6.3).
    (Role.AUTHORIZER, Phase.PARAMS): (_TWICE, _ABORT, _TAKE, _IGNORE, _IGNORE),
    (Role.AUTHORIZER, Phase.COMPLETE): (_TWICE, _ABORT, _AGAIN, _IGNORE, _IGNORE),
    (Role.AUTHORIZER, Phase.ABORTED): (_TWICE, _IGNORE, _IGNORE, _IGNORE, _IGNORE),
    (Role.FILTER, Phase.PARAMS): (_TWICE, _ABORT, _TAKE, _EARLY, _EARLY),
    (Role.FILTER, Phase.STDIN): (_TWICE, _ABORT, _AGAIN, _TAKE, _EARLY),
    (Role.FILTER, Phase.DATA): (_TWICE, _ABORT, _AGAIN, _AGAIN, _TAKE),
    (Role.FILTER, Phase.COMPLETE): (_TWICE, _ABORT, _AGAIN, _AGAIN, _AGAIN),
    (Role.FILTER, Phase.ABORTED): (_TWICE, _IGNORE, _IGNORE, _IGNORE, _IGNORE),
}

MOVES: Final[dict[tuple[Role, Phase, RecordType], Move]] = {
    (role, phase, kind): move
    for (role, phase), moves in _ROWS.items()
    for kind, move in zip(INPUT_TYPES, moves, strict=True)
}
"""What each record does, for every role, each of its phases and every type a web server may send."""


def _stairs(role: Role) -> dict[Phase, Phase]:
    phases = [Phase.PARAMS, *(Phase(stream) for stream in STREAMS[role]), Phase.COMPLETE]
    return dict(pairwise(phases))


NEXT_PHASE: Final[dict[Role, dict[Phase, Phase]]] = {role: _stairs(role) for role in Role}
"""Where a request stands when its open stream has ended."""


OUTPUT_MOVES: Final[dict[tuple[RecordType, bool], Move]] = {
    # type of the record, its stream has ended
    (RecordType.STDOUT, False): Move.TAKE,
    (RecordType.STDOUT, True): Move.AGAIN,
    (RecordType.STDERR, False): Move.TAKE,
    (RecordType.STDERR, True): Move.AGAIN,
}
"""What a record of an output stream does, in every role (section 6.1); END_REQUEST needs neither to have ended."""


class Refusal(Enum):
    """Why a request gets no handler; the value is the END_REQUEST status that says so (section 5.5)."""

    ROLE = ProtocolStatus.UNKNOWN_ROLE
    MULTIPLEXING = ProtocolStatus.CANT_MPX_CONN
    REQUESTS = ProtocolStatus.OVERLOADED
    PARAMS = ProtocolStatus.REQUEST_COMPLETE
