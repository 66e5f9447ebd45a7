"""This file is our end of a connection when we are the web server: requests go out, answers come in."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.connection.events import (
    OutputEnded,
    OutputReceived,
    RequestEnded,
    TypeUnknown,
    ValuesReceived,
    WebServerEvent,
)
from penstock.connection.state import NEXT_PHASE, OUTPUT_MOVES, STREAMS, Move, Phase
from penstock.protocol import records
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import Pair, decode, encode
from penstock.protocol.spec import KEEP_CONN, MANAGEMENT_TYPES, MAX_REQUEST_ID, ProtocolStatus, RecordType, Role

_KNOWN_TYPES: Final = {int(kind): kind for kind in RecordType}
_STATUSES: Final = {int(status): status for status in ProtocolStatus}


class _SentRequest:
    """A request between our BEGIN_REQUEST and the application's END_REQUEST."""

    __slots__ = ("ended", "phase", "role")

    def __init__(self, role: Role) -> None:
        self.role = role
        self.phase = NEXT_PHASE[role][Phase.PARAMS]
        self.ended: set[RecordType] = set()


class WebServerConnection:
    """The web server's side of one connection, without I/O.

    Send what `begin`, `send`, `end_input` and their kin return, whole and in that order; give `receive_data` what the
    socket gave you. It is stricter than most web servers, so that it can judge applications: what FastCGI 1.0 does not
    allow an application is a `RemoteProtocolError`, and then nothing works any more but closing the connection.

    Attributes:
        usable: another request may begin here: nobody has closed, and all requests so far had KEEP_CONN.
    """

    __slots__ = ("_asked", "_reader", "_requests", "usable")

    def __init__(self) -> None:
        self._reader = records.RecordReader()
        self._requests: dict[int, _SentRequest] = {}
        self._asked = 0
        self.usable = True

    @property
    def open_requests(self) -> int:
        """Requests that have begun and that the application has not ended."""
        return len(self._requests)

    @property
    def idle(self) -> bool:
        """Nothing is owed to us: no request is open, no question unanswered, no part of a record has arrived."""
        return not self._requests and not self._asked and not self._reader.pending

    def is_open(self, request_id: int) -> bool:
        """Whether the application has not ended this request yet."""
        return request_id in self._requests

    def accepts(self, request_id: int, stream: RecordType = RecordType.STDIN) -> bool:
        """Whether content of this input stream may be sent now."""
        request = self._requests.get(request_id)
        return request is not None and int(request.phase) == stream

    # -- sending

    def begin(
        self, role: Role, pairs: Iterable[Pair], keep_conn: bool = True, request_id: int | None = None
    ) -> tuple[int, bytes]:
        """Begin a request.

        Args:
            role: what the application is to be; decides which input streams follow.
            pairs: the parameters, in native strings (each character one byte), repeats allowed.
            keep_conn: the connection outlives this request; otherwise the application closes it (section 3.5).
            request_id: 1 to 65,535; the smallest free one if not given.

        Returns:
            The request's id, and BEGIN_REQUEST with all of PARAMS and their end.

        Raises:
            LocalProtocolError: the connection takes no more requests, the id is in use, or a pair cannot be encoded.
        """
        if not self.usable:
            raise LocalProtocolError("this connection takes no more requests")
        request_id = self._free_id() if request_id is None else request_id
        if not 1 <= request_id <= MAX_REQUEST_ID:
            raise LocalProtocolError(f"{request_id} is no request id; they go from 1 to {MAX_REQUEST_ID}")
        if request_id in self._requests:
            raise LocalProtocolError(f"request {request_id} is still open")
        if role not in STREAMS:
            raise LocalProtocolError(f"there is no role {role}")
        begin = records.begin_request(request_id, role, KEEP_CONN if keep_conn else 0)
        params = records.stream(RecordType.PARAMS, request_id, encode(_bytes(pairs)))
        self._requests[request_id] = _SentRequest(role)
        self.usable = keep_conn
        return request_id, b"".join((begin, params, records.record(RecordType.PARAMS, request_id)))

    def _free_id(self) -> int:
        return next(number for number in range(1, MAX_REQUEST_ID + 2) if number not in self._requests)

    def send(self, request_id: int, content: records.Buffer, stream: RecordType = RecordType.STDIN) -> bytes:
        """Content of an input stream, of any length; nothing for no content.

        Raises:
            LocalProtocolError: the request is not open, or this stream is not its turn.
        """
        self._turn(request_id, stream)
        return records.stream(stream, request_id, content)

    def end_input(self, request_id: int, stream: RecordType = RecordType.STDIN) -> bytes:
        """The end of an input stream.

        Raises:
            LocalProtocolError: the request is not open, or this stream is not its turn.
        """
        request = self._turn(request_id, stream)
        request.phase = NEXT_PHASE[request.role][request.phase]
        return records.record(stream, request_id)

    def abort(self, request_id: int) -> bytes:
        """ABORT_REQUEST: no answer is wanted any more; the application still has to end the request (section 5.4).

        Raises:
            LocalProtocolError: the request is not open, or has been aborted before.
        """
        request = self._requests.get(request_id)
        if request is None or request.phase is Phase.ABORTED:
            raise LocalProtocolError(f"request {request_id} is not open or has been aborted")
        request.phase = Phase.ABORTED
        return records.record(RecordType.ABORT_REQUEST, request_id)

    def ask_values(self, names: Iterable[str]) -> bytes:
        """GET_VALUES: ask the application for what it can do (section 4.1).

        Raises:
            LocalProtocolError: nobody can be asked any more, or the names do not fit one record.
        """
        return self.ask(RecordType.GET_VALUES, encode(_bytes((name, "") for name in names)))

    def ask(self, kind: int, content: bytes = b"") -> bytes:
        """A management record of any type; one the application does not know comes back as UNKNOWN_TYPE (section 4.2).

        Raises:
            LocalProtocolError: nobody can be asked any more, the type is another record's, or the content is too long.
        """
        if not self.usable and not self._requests:
            raise LocalProtocolError("this connection has ended")
        if kind != RecordType.GET_VALUES and kind in _KNOWN_TYPES:
            raise LocalProtocolError(f"{RecordType(kind).name} asks nothing")
        question = records.record(kind, 0, content)
        self._asked += 1
        return question

    def _turn(self, request_id: int, stream: RecordType) -> _SentRequest:
        request = self._requests.get(request_id)
        if request is None:
            raise LocalProtocolError(f"request {request_id} is not open")
        if int(request.phase) != stream:
            raise LocalProtocolError(f"{stream.name} for request {request_id}, which stands at {request.phase.name}")
        return request

    # -- receiving

    def receive_data(self, data: bytes) -> list[WebServerEvent]:
        """Take bytes from the socket; return what they mean, in order.

        Raises:
            RemoteProtocolError: the application broke the protocol; nothing of what came with the fault is handed out.
            LocalProtocolError: it did so before; no more is parsed.
        """
        events: list[WebServerEvent] = []
        try:
            for kind, request_id, content in self._reader.feed(data):
                if kind in _KNOWN_TYPES:  # others are of the future, and nobody here could be told so
                    self._take(_KNOWN_TYPES[kind], request_id, content, events)
        except RemoteProtocolError:
            self._reader = records.SpentReader()
            self.usable = False
            self._requests.clear()
            raise
        return events

    def receive_eof(self) -> list[int]:
        """The application has closed the connection.

        Returns:
            The ids of the requests that were cut off by it: their answers are incomplete.

        Raises:
            RemoteProtocolError: it closed inside a record, though no request was open.
        """
        self.usable = False
        cut_off = sorted(self._requests)
        self._requests.clear()
        pending = self._reader.pending
        self._reader = records.SpentReader()
        if pending and not cut_off:
            raise RemoteProtocolError(f"the connection ended {pending} bytes into a record")
        return cut_off

    def _take(self, kind: RecordType, request_id: int, content: bytes, events: list[WebServerEvent]) -> None:
        if kind in MANAGEMENT_TYPES:
            events.append(self._answer(kind, request_id, content))
            return
        request = self._requests.get(request_id)
        if request is None:
            raise RemoteProtocolError(f"{kind.name} for request {request_id}, which is not open")
        if kind is RecordType.END_REQUEST:
            app_status, status = records.parse_end_request(content)
            del self._requests[request_id]
            events.append(RequestEnded(request_id, app_status, _STATUSES.get(status, status)))
            return
        move = OUTPUT_MOVES.get((kind, kind in request.ended))
        if move is None:
            raise RemoteProtocolError(f"{kind.name} from an application for request {request_id}")
        if move is Move.AGAIN:
            if content:
                raise RemoteProtocolError(f"{kind.name} for request {request_id} after the end of that stream")
        elif content:
            events.append(OutputReceived(request_id, kind, content))
        else:
            request.ended.add(kind)
            events.append(OutputEnded(request_id, kind))

    def _answer(self, kind: RecordType, request_id: int, content: bytes) -> WebServerEvent:
        if request_id:
            raise RemoteProtocolError(f"{kind.name} with id {request_id}; management records have id 0")
        if kind is RecordType.GET_VALUES:
            raise RemoteProtocolError("GET_VALUES from an application")
        if not self._asked:
            raise RemoteProtocolError(f"{kind.name} though nothing was asked")
        self._asked -= 1
        if kind is RecordType.GET_VALUES_RESULT:
            return ValuesReceived(dict(decode(content)))
        return TypeUnknown(records.parse_unknown_type(content))


def _bytes(pairs: Iterable[Pair]) -> Iterable[tuple[bytes, bytes]]:
    try:
        return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs]
    except UnicodeEncodeError as error:
        raise LocalProtocolError(f"{error.object!r} holds a character that is no byte") from None
