"""This file builds what a web server sends, right or wrong, record by record, and cuts it anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import cycle
from struct import Struct
from typing import Final

from penstock.protocol.params import Pair, encode
from penstock.protocol.records import STREAM_SLICE, RecordReader
from penstock.protocol.spec import KEEP_CONN, VERSION, RecordType, Role

_HEADER: Final = Struct(">BBHHBB")
_BEGIN: Final = Struct(">HB5x")
_LONG: Final = Struct(">I")
_STREAMS: Final = frozenset(
    {RecordType.PARAMS, RecordType.STDIN, RecordType.DATA, RecordType.STDOUT, RecordType.STDERR}
)
_FILLER: Final = b"\xa5"

Params = Mapping[str, str] | Iterable[Pair]
"""Parameters in native strings; as pairs they may repeat a name."""


def record(
    kind: int,
    request_id: int = 1,
    content: bytes = b"",
    *,
    padding: int = 0,
    version: int = VERSION,
    length: int | None = None,
) -> bytes:
    """Any record, also an impossible one: `length` is what its header says, whatever the content has.

    The padding is not zero, so that nobody can take it for content unnoticed.
    """
    stated = len(content) if length is None else length
    return _HEADER.pack(version, kind, request_id, stated, padding, 0) + content + _FILLER * padding


def begin(role: int = Role.RESPONDER, request_id: int = 1, flags: int = KEEP_CONN, padding: int = 0) -> bytes:
    """BEGIN_REQUEST."""
    return record(RecordType.BEGIN_REQUEST, request_id, _BEGIN.pack(role, flags), padding=padding)


def params(
    pairs: Params = (),
    request_id: int = 1,
    *,
    cut: int = STREAM_SLICE,
    padding: int = 0,
    end: bool = True,
    long: bool = False,
) -> bytes:
    """PARAMS, in records of `cut` bytes; `long` gives every length its 4-byte form."""
    return stream(RecordType.PARAMS, pair_block(pairs, long=long), request_id, cut=cut, padding=padding, end=end)


def stdin(
    content: bytes = b"", request_id: int = 1, *, cut: int = STREAM_SLICE, padding: int = 0, end: bool = True
) -> bytes:
    """STDIN, in records of `cut` bytes."""
    return stream(RecordType.STDIN, content, request_id, cut=cut, padding=padding, end=end)


def data(
    content: bytes = b"", request_id: int = 1, *, cut: int = STREAM_SLICE, padding: int = 0, end: bool = True
) -> bytes:
    """DATA, the second input of a Filter, in records of `cut` bytes."""
    return stream(RecordType.DATA, content, request_id, cut=cut, padding=padding, end=end)


def abort(request_id: int = 1) -> bytes:
    """ABORT_REQUEST."""
    return record(RecordType.ABORT_REQUEST, request_id)


def get_values(*names: str) -> bytes:
    """GET_VALUES."""
    return record(RecordType.GET_VALUES, 0, pair_block([(name, "") for name in names]))


def request(
    pairs: Params = (), body: bytes = b"", *, role: Role = Role.RESPONDER, request_id: int = 1, flags: int = KEEP_CONN
) -> bytes:
    """A whole request: BEGIN_REQUEST, PARAMS and STDIN with their ends; an Authorizer gets no STDIN."""
    whole = begin(role, request_id, flags) + params(pairs, request_id)
    if role is not Role.AUTHORIZER:
        whole += stdin(body, request_id)
    return whole


def stream(
    kind: int, content: bytes, request_id: int = 1, *, cut: int = STREAM_SLICE, padding: int = 0, end: bool = True
) -> bytes:
    """A stream of any type in records of `cut` bytes, each with the same padding, and its end if asked for."""
    pieces = [content[start : start + cut] for start in range(0, len(content), cut)]
    if end:
        pieces.append(b"")
    return b"".join(record(kind, request_id, piece, padding=padding) for piece in pieces)


def pair_block(pairs: Params, *, long: bool = False) -> bytes:
    """Name-value pairs as the content of a stream."""
    items = pairs.items() if isinstance(pairs, Mapping) else pairs
    encoded = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in items]
    if not long:
        return encode(encoded)
    return b"".join(
        _LONG.pack(len(name) | 1 << 31) + _LONG.pack(len(value) | 1 << 31) + name + value for name, value in encoded
    )


def recut(wire: bytes, sizes: Iterable[int] = (1,), paddings: Iterable[int] = (0,)) -> bytes:
    """The same streams in records of other sizes, with any padding: to be understood as what it was made of.

    Args:
        wire: whole records.
        sizes: content bytes of each new stream record, 1 or more, over and over again.
        paddings: padding of each new record, 0 to 255, over and over again.
    """
    next_size, next_padding = cycle(sizes).__next__, cycle(paddings).__next__
    cut: list[bytes] = []
    for kind, request_id, content in RecordReader().feed(wire):
        if kind not in _STREAMS or not content:
            cut.append(record(kind, request_id, content, padding=next_padding()))
            continue
        start = 0
        while start < len(content):
            stop = start + next_size()
            cut.append(record(kind, request_id, content[start:stop], padding=next_padding()))
            start = stop
    return b"".join(cut)
