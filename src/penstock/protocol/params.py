"""This file turns name-value pairs into bytes and back (section 3.4); it decodes whole streams only.

A pair may be cut anywhere between two PARAMS records, even inside a length, so the records' contents are joined
first and decoded once. A pair on the wire:

    name length | value length | name | value         each length 1 byte (0-127), or 4 bytes with the top bit set
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct
from typing import Final

from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError

_LONG: Final = Struct(">I")
_LONG_FLAG: Final = 0x80000000
_LONG_MASK: Final = 0x7FFFFFFF

Pair = tuple[str, str]
"""One name and its value, each byte one character (latin-1), as PEP 3333's native strings are."""


class TooManyPairs(RemoteProtocolError):
    """The stream is sound but holds more pairs than the caller allows."""


def decode(block: bytes, max_pairs: int = 10_000) -> list[Pair]:
    """Decode a complete stream into pairs, in the order of the wire, repeats included; else as `columns`."""
    names, values = columns(block, max_pairs)
    return list(zip(names, values, strict=True))


def columns(block: bytes, max_pairs: int = 10_000) -> tuple[list[str], list[str]]:
    """Decode a complete stream of name-value pairs into two lists, which a dictionary is made of fastest.

    Args:
        block: the joined contents of all records of the stream.
        max_pairs: most pairs accepted.

    Returns:
        All names and all values in the order of the wire, repeats included; each byte is one character (latin-1).

    Raises:
        RemoteProtocolError: a length runs past the end of the stream.
        TooManyPairs: there are more than `max_pairs`.
    """
    end = len(block)
    # A pair takes two bytes or more, so only a long block can hold too many; then they are counted before any is built.
    if end > 2 * max_pairs:
        _check_count(block, max_pairs)
    text = block.decode("latin-1")
    names: list[str] = []
    values: list[str] = []
    add_name = names.append
    add_value = values.append
    position = 0
    try:
        while position < end:
            name_length = block[position]
            value_length = block[position + 1]
            if name_length > 127 or value_length > 127:
                name_length, value_length, position = _lengths(block, position)
            else:
                position += 2
            middle = position + name_length
            add_name(text[position:middle])
            position = middle + value_length
            add_value(text[middle:position])
    except IndexError:
        raise RemoteProtocolError(f"a name-value pair is cut off inside its lengths at byte {position}") from None
    if position != end:
        raise RemoteProtocolError(f"a name-value pair claims {position - end} bytes more than its stream holds")
    return names, values


def _check_count(block: bytes, max_pairs: int) -> None:
    end = len(block)
    position = count = 0
    try:
        while position < end:
            name_length, value_length, start = _lengths(block, position)
            position = start + name_length + value_length
            count += 1
            if count > max_pairs:
                raise TooManyPairs(f"more than {max_pairs} name-value pairs")
    except IndexError:
        return  # cut off inside its lengths, as `decode` will say


def _lengths(block: bytes, position: int) -> tuple[int, int, int]:
    """Both lengths of the pair at `position`, in either form, and where its name starts."""
    name_length = block[position]
    position += 1
    if name_length > 127:
        name_length, position = _long_length(block, position - 1)
    value_length = block[position]
    position += 1
    if value_length > 127:
        value_length, position = _long_length(block, position - 1)
    return name_length, value_length, position


def _long_length(block: bytes, position: int) -> tuple[int, int]:
    stop = position + 4
    if stop > len(block):
        raise IndexError
    return _LONG.unpack_from(block, position)[0] & _LONG_MASK, stop


def encode(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Encode pairs as one stream content, with the shortest form of every length.

    Raises:
        LocalProtocolError: a name or value is longer than 2**31 - 1 bytes.
    """
    pieces: list[bytes] = []
    for name, value in pairs:
        pieces += (_length(len(name)), _length(len(value)), name, value)
    return b"".join(pieces)


def _length(size: int) -> bytes:
    if size <= 127:
        return bytes((size,))
    if size > _LONG_MASK:
        raise LocalProtocolError(f"a name or value of {size} bytes cannot be encoded; the most is {_LONG_MASK}")
    return _LONG.pack(size | _LONG_FLAG)
