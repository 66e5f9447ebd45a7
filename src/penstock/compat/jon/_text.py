"""This file turns bytes into text and back, by one rule: what came in as bytes goes out as the same bytes.

jonpy's strings were bytes. Here parameters, cookies and the environment are text, decoded from UTF-8, where a byte that
is no UTF-8 becomes a lone surrogate (PEP 383). Headers are encoded the same way. A body is encoded in the charset that
its Content-Type names, UTF-8 when it names none, and the lone surrogates become their bytes again.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Final

_ERRORS: Final = "penstock.jon"
_charset_of: Final = re.compile(r""";\s*charset\s*=\s*"?([^\s;"]+)""", re.IGNORECASE).search
_is_markup: Final = re.compile(r"text/html|(?:application|text)/(?:.+\+)?xml", re.IGNORECASE).fullmatch


def from_native(value: str) -> str:
    """Text of a native string (PEP 3333), whose characters are bytes."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "surrogateescape")


def to_native(text: str) -> str:
    """The native string that `from_native` reads back.

    Raises:
        UnicodeEncodeError: it holds half of a character (a surrogate that stands for no byte).
    """
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("latin-1")


def to_text(value: object) -> str:
    """Any object as text, as jonpy's `str()` did it; bytes are read as text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "surrogateescape")
    return str(value)


def encode_body(text: str, content_type: str) -> bytes:
    """Text as a body of this Content-Type; a character that the charset has not is an entity, in HTML and XML.

    Raises:
        UnicodeEncodeError: the charset has not all of the characters, and the type is neither.
    """
    codec, errors = _coding(content_type)
    return text.encode(codec, errors)


@lru_cache(64)
def _coding(content_type: str) -> tuple[str, str]:
    found = _charset_of(content_type)
    codec = found[1] if found else "utf-8"
    try:
        codecs.lookup(codec)
    except LookupError:
        codec = "utf-8"
    kind = content_type.partition(";")[0].strip()
    return codec, _ERRORS if _is_markup(kind) else "surrogateescape"


def _as_entities(error: UnicodeError) -> tuple[bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    out = bytearray()
    for character in error.object[error.start : error.end]:
        code = ord(character)
        if 0xDC80 <= code <= 0xDCFF:  # a byte of the input that was no UTF-8
            out.append(code - 0xDC00)
        else:
            out += b"&#%d;" % code
    return bytes(out), error.end


codecs.register_error(_ERRORS, _as_entities)
