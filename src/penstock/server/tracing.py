"""This file shows records as lines for people, with a sign for their direction: < in, > out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, Protocol, final

from penstock.connection.application import ApplicationConnection
from penstock.connection.limits import DEFAULT_LIMITS
from penstock.protocol.errors import ProtocolError
from penstock.protocol.params import decode
from penstock.protocol.records import RecordReader, parse_begin_request, parse_end_request
from penstock.protocol.spec import KEEP_CONN, ProtocolStatus, RecordType, Role
from penstock.server.address import shown

_SHOWN: Final = 60

_BLOCKS: Final = frozenset({RecordType.GET_VALUES, RecordType.GET_VALUES_RESULT})
_STREAMS: Final = frozenset(
    {RecordType.PARAMS, RecordType.STDIN, RecordType.DATA, RecordType.STDOUT, RecordType.STDERR}
)


class Trace(Protocol):
    """Is shown the bytes of one connection."""

    def inbound(self, data: bytes) -> None:
        """Bytes from the peer."""

    def outbound(self, data: bytes) -> None:
        """Bytes to the peer."""


def trace_of(protocol: ApplicationConnection, name: str, show: Callable[[str], None]) -> Trace:
    """The trace of a connection: by records where these are spoken.

    Args:
        name: says which connection it is.
        show: takes the lines.
    """
    return RecordTrace(name, show) if type(protocol) is ApplicationConnection else ByteTrace(name, show)


@final
class RecordTrace:
    """Cuts both directions of one connection into records and hands each on as lines that explain it."""

    def __init__(self, name: str, show: Callable[[str], None]) -> None:
        self._name = name
        self._show = show
        self._in = RecordReader()
        self._out = RecordReader()
        self._explain = Explainer()

    def inbound(self, data: bytes) -> None:
        self._lines("<", self._in, data)

    def outbound(self, data: bytes) -> None:
        self._lines(">", self._out, data)

    def _lines(self, sign: str, reader: RecordReader, data: bytes) -> None:
        try:
            for record in reader.feed(data):
                for line in self._explain(*record):
                    self._show(f"{self._name} {sign} {line}")
        except ProtocolError as error:
            self._show(f"{self._name} ! {error}")


@final
class ByteTrace:
    """Shows what passes as it comes."""

    def __init__(self, name: str, show: Callable[[str], None]) -> None:
        self._name = name
        self._show = show

    def inbound(self, data: bytes) -> None:
        self._show(f"{self._name} < {_content(data)}")

    def outbound(self, data: bytes) -> None:
        self._show(f"{self._name} > {_content(data)}")


@final
class Explainer:
    """Says what a record means: a line, and below it the pairs of a block. For the records of one connection."""

    def __init__(self) -> None:
        self._params: dict[int, bytearray] = {}

    def __call__(self, kind: int, request_id: int, content: bytes) -> Iterator[str]:
        """The lines of the next record."""
        try:
            yield from self._explained(kind, request_id, content)
        except ProtocolError as error:
            yield f"{describe(kind, request_id, content)} ({error})"

    def _explained(self, kind: int, request_id: int, content: bytes) -> Iterator[str]:
        if kind == RecordType.BEGIN_REQUEST:
            self._params.pop(request_id, None)
            role, flags = parse_begin_request(content)
            name = Role(role).name if role in set(Role) else str(role)
            yield f"BEGIN_REQUEST id={request_id} role={name} flags={'KEEP_CONN' if flags & KEEP_CONN else flags}"
        elif kind == RecordType.END_REQUEST:
            self._params.pop(request_id, None)
            app_status, status = parse_end_request(content)
            name = ProtocolStatus(status).name if status in set(ProtocolStatus) else str(status)
            yield f"END_REQUEST id={request_id} app_status={app_status} protocol_status={name}"
        elif kind == RecordType.PARAMS:
            yield from self._params_lines(request_id, content)
        elif kind in _BLOCKS:
            yield f"{RecordType(kind).name} id={request_id} {len(content)} bytes"
            yield from _pairs(content)
        elif kind in _STREAMS and not content:
            yield f"{RecordType(kind).name} id={request_id} end"
        else:
            yield describe(kind, request_id, content)

    def _params_lines(self, request_id: int, content: bytes) -> Iterator[str]:
        """A pair may lie across records, so the pairs are shown once all are there."""
        if content:
            held = self._params.setdefault(request_id, bytearray())
            # What is beyond the limit is refused anyway; it shall not be kept for the sake of a log.
            if sum(map(len, self._params.values())) + len(content) <= DEFAULT_LIMITS.params:
                held += content
            yield f"PARAMS id={request_id} {len(content)} bytes"
            return
        yield from _pairs(bytes(self._params.pop(request_id, b"")))
        yield f"PARAMS id={request_id} end"


def describe(kind: int, request_id: int, content: bytes) -> str:
    """A record as one line; its content is cut and escaped."""
    try:
        name = RecordType(kind).name
    except ValueError:
        name = f"TYPE_{kind}"
    return f"{name} id={request_id} {_content(content)}"


def _content(content: bytes) -> str:
    shown = f" {content[:_SHOWN]!r}{'...' if len(content) > _SHOWN else ''}" if content else ""
    return f"{len(content)} bytes{shown}"


def _pairs(block: bytes) -> Iterator[str]:
    for name, value in decode(block):
        yield f"    {_readable(name)} = {_readable(value)}" if value else f"    {_readable(name)}"


def _readable(text: str) -> str:
    """UTF-8 as it was meant, where it is that; else each byte as one character."""
    try:
        return shown(text.encode("latin-1").decode("utf-8"))
    except UnicodeDecodeError:
        return shown(text)
