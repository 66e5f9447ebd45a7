"""This file is the record helpers of jon.fcgi, for programs that speak the protocol by hand; the server needs none."""

from __future__ import annotations

import socket
from typing import Protocol

from penstock.protocol import params, records
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.spec import HEADER_LENGTH, VERSION


class _Source(Protocol):
    def recv(self, bufsize: int, /) -> bytes:
        """As a socket does it."""


class Record:
    """One record.

    Args:
        insock: a socket to read it from; None for a record that is to be filled in.

    Attributes:
        version, type, request_id: the header's.
        content_data: the content, bytes without the padding.

    Raises:
        EOFError: the connection ended before the record did.
        ValueError: it is of another version of the protocol.
    """

    version = VERSION
    type: int
    request_id: int
    content_data: bytes

    def __init__(self, insock: socket.socket | _Source | None = None) -> None:
        if insock is not None:
            head = _receive(insock, HEADER_LENGTH)
            rest = _receive(insock, int.from_bytes(head[4:6]) + head[6])
            try:
                ((self.type, self.request_id, self.content_data),) = records.RecordReader().feed(head + rest)
            except RemoteProtocolError as error:
                raise ValueError(str(error)) from None

    def encode(self) -> bytes:
        """The record as it travels, padded to a multiple of 8."""
        return records.record(self.type, self.request_id, self.content_data, -len(self.content_data) & 7)


class NameValueData:
    """Name-value pairs.

    Args:
        data: the content of one record, or of several joined; a pair may be cut anywhere between two.

    Attributes:
        values: the pairs, bytes where they were decoded; put in, text will do.

    Raises:
        ValueError: the pairs do not end with the data.
    """

    def __init__(self, data: bytes = b"") -> None:
        try:
            pairs = params.decode(data)
        except RemoteProtocolError as error:
            raise ValueError(str(error)) from None
        self.values: list[tuple[str | bytes, str | bytes]] = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in pairs
        ]

    def encode_one(self, name: str | bytes, value: str | bytes) -> bytes:
        """One pair as it travels; text becomes UTF-8."""
        return params.encode([(_as_bytes(name), _as_bytes(value))])

    def encode(self) -> bytes:
        """All pairs as they travel."""
        return b"".join(self.encode_one(name, value) for name, value in self.values)


def _as_bytes(text: str | bytes) -> bytes:
    return text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text


def _receive(source: socket.socket | _Source, size: int) -> bytes:
    block = b""
    while len(block) < size:
        more = source.recv(size - len(block))
        if not more:
            raise EOFError(f"the connection ended {size - len(block)} bytes before the end of a record")
        block += more
    return block
