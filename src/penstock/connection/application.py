"""This file is our end of a connection when we are the application: records come in as requests, answers go out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from penstock.connection.events import (
    ApplicationEvent,
    InputEnded,
    InputReceived,
    RequestAborted,
    RequestBegan,
    RequestRefused,
)
from penstock.connection.limits import DEFAULT_LIMITS, Limits
from penstock.connection.state import MOVES, NEXT_PHASE, Move, Phase, Refusal
from penstock.protocol import records
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import TooManyPairs, columns, decode, encode
from penstock.protocol.spec import KEEP_CONN, MANAGEMENT_TYPES, RecordType, Role

_BEGIN_REQUEST: Final = int(RecordType.BEGIN_REQUEST)
_PARAMS: Final = int(RecordType.PARAMS)
_STDOUT: Final = int(RecordType.STDOUT)
_STDERR: Final = int(RecordType.STDERR)
_GET_VALUES: Final = int(RecordType.GET_VALUES)
_KNOWN_TYPES: Final = frozenset(int(kind) for kind in RecordType)
_INPUT: Final = {int(kind): kind for kind in (RecordType.STDIN, RecordType.DATA)}
_COMPLETE: Final = Phase.COMPLETE
_ALL_ROLES: Final = frozenset(Role)


class _OpenRequest:
    """A request between its BEGIN_REQUEST and our END_REQUEST."""

    __slots__ = ("keep_conn", "params", "phase", "role")

    def __init__(self, role: Role, keep_conn: bool) -> None:
        self.role = role
        self.keep_conn = keep_conn
        self.phase = Phase.PARAMS
        self.params: bytes | bytearray = b""


class ApplicationConnection:
    """The application's side of one connection, without I/O.

    Give `receive_data` what the socket gave you, act on the events, send `take_answers()` and whatever `stdout`, `end`
    and their kin return. After a `RemoteProtocolError` feed it nothing more and close the connection.

    The two directions may be used from two threads: receiving adds requests, sending removes them.

    Args:
        limits: bounds of what the peer may make us hold.
        roles: the roles that are served; requests in another are refused with UNKNOWN_ROLE.
        values: what GET_VALUES is answered with (section 4.1).

    Attributes:
        awaiting_input: a part of a record or of a request's input has arrived and the rest has not: the peer owes us.
        must_close: a request without KEEP_CONN has ended and no other is open: closing is ours to do (section 3.5).
        input_pending: a request ended before all of its input had arrived, so more input may still be on its way.
    """

    __slots__ = (
        "_answers",
        "_held",
        "_incomplete",
        "_keep_conn",
        "_limits",
        "_reader",
        "_requests",
        "_roles",
        "_values",
        "input_pending",
    )

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        roles: Collection[Role] = _ALL_ROLES,
        values: Mapping[str, str] | None = None,
    ) -> None:
        self._limits = limits
        self._roles = {int(role): role for role in roles}
        self._values = values or {}
        self._reader = records.RecordReader()
        self._requests: dict[int, _OpenRequest] = {}
        self._incomplete: set[int] = set()
        self._answers: list[bytes] = []
        self._held = 0
        self._keep_conn = True
        self.input_pending = False

    @property
    def open_requests(self) -> int:
        """Requests that have begun and that we have not ended."""
        return len(self._requests)

    @property
    def idle(self) -> bool:
        """No request is open and no part of a record has arrived."""
        return not self._requests and not self._reader.pending

    @property
    def partial_record(self) -> bool:
        """A record has begun and is not whole yet."""
        return self._reader.pending > 0

    @property
    def awaiting_input(self) -> bool:
        return bool(self._incomplete) or self._reader.pending > 0

    @property
    def must_close(self) -> bool:
        return not self._keep_conn and not self._requests

    # -- receiving

    def receive_data(self, data: bytes) -> list[ApplicationEvent]:
        """Take bytes from the socket; return what they mean, in order.

        Raises:
            RemoteProtocolError: the peer broke the protocol; nothing of what came with the fault is handed out.
            LocalProtocolError: it did so before; no more is parsed.
        """
        events: list[ApplicationEvent] = []
        requests = self._requests
        try:
            for kind, request_id, content in self._reader.feed(data):
                request = requests.get(request_id)
                if request is None:
                    self._outside(kind, request_id, content, events)
                elif kind != request.phase:
                    self._move(request, request_id, kind, content, events)
                elif not content:
                    self._end_stream(request, request_id, kind, events)
                elif kind == _PARAMS:
                    self._hold(request, request_id, content, events)
                else:
                    events.append(InputReceived(request_id, _INPUT[kind], content))
        except RemoteProtocolError:
            self._reader = records.SpentReader()
            raise
        return events

    def _outside(self, kind: int, request_id: int, content: bytes, events: list[ApplicationEvent]) -> None:
        """A record that names no open request."""
        if kind == _BEGIN_REQUEST and request_id:
            role, flags = records.parse_begin_request(content)
            self._begin(request_id, role, bool(flags & KEEP_CONN), events)
        elif request_id == 0:
            self._manage(kind, content)
        elif kind in MANAGEMENT_TYPES:
            name = RecordType(kind).name
            raise RemoteProtocolError(f"{name} with id {request_id}; management records have id 0")

    def _begin(self, request_id: int, role: int, keep_conn: bool, events: list[ApplicationEvent]) -> None:
        if not keep_conn:
            self._keep_conn = False
        served = self._roles.get(role)
        self._requests[request_id] = _OpenRequest(served or Role.RESPONDER, keep_conn)
        self._incomplete.add(request_id)
        if served is None:
            self._refuse(request_id, Refusal.ROLE, f"role {role} is not served here", events)
        elif len(self._requests) > self._limits.requests:
            reason = Refusal.MULTIPLEXING if self._limits.requests == 1 else Refusal.REQUESTS
            detail = f"the limit of {self._limits.requests} open requests on this connection is reached"
            self._refuse(request_id, reason, detail, events)

    def _end_stream(self, request: _OpenRequest, request_id: int, kind: int, events: list[ApplicationEvent]) -> None:
        """The empty record that ends the open stream; the next stream of the role is open from here on."""
        phase = NEXT_PHASE[request.role][request.phase]
        request.phase = phase
        complete = phase is _COMPLETE
        if kind == _PARAMS:
            block = bytes(request.params)
            self._held -= len(block)
            request.params = b""
            try:
                names, values = columns(block, self._limits.pairs)
            except TooManyPairs as error:
                self._refuse(request_id, Refusal.PARAMS, str(error), events)
                return
            events.append(RequestBegan(request_id, request.role, request.keep_conn, names, values))
        else:
            events.append(InputEnded(request_id, _INPUT[kind], complete))
        if complete:
            self._incomplete.discard(request_id)

    def _hold(self, request: _OpenRequest, request_id: int, content: bytes, events: list[ApplicationEvent]) -> None:
        size = len(content)
        if self._held + size > self._limits.params:
            self._forget_params(request)
            self._refuse(request_id, Refusal.PARAMS, f"more than {self._limits.params} bytes of PARAMS", events)
            return
        held = request.params
        if not held:
            request.params = content  # most web servers send one record: it is kept as it came
        elif isinstance(held, bytearray):
            held += content
        else:
            request.params = bytearray(held) + content
        self._held += size

    def _forget_params(self, request: _OpenRequest) -> None:
        self._held -= len(request.params)
        request.params = b""

    def _move(
        self, request: _OpenRequest, request_id: int, kind: int, content: bytes, events: list[ApplicationEvent]
    ) -> None:
        """A record that is not content of the open stream: look its meaning up in the table of the request's life."""
        if kind not in _KNOWN_TYPES:
            return  # Section 4.2 speaks of id 0 alone; a record of the future inside a request is skipped.
        name = RecordType(kind).name
        move = MOVES.get((request.role, request.phase, RecordType(kind)))
        if move is None:
            raise RemoteProtocolError(f"{name} from a web server for request {request_id}")
        if move is Move.TWICE:
            raise RemoteProtocolError(f"BEGIN_REQUEST for request {request_id}, which is still open")
        if move is Move.EARLY or (move is Move.AGAIN and content):
            raise RemoteProtocolError(f"{name} for request {request_id}, which stands at {request.phase.name}")
        if move is Move.ABORT:
            self._forget_params(request)
            request.phase = Phase.ABORTED
            self._incomplete.discard(request_id)
            events.append(RequestAborted(request_id))

    def _refuse(self, request_id: int, reason: Refusal, detail: str, events: list[ApplicationEvent]) -> None:
        # Whatever more comes for it is ignored, and whoever closes knows that more may come.
        self._requests[request_id].phase = Phase.ABORTED
        self._incomplete.discard(request_id)
        events.append(RequestRefused(request_id, reason, detail))

    def _manage(self, kind: int, content: bytes) -> None:
        """Records with id 0; those that only applications send are ignored, or two peers could answer for ever."""
        if kind == _GET_VALUES:
            asked = {name for name, _ in decode(content, self._limits.pairs)}
            known = [(name.encode("latin-1"), self._values[name].encode()) for name in self._values if name in asked]
            self._answers.append(records.record(RecordType.GET_VALUES_RESULT, 0, encode(known)))
        elif kind not in _KNOWN_TYPES:
            self._answers.append(records.unknown_type(kind))
        elif kind < _GET_VALUES:
            raise RemoteProtocolError(f"{RecordType(kind).name} with request id 0, which is for management records")

    # -- sending

    def take_answers(self) -> bytes:
        """What the connection itself has to say: answers to management records. Empty when there is nothing."""
        if not self._answers:
            return b""
        answers = b"".join(self._answers)
        self._answers.clear()
        return answers

    def is_open(self, request_id: int) -> bool:
        """Whether output for this request is legal."""
        return request_id in self._requests

    def stdout(self, request_id: int, content: records.Buffer) -> bytes:
        """Response bytes as STDOUT records; nothing for no content.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._check_open(request_id)
        return records.stream(_STDOUT, request_id, content)

    def stderr(self, request_id: int, content: records.Buffer) -> bytes:
        """Text for the web server's error log as STDERR records (section 5.3).

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._check_open(request_id)
        return records.stream(_STDERR, request_id, content)

    def finish(self, request_id: int, content: records.Buffer = b"", app_status: int = 0) -> bytes:
        """The last of STDOUT, its end and END_REQUEST, as one piece for one write.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._close_request(request_id)
        return records.response(request_id, content, app_status)

    def refuse(self, request_id: int, reason: Refusal, content: records.Buffer = b"") -> bytes:
        """END_REQUEST with the status of `reason`, behind a response if `content` holds one.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._close_request(request_id)
        out = records.stream(_STDOUT, request_id, content)
        if out:
            out += records.record(_STDOUT, request_id)
        return out + records.end_request(request_id, 0, reason.value)

    def drop(self, request_id: int) -> None:
        """Forget a request without END_REQUEST, which tells the web server of a broken response if we close now."""
        self._close_request(request_id)

    def let_pause(self, request_id: int) -> None:
        """The peer does not owe us the rest of this request's input: it is of a protocol that may fall silent."""
        self._incomplete.discard(request_id)

    def _check_open(self, request_id: int) -> None:
        if request_id not in self._requests:
            raise LocalProtocolError(f"request {request_id} is not open")

    def _close_request(self, request_id: int) -> None:
        # Before the id is free: once it is, the receiving thread may begin another request of the same number.
        self._incomplete.discard(request_id)
        request = self._requests.pop(request_id, None)
        if request is None:
            raise LocalProtocolError(f"request {request_id} is not open")
        # An Authorizer's STDIN may still come, though it is not part of its input.
        if request.phase is not Phase.COMPLETE or request.role is Role.AUTHORIZER:
            self.input_pending = True
            self._forget_params(request)
