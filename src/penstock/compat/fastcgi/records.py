"""This file holds the enums of fastai's fastcgi, and its helpers for programs that read and write records by hand."""

from __future__ import annotations

from enum import Enum
from typing import IO

from penstock.protocol import params as pairs
from penstock.protocol import records, spec


class Record(Enum):
    """Types of records (section 8)."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


class Role(Enum):
    """Roles (section 6)."""

    RESPONDER = 1
    AUTHORIZER = 2
    FILTER = 3


class Status(Enum):
    """How a request ended (section 5.5); fastai's numbers are one too high, so 0 here is 1 there."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


def readlen(r: IO[bytes]) -> int:
    """Read the length of a name or a value: one byte, or four (section 3.4).

    Raises:
        EOFError: it ends before that.
    """
    first = _exactly(r, 1)[0]
    if first < 0x80:
        return first
    return int.from_bytes(bytes([first & 0x7F]) + _exactly(r, 3), "big")


def recv_record(r: IO[bytes]) -> tuple[Record, bytes]:
    """Read a record: its type and its content, without the padding.

    Raises:
        EOFError: it ends before that.
        ValueError: the type is none that there is.
    """
    header = _exactly(r, spec.HEADER_LENGTH)
    content = _exactly(r, int.from_bytes(header[4:6], "big"))
    _exactly(r, header[6])
    return Record(header[1]), content


def params(s: bytes) -> dict[str, str]:
    """The pairs in the content of a whole PARAMS stream, read as UTF-8; bytes that are none are lone surrogates.

    Raises:
        ProtocolError: it ends inside a pair.
    """
    found: dict[str, str] = {}
    for name, value in pairs.decode(s):
        # As bytes once more, for penstock has them as native strings (PEP 3333).
        found[_text(name)] = _text(value)
    return found


def send_record(typ: Record, w: IO[bytes], c: bytes = b"", request_id: int = 1) -> None:
    """Write a record; an empty one ends a stream. fastai's writes nothing for that.

    Args:
        typ: its type.
        w: where to.
        c: its content, 65,535 bytes at most.
        request_id: the request's number, which fastai's takes for 1.
    """
    w.write(records.record(spec.RecordType(typ.value), request_id, c))


def send_stream(typ: Record, w: IO[bytes], c: IO[bytes], request_id: int = 1) -> None:
    """Write a whole stream from its beginning: records, and the empty one that ends it; arguments as `send_record`."""
    c.seek(0)
    while piece := c.read(spec.MAX_CONTENT):
        send_record(typ, w, piece, request_id)
    send_record(typ, w, b"", request_id)


def _exactly(r: IO[bytes], size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = r.read(size - len(data))
        if not piece:
            raise EOFError(f"the input ends {size - len(data)} bytes too early")
        data += piece
    return data


def _text(value: str) -> str:
    return value.encode("latin-1").decode("utf-8", "surrogateescape")
