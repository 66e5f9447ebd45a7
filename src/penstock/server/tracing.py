"""This file shows records as lines for people, with a sign for their direction: < in, > out."""

from __future__ import annotations

from collections.abc import Callable

from penstock.protocol.errors import ProtocolError
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import RecordType

_SHOWN = 60


def describe(kind: int, request_id: int, content: bytes) -> str:
    """A record as one line; its content is cut and escaped."""
    try:
        name = RecordType(kind).name
    except ValueError:
        name = f"TYPE_{kind}"
    shown = f" {content[:_SHOWN]!r}{'...' if len(content) > _SHOWN else ''}" if content else ""
    return f"{name} id={request_id} {len(content)} bytes{shown}"


class RecordTrace:
    """Cuts both directions of one connection into records and hands each on as a line.

    Args:
        name: says which connection it is.
        show: takes the lines.
    """

    def __init__(self, name: str, show: Callable[[str], None]) -> None:
        self._name = name
        self._show = show
        self._in = RecordReader()
        self._out = RecordReader()

    def inbound(self, data: bytes) -> None:
        """Bytes from the peer."""
        self._lines("<", self._in, data)

    def outbound(self, data: bytes) -> None:
        """Bytes to the peer."""
        self._lines(">", self._out, data)

    def _lines(self, sign: str, reader: RecordReader, data: bytes) -> None:
        try:
            for record in reader.feed(data):
                self._show(f"{self._name} {sign} {describe(*record)}")
        except ProtocolError as error:
            self._show(f"{self._name} ! {error}")
