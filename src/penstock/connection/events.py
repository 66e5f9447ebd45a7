"""This file holds what can happen on a connection: the values that both kinds of connection return.

    application.py   RequestBegan  InputReceived  InputEnded  RequestAborted  RequestRefused
    webserver.py     OutputReceived  OutputEnded  RequestEnded  ValuesReceived  TypeUnknown

All are immutable; `request_id` is the number the web server chose (section 3.3). Order on one connection is the wire's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

from penstock.connection.state import Refusal
from penstock.protocol.params import Pair
from penstock.protocol.spec import ProtocolStatus, RecordType, Role


class RequestBegan(NamedTuple):
    """BEGIN_REQUEST and the whole of PARAMS have arrived: the request may be answered from now on (section 6.2).

    The parameters stand in two lists of one length, in the order of the wire and with repeats; `pairs` joins them.
    """

    request_id: int
    role: Role
    keep_conn: bool
    names: list[str]
    values: list[str]

    @classmethod
    def of(cls, request_id: int, role: Role, keep_conn: bool, pairs: Iterable[Pair]) -> RequestBegan:
        """The event with its parameters given as pairs."""
        listed = list(pairs)
        return cls(request_id, role, keep_conn, [name for name, _ in listed], [value for _, value in listed])

    @property
    def pairs(self) -> list[Pair]:
        """The parameters as pairs of name and value."""
        return list(zip(self.names, self.values, strict=True))


class InputReceived(NamedTuple):
    """Content of an input stream, STDIN or DATA; never empty."""

    request_id: int
    stream: RecordType
    content: bytes


class InputEnded(NamedTuple):
    """An input stream has ended; `complete` is true when it was the last one of the request's role."""

    request_id: int
    stream: RecordType
    complete: bool


class RequestAborted(NamedTuple):
    """ABORT_REQUEST came: stop, and end the request soon; it may be one that had not begun yet (section 5.4)."""

    request_id: int


class RequestRefused(NamedTuple):
    """A request that cannot be taken; answer it as you like, then end it with the status of `reason`."""

    request_id: int
    reason: Refusal
    detail: str


class OutputReceived(NamedTuple):
    """Content of STDOUT or STDERR; never empty."""

    request_id: int
    stream: RecordType
    content: bytes


class OutputEnded(NamedTuple):
    """The application ended STDOUT or STDERR with its empty record."""

    request_id: int
    stream: RecordType


class RequestEnded(NamedTuple):
    """END_REQUEST: the application is done with this request (section 5.5)."""

    request_id: int
    app_status: int
    protocol_status: ProtocolStatus | int


class ValuesReceived(NamedTuple):
    """GET_VALUES_RESULT (section 4.1)."""

    values: dict[str, str]


class TypeUnknown(NamedTuple):
    """UNKNOWN_TYPE: the application does not know a management record that we sent (section 4.2)."""

    kind: int


ApplicationEvent: TypeAlias = RequestBegan | InputReceived | InputEnded | RequestAborted | RequestRefused
WebServerEvent: TypeAlias = OutputReceived | OutputEnded | RequestEnded | ValuesReceived | TypeUnknown
