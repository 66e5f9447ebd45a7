"""This file holds what query strings and forms have in common: fields that may repeat, limits, the urlencoded format.

Text in forms is UTF-8, as every browser sends it from a UTF-8 page; bytes that are none become U+FFFD. Multipart
bodies, and with them uploaded files, are read in uploads.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Final, TypeVar, final
from urllib.parse import unquote_to_bytes

from penstock.gateways.environ import BadRequest

Field = tuple[str, str]
T = TypeVar("T")

KIB: Final = 1024
MIB: Final = 1024 * KIB


class BadForm(BadRequest):
    """The form or the query string is not what it says it is; a 400 when nobody catches it."""


class FormTooLarge(BadForm):
    """The form passes a limit; a 413 when nobody catches it."""

    status: ClassVar[int] = 413


class FormNotKept(BadForm):
    """A file of the form cannot be kept: the disk is full, or no temporary file can be made; a 507."""

    status: ClassVar[int] = 507


class MissingField(BadForm, KeyError):
    """A field that the program asked for with `[name]` is not there; a 400 when nobody catches it."""

    # KeyError would print the repr of its argument, which is a sentence here.
    __str__ = BadForm.__str__


@dataclass(frozen=True, slots=True)
class FormLimits:
    """What a form, or a query string, may make us hold.

    Attributes:
        max_size: bytes of the whole body of a form.
        max_fields: text fields of one form or query string; in a query string more are a 400.
        max_memory: bytes of all text fields of a form together.
        max_files: files of one form; a field where no file was chosen counts too.
        file_memory: bytes of one file kept in memory; a longer one goes to a temporary file.
    """

    max_size: int = 1024 * MIB
    max_fields: int = 1000
    max_memory: int = MIB
    max_files: int = 100
    file_memory: int = 256 * KIB


DEFAULT_FORM_LIMITS: Final = FormLimits()


@final
class MultiValues(Mapping[str, T]):
    """Fields by name, where a name may stand for several: as a mapping it gives the first of each name.

    `values[name]` raises MissingField, which is a KeyError and, when nobody catches it, a 400.
    """

    __slots__ = ("_lists", "_pairs")

    def __init__(self, pairs: Iterable[tuple[str, T]] = ()) -> None:
        self._pairs = tuple(pairs)
        self._lists: dict[str, list[T]] = {}
        for name, value in self._pairs:
            self._lists.setdefault(name, []).append(value)

    def __getitem__(self, name: str) -> T:
        try:
            return self._lists[name][0]
        except KeyError:
            raise MissingField(f"the field {name!a} is missing") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def __repr__(self) -> str:
        return f"MultiValues({list(self._pairs)!r})"

    def getall(self, name: str) -> list[T]:
        """Every value of this name, in the order in which they came; empty when there is none."""
        return list(self._lists.get(name, ()))

    def pairs(self) -> tuple[tuple[str, T], ...]:
        """Every name with its value, in the order in which they came."""
        return self._pairs


def decode_text(block: bytes) -> str:
    """Text as it stands in a form: UTF-8, what is none replaced by U+FFFD."""
    return block.decode("utf-8", "replace")


def parse_urlencoded(block: bytes, max_fields: int) -> list[Field]:
    """Read `a=1&b=2` as the URL Standard has it (application/x-www-form-urlencoded parsing); only "&" separates.

    Raises:
        BadForm: there are more than `max_fields` fields.
    """
    if block.count(b"&") >= max(max_fields, 1):
        raise BadForm(f"more than the {max_fields} fields that are allowed")
    fields: list[Field] = []
    for piece in block.split(b"&"):
        if piece:
            name, _, value = piece.partition(b"=")
            fields.append((_decode(name), _decode(value)))
    return fields


def _decode(text: bytes) -> str:
    if b"+" in text:
        text = text.replace(b"+", b" ")
    return decode_text(unquote_to_bytes(text) if b"%" in text else text)


def parse_query(query_string: str, limits: FormLimits) -> MultiValues[str]:
    """Read a QUERY_STRING, a native string (PEP 3333).

    Raises:
        BadForm: it has more fields than the limits allow.
    """
    if not query_string:
        return MultiValues()
    return MultiValues(parse_urlencoded(query_string.encode("latin-1"), limits.max_fields))


def read_urlencoded(body: BinaryIO, limits: FormLimits) -> list[Field]:
    """Read an urlencoded form to its end.

    Raises:
        FormTooLarge: it passes a limit.
    """
    most = min(limits.max_memory, limits.max_size)
    block = body.read(most + 1)
    if len(block) > most:
        raise FormTooLarge(f"a form of more than the {most} bytes that are allowed")
    try:
        return parse_urlencoded(block, limits.max_fields)
    except BadForm as error:
        raise FormTooLarge(error.reason) from None
