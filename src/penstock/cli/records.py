"""This file shows records to people: a line each, with a sign for the direction, and below it the pairs of a block."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, final

from penstock.protocol.errors import ProtocolError
from penstock.protocol.params import decode
from penstock.protocol.records import Record, parse_begin_request, parse_end_request
from penstock.protocol.spec import KEEP_CONN, ProtocolStatus, RecordType, Role
from penstock.server.address import shown
from penstock.server.tracing import describe

_BLOCKS: Final = frozenset({RecordType.GET_VALUES, RecordType.GET_VALUES_RESULT})
_STREAMS: Final = frozenset(
    {RecordType.PARAMS, RecordType.STDIN, RecordType.DATA, RecordType.STDOUT, RecordType.STDERR}
)


@final
class RecordPrinter:
    """A `client.Trace` that explains what it is shown.

    Args:
        show: takes the lines.
    """

    def __init__(self, show: Callable[[str], None]) -> None:
        self._show = show
        self._params = bytearray()

    def __call__(self, sign: str, record: Record) -> None:
        for line in self._lines(*record):
            self._show(f"{sign} {line}")

    def _lines(self, kind: int, request_id: int, content: bytes) -> Iterator[str]:
        try:
            yield from self._explained(kind, request_id, content)
        except ProtocolError as error:
            yield f"{describe(kind, request_id, content)} ({error})"

    def _explained(self, kind: int, request_id: int, content: bytes) -> Iterator[str]:
        if kind == RecordType.BEGIN_REQUEST:
            role, flags = parse_begin_request(content)
            name = Role(role).name if role in set(Role) else str(role)
            yield f"BEGIN_REQUEST id={request_id} role={name} flags={'KEEP_CONN' if flags & KEEP_CONN else flags}"
        elif kind == RecordType.END_REQUEST:
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
            self._params += content
            yield f"PARAMS id={request_id} {len(content)} bytes"
            return
        block = bytes(self._params)
        self._params.clear()
        yield from _pairs(block)
        yield f"PARAMS id={request_id} end"


def _pairs(block: bytes) -> Iterator[str]:
    for name, value in decode(block):
        yield f"    {_readable(name)} = {_readable(value)}" if value else f"    {_readable(name)}"


def _readable(text: str) -> str:
    """UTF-8 as it was meant, where it is that; else each byte as one character."""
    try:
        return shown(text.encode("latin-1").decode("utf-8"))
    except UnicodeDecodeError:
        return shown(text)
