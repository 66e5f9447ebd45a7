"""This file reads the Cookie header and writes Set-Cookie (RFC 6265).

Any text can be a cookie's value: one that HTTP does not allow as it stands is put into quotes, its odd bytes in octal,
which is the form that the standard library and Python's frameworks read too. Whatever `encode_value` makes,
`parse_cookies` reads back.
"""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Final

MAX_COOKIE: Final = 4096
"""Bytes of name and value together that browsers keep (RFC 6265 6.1); a longer cookie is dropped by them unseen."""

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_is_plain: Final = re.compile(r"[!#-+\--:<-\[\]-~]*").fullmatch  # cookie-octets, RFC 6265 4.1.1
_is_attribute: Final = re.compile(r"[ -:<-~]*").fullmatch
_escapes: Final = re.compile(rb"\\([0-3][0-7][0-7]|.)", re.DOTALL)

_SAME_SITE: Final = {"strict": "Strict", "lax": "Lax", "none": "None"}


def parse_cookies(header: str) -> dict[str, str]:
    """Read a Cookie header; what is malformed in it is left out, never more than that.

    Of a repeated name the first one counts, for browsers send the cookie of the longest path first (RFC 6265 5.4).
    Values are UTF-8.

    Args:
        header: HTTP_COOKIE, a native string (PEP 3333).
    """
    cookies: dict[str, str] = {}
    for piece in header.split(";"):
        name, equals, value = piece.partition("=")
        name = name.strip(" \t")
        if equals and name and name not in cookies:
            cookies[name] = _decode(value.strip(" \t"))
    return cookies


def _decode(value: str) -> str:
    block = value.encode("latin-1")
    if len(block) > 1 and block.startswith(b'"') and block.endswith(b'"'):
        block = _escapes.sub(_unescape, block[1:-1])
    return block.decode("utf-8", "replace")


def _unescape(found: re.Match[bytes]) -> bytes:
    escaped = found[1]
    return bytes([int(escaped, 8)]) if len(escaped) == 3 else escaped


def encode_value(value: str) -> str:
    """A value as it may stand in a header."""
    if _is_plain(value):
        return value
    escaped = (chr(byte) if _is_plain(chr(byte)) else f"\\{byte:03o}" for byte in value.encode("utf-8"))
    return f'"{"".join(escaped)}"'


def format_cookie(
    name: str,
    value: str,
    *,
    max_age: int | timedelta | None,
    path: str | None,
    domain: str | None,
    secure: bool,
    httponly: bool,
    samesite: str | None,
) -> str:
    """The value of a Set-Cookie header.

    Raises:
        ValueError: something cannot stand in a cookie, or a browser would drop it unseen.
    """
    if not _is_token(name):
        raise ValueError(f"the cookie's name {name[:64]!a} is not a token (RFC 6265 4.1.1)")
    parts = [f"{name}={encode_value(value)}"]
    if len(parts[0]) > MAX_COOKIE:
        raise ValueError(f"the cookie {name!a} has {len(parts[0])} bytes; browsers keep {MAX_COOKIE}")
    if max_age is not None:
        seconds = int(max_age.total_seconds()) if isinstance(max_age, timedelta) else max_age
        parts.append(f"Max-Age={seconds:d}")
    for attribute, text in (("Domain", domain), ("Path", path)):
        if text is not None:
            if not _is_attribute(text):
                raise ValueError(f"the {attribute} {text[:64]!a} of the cookie {name!a} holds a forbidden character")
            parts.append(f"{attribute}={text}")
    if secure:
        parts.append("Secure")
    if httponly:
        parts.append("HttpOnly")
    if samesite is not None:
        spelling = _SAME_SITE.get(samesite.lower())
        if spelling is None:
            raise ValueError(f"samesite of the cookie {name!a} is {samesite[:64]!a}, not Strict, Lax or None")
        if spelling == "None" and not secure:
            raise ValueError(f"browsers drop the cookie {name!a}: SameSite=None goes only with secure=True")
        parts.append(f"SameSite={spelling}")
    return "; ".join(parts)
