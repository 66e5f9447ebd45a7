"""This file makes `params` of a query string and a form, by jonpy's suffixes: name, name*, name! and name!*."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final, TypeAlias, final
from urllib.parse import unquote_to_bytes

from penstock.gateways.forms import MIB, BadForm, FormLimits, FormTooLarge

Params: TypeAlias = dict[str, Any]
"""None or str, with `*` a list of them, with `!` an Entity, with `!*` a list of these; the name keeps its suffix."""

FORM_LIMITS: Final = FormLimits(max_size=64 * MIB, max_fields=10_000, max_memory=64 * MIB, max_files=1000)
"""jonpy had no limits and keeps everything in memory, files too; this is far more than a form of its time had."""

Options: TypeAlias = tuple[str, dict[str, str]]
"""The value of a header, and its parameters by name."""

_CHUNK: Final = 65536


@final
class Entity(Mapping[str, str]):
    """A part of a multipart form, jonpy's `mime.Entity`; as a mapping it is its headers, by name in any case.

    Attributes:
        body: the content, bytes as they came; jonpy undid a Content-Transfer-Encoding, which RFC 7578 4.7 abolished.
        content_type: (type, parameters), as in ("text/plain", {"charset": "utf-8"}); None where the client gave none.
        content_disposition: ("form-data", {"name": ..., "filename": ...}). The file's name is the client's word: never
            make it a path.
        entities: empty; jonpy listed here what is in a multipart within the multipart.
    """

    __slots__ = ("_fields", "body", "content_disposition", "content_type", "entities")

    def __init__(
        self,
        headers: Sequence[tuple[str, str]],
        body: bytes,
        content_type: Options | None,
        content_disposition: Options,
    ) -> None:
        self._fields = {name.lower(): (name, value) for name, value in headers}
        self.body = body
        self.content_type = content_type
        self.content_disposition = content_disposition
        self.entities: list[Entity] = []

    def __getitem__(self, name: str) -> str:
        return self._fields[name.lower()][1]

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self._fields.values()])

    def __len__(self) -> int:
        return len(self._fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._fields

    # jonpy's Entity was a message of rfc822.py, which had these names beside those of a mapping.
    has_key = __contains__
    getheader = Mapping.get


def merge_urlencoded(params: Params, encoded: bytes, encoding: str | None, limits: FormLimits) -> None:
    """Put the fields of `a=1&b=2` into `params`; only "&" separates, and a name without "=" has the value None.

    A name with `!` is left out: what it promises can only come in a multipart form.

    Raises:
        BadForm: there are more fields than the limits allow.
    """
    if encoded.count(b"&") >= limits.max_fields:
        raise BadForm(f"more than the {limits.max_fields} fields that are allowed")
    for piece in encoded.split(b"&"):
        if piece:
            block, equals, rest = piece.partition(b"=")
            name = _decode(unquote_to_bytes(block.replace(b"+", b" ")), encoding)
            if not name.endswith(("!", "!*")):
                value = _decode(unquote_to_bytes(rest.replace(b"+", b" ")), encoding) if equals else None
                _put(params, name, value)


def merge_multipart(
    params: Params, content_type: str, body: BinaryIO, encoding: str | None, limits: FormLimits
) -> None:
    """Put the parts of a multipart form into `params`; those without a name are left out.

    Raises:
        BadForm: it is no multipart form, or not whole.
        FormTooLarge: it passes a limit.
        LibraryMissing: the `multipart` library is not installed.
    """
    for part, kind, content in _parts(content_type, body, limits):
        if part.disposition == "form-data" and part.name is not None:
            name = _text(part.name, encoding)
            if name.endswith(("!", "!*")):
                _put(params, name, _entity(part, kind, content, encoding))
            else:
                _put(params, name, _decode(content, encoding))


def _entity(part: Any, kind: Options | None, content: bytes, encoding: str | None) -> Entity:
    headers = [(_text(name, encoding), _text(value, encoding)) for name, value in part.headerlist]
    disposition = {"name": _text(part.name, encoding)}
    if part.filename is not None:
        disposition["filename"] = _text(part.filename, encoding)
    return Entity(headers, content, kind, (part.disposition, disposition))


def _decode(block: bytes, encoding: str | None) -> str:
    try:
        return block.decode(encoding or "utf-8", "surrogateescape")
    except UnicodeDecodeError as error:  # of an encoding that has no room for foreign bytes, such as UTF-16
        raise BadForm(f"text that is no {encoding}: {error.reason}") from error


def _text(native: str, encoding: str | None) -> str:
    return native if native.isascii() else _decode(native.encode("latin-1"), encoding)


def _put(params: Params, name: str, value: str | Entity | None) -> None:
    if name.endswith("*"):
        params.setdefault(name, []).append(value)
    else:
        params[name] = value


def _parts(content_type: str, body: BinaryIO, limits: FormLimits) -> Iterator[tuple[Any, Options | None, bytes]]:
    """Each part of a form: its head as the library has it, latin-1 for bytes; its Content-Type; its content."""
    # Late: few requests are multipart, and plain CGI pays for every import.
    from penstock.gateways.uploads import NEEDS_LIBRARY, LibraryMissing

    try:
        # Another project's package of the same name, python-multipart, has no such class.
        from multipart import MultipartError, ParserLimitReached, PushMultipartParser, parse_options_header
    except ImportError:
        raise LibraryMissing(NEEDS_LIBRARY) from None
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    most = min(limits.max_size, limits.max_memory)
    size = 0
    part: Any = None
    content: list[bytes] = []
    try:
        count = limits.max_fields + limits.max_files
        parser = PushMultipartParser(boundary, max_segment_count=count, header_charset="latin-1")
        while chunk := body.read(_CHUNK):
            size += len(chunk)
            if size > most:
                raise FormTooLarge(f"a form of more than the {most} bytes that are allowed")
            for event in () if parser.closed else parser.parse(chunk):
                if event is None:
                    kind = part.header("Content-Type")
                    yield part, parse_options_header(kind) if kind else None, b"".join(content)
                    part = None
                    content.clear()
                elif part is None:
                    part = event
                else:
                    content.append(bytes(event))
        if size and not parser.closed:
            parser.close()
    except ParserLimitReached as error:
        raise FormTooLarge(f"a multipart form passes a limit: {str(error)!a}") from error
    except MultipartError as error:
        raise BadForm(f"a multipart form that cannot be read: {str(error)!a}") from error
