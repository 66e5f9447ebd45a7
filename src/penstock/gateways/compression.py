"""This file decides whether a response is compressed with gzip, and compresses it (RFC 9110 8.4, 12.5.3)."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Final, final

Header = tuple[str, str]

LEAST: Final = 1024
"""Bytes of a whole body below which compressing wins nothing: head and body go out in one packet anyway."""

_LEVEL: Final = 6
_GZIP_FORMAT: Final = 31  # zlib's window of 32 KiB, with gzip's header and trailer around it

_TEXT_TYPES: Final = frozenset(
    {
        "application/ecmascript",
        "application/graphql",
        "application/javascript",
        "application/json",
        "application/x-javascript",
        "application/x-ndjson",
        "application/xml",
        "application/yaml",
    }
)


def is_text(content_type: str) -> bool:
    """Whether content of this type is text, which shrinks; pictures and archives are small already."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind.startswith("text/") or kind.endswith(("+xml", "+json")) or kind in _TEXT_TYPES


def accepts_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding header, "" when there is none, allows gzip (RFC 9110 12.5.3)."""
    others = False
    for item in accept_encoding.lower().split(","):
        coding, _, parameters = item.partition(";")
        coding = coding.strip()
        if coding in ("gzip", "x-gzip"):
            return _weight(parameters) > 0
        if coding == "*":
            others = _weight(parameters) > 0
    return others


def _weight(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, equals, value = parameter.partition("=")
        if equals and name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def is_compressible(code: int, headers: Sequence[Header]) -> bool:
    """Whether a response may be compressed on its way: text, all of it, and not compressed or signed off already."""
    if code == 206:
        return False
    found = {name.lower(): value.lower() for name, value in headers}
    return (
        is_text(found.get("content-type", ""))
        and "content-encoding" not in found
        and "content-range" not in found
        and "no-transform" not in found.get("cache-control", "")
    )


def vary_by_encoding(headers: Sequence[Header]) -> list[Header]:
    """The headers with Accept-Encoding in Vary, so that no cache hands a compressed response to who cannot read it."""
    for name, value in headers:
        if name.lower() == "vary" and {"*", "accept-encoding"} & {item.strip().lower() for item in value.split(",")}:
            return list(headers)
    return [*headers, ("Vary", "Accept-Encoding")]


def compressed(headers: Sequence[Header]) -> list[Header]:
    """The headers of the compressed response: another length, and an ETag that does not promise the same bytes."""
    out: list[Header] = []
    for name, value in headers:
        lower = name.lower()
        if lower == "etag" and not value.startswith("W/"):
            out.append((name, f"W/{value}"))
        elif lower not in ("content-length", "accept-ranges"):
            out.append((name, value))
    out.append(("Content-Encoding", "gzip"))
    return out


@final
class Compressor:
    """Compresses one response, piece by piece."""

    __slots__ = ("_zlib",)

    def __init__(self) -> None:
        self._zlib = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_FORMAT)

    def compress(self, data: bytes, *, flush: bool = False, last: bool = False) -> bytes:
        """The next compressed bytes.

        Args:
            data: what comes next; may be empty.
            flush: let the client have all of it now.
            last: nothing more comes; gzip's trailer follows.
        """
        out = self._zlib.compress(data)
        if last:
            return out + self._zlib.flush(zlib.Z_FINISH)
        return out + self._zlib.flush(zlib.Z_SYNC_FLUSH) if flush else out
