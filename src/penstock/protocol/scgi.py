"""This file is SCGI's wire: a request's header as a netstring, both ways; the body follows it as it is.

SCGI is the small sister of FastCGI (Neil Schemenauer, "SCGI: A Simple Common Gateway Interface alternative", 2008): a
connection carries one request, and the response is all that comes back until the application closes it. Names and
values are those of CGI.

    70:CONTENT_LENGTH <0> 27 <0> SCGI <0> 1 <0> REQUEST_METHOD <0> POST <0> ... <0>,    and 27 bytes of body
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import TooManyPairs

MOST_DIGITS: Final = 10
"""Digits of a netstring's length that are read; more would announce more than anybody takes."""


class HeaderTooLong(RemoteProtocolError):
    """The header is sound so far, but announces more bytes than the caller allows."""


class HeaderReader:
    """The header, off the front of a stream of bytes.

    Args:
        most: bytes of header that are accepted.
    """

    __slots__ = ("_begun", "_length", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._length = -1
        self._begun = bytearray()

    @property
    def pending(self) -> int:
        """Bytes of the netstring that have arrived without making it whole, its length among them."""
        return len(self._begun) + (self._length >= 0)

    def feed(self, data: bytes) -> tuple[bytes, bytes] | None:
        """Take bytes as they came from the socket.

        Returns:
            The header's content and what came behind it, once the header is whole; feed nothing more after that.

        Raises:
            RemoteProtocolError: this is no netstring.
            HeaderTooLong: it is one, of more bytes than allowed.
        """
        begun = self._begun
        begun += data
        length = self._length
        if length < 0:
            length = self._read_length()
            if length < 0:
                return None
        if len(begun) <= length:
            return None
        if begun[length] != 0x2C:
            raise RemoteProtocolError("the SCGI header does not end in a comma where its length says")
        header, rest = bytes(begun[:length]), bytes(begun[length + 1 :])
        begun.clear()
        self._length = -1
        return header, rest

    def _read_length(self) -> int:
        """The length that stands before the colon, which is taken off with it; -1 as long as that is not there."""
        begun = self._begun
        colon = begun.find(b":", 0, MOST_DIGITS + 1)
        digits = begun[:colon] if colon >= 0 else begun[: MOST_DIGITS + 1]
        leading_zero = len(digits) > 1 and digits[0] == 0x30
        if (digits and not digits.isdigit()) or not colon or leading_zero or len(digits) > MOST_DIGITS:
            raise RemoteProtocolError(f"{bytes(begun[:20])!r} is no beginning of a netstring: this is no SCGI peer")
        if colon < 0:
            return -1
        length = int(digits)
        if length > self._most:
            raise HeaderTooLong(f"an SCGI header of {length} bytes; {self._most} are allowed")
        del begun[: colon + 1]
        self._length = length
        return length


def decode_header(header: bytes, max_pairs: int = 10_000) -> tuple[list[str], list[str]]:
    """Decode the content of a header.

    Args:
        header: all of it.
        max_pairs: most pairs accepted.

    Returns:
        Names and values, as `params.columns` does: in their order, repeats included, bytes decoded as latin-1.

    Raises:
        RemoteProtocolError: it does not consist of pairs, or does not begin with CONTENT_LENGTH, or says no SCGI=1.
        TooManyPairs: there are more than `max_pairs`.
    """
    if header[-1:] != b"\0":
        raise RemoteProtocolError("the SCGI header does not end in a NUL")
    count = header.count(0)
    if count % 2:
        raise RemoteProtocolError("the SCGI header has a name without a value")
    if not header.startswith(b"CONTENT_LENGTH\0"):
        raise RemoteProtocolError(f"the SCGI header begins with {header[:20]!r} and not with CONTENT_LENGTH")
    if count > 2 * max_pairs:
        raise TooManyPairs(f"more than {max_pairs} names and values")
    texts = header.decode("latin-1").split("\0")
    names, values = texts[:-1:2], texts[1::2]
    if ("SCGI", "1") not in zip(names, values, strict=True):
        raise RemoteProtocolError("the SCGI header has no SCGI=1; with nginx, `include scgi_params;` sends it")
    return names, values


def encode_header(pairs: Iterable[tuple[bytes, bytes]], content_length: int) -> bytes:
    """Encode a whole header as a netstring: CONTENT_LENGTH first, SCGI=1, then the pairs.

    Args:
        pairs: names and values; the two that come first anyway are left out, and of repeats the last one stays.
        content_length: bytes of the body.

    Raises:
        LocalProtocolError: a name is empty, or something holds a NUL.
    """
    first = {b"CONTENT_LENGTH": b"%d" % content_length, b"SCGI": b"1"}
    merged = first | dict(pairs) | first
    for name, value in merged.items():
        if not name or b"\0" in name or b"\0" in value:
            raise LocalProtocolError(f"SCGI cannot carry {name!r}: the name is empty, or it or its value holds a NUL")
    content = b"".join([b"%b\0%b\0" % pair for pair in merged.items()])
    return b"%d:%b," % (len(content), content)
