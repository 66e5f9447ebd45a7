"""This file reads multipart forms (RFC 7578), with the files in them, through the `multipart` library.

The library comes with `pip install 'penstock[forms]'`. It is imported when the first such form is read, so a server
whose programs take none needs it as little as one that has none installed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from tempfile import SpooledTemporaryFile
from typing import IO, Any, BinaryIO, Final, cast, final

from penstock.gateways.forms import BadForm, Field, FormLimits, FormNotKept, FormTooLarge, decode_text

_CHUNK: Final = 65536

NEEDS_LIBRARY: Final = "forms with files need the multipart library: pip install 'penstock[forms]'"


class LibraryMissing(ImportError):
    """The `multipart` library is not installed."""


@final
class Upload:
    """A file that came with a form. It is closed, and gone, when its request ends.

    Attributes:
        filename: the last component of the name that the client gave, "" where it gave none that is of use. It is the
            client's word: never make it a path.
        content_type: the type that the client gave, in lower case and without parameters; "" where it gave none.
        file: the content, a binary file at its beginning.
        size: bytes of it.
    """

    __slots__ = ("content_type", "file", "filename", "size")

    def __init__(self, filename: str, content_type: str, file: IO[bytes], size: int) -> None:
        self.filename = filename
        self.content_type = content_type
        self.file = file
        self.size = size


def read_multipart(
    body: BinaryIO, content_type: str, limits: FormLimits
) -> tuple[list[Field], list[tuple[str, Upload]]]:
    """Read a multipart form to its end; an empty body is an empty form.

    Args:
        body: where it comes from.
        content_type: the request's Content-Type, which names the boundary.
        limits: what it may make us hold.

    Returns:
        Text fields and files, each with its name. A file field where the user chose no file is in neither.

    Raises:
        BadForm: it is no multipart form, or not whole.
        FormTooLarge: it passes a limit.
        FormNotKept: there is no room for a file.
        LibraryMissing: the `multipart` library is not installed.
    """
    reader = _Reader(limits)
    try:
        _feed(reader, body, content_type, limits)
    except BaseException:
        reader.close()
        raise
    return reader.fields, reader.files


def _feed(reader: _Reader, body: BinaryIO, content_type: str, limits: FormLimits) -> None:
    try:
        # Another project's package of the same name, python-multipart, has no such class.
        from multipart import MultipartError, ParserLimitReached, PushMultipartParser, parse_options_header
    except ImportError:
        raise LibraryMissing(NEEDS_LIBRARY) from None
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    size = 0
    try:
        parser = PushMultipartParser(boundary, max_segment_count=limits.max_fields + limits.max_files)
        while chunk := body.read(_CHUNK):
            size += len(chunk)
            if size > limits.max_size:
                raise FormTooLarge(f"a form of more than the {limits.max_size} bytes that are allowed")
            # What stands behind the last boundary is no part of the form, but all of the body is read.
            if not parser.closed:
                _take(reader, parser.parse(chunk))
        if size and not parser.closed:
            parser.close()
    except ParserLimitReached as error:
        raise FormTooLarge(f"a multipart form passes a limit: {str(error)!a}") from error
    except MultipartError as error:
        raise BadForm(f"a multipart form that cannot be read: {str(error)!a}") from error


def _take(reader: _Reader, events: Iterable[Any]) -> None:
    try:
        for event in events:
            reader.take(event)
    except OSError as error:
        raise FormNotKept(f"a file of the form cannot be kept: {error.strerror}") from error


class _Reader:
    """Takes a form's parts as the parser finds them: for each its head, its content in pieces, and None at its end."""

    def __init__(self, limits: FormLimits) -> None:
        self.fields: list[Field] = []
        self.files: list[tuple[str, Upload]] = []
        self._limits = limits
        self._text: list[bytes] = []
        self._memory = 0
        self._texts = 0
        self._opened = 0
        self._part: Any = None
        self._file: IO[bytes] | None = None

    def take(self, event: Any) -> None:
        """Take one event of the parser.

        Raises:
            FormTooLarge: it passes a limit.
        """
        if event is None:
            self._end()
        elif self._part is None:
            self._begin(event)
        elif self._file is not None:
            self._file.write(event)
        else:
            self._hold(len(event))
            self._text.append(bytes(event))

    def close(self) -> None:
        """Forget the files, also one that a full disk cannot take the rest of."""
        for file in (*(upload.file for _, upload in self.files), self._file):
            with suppress(OSError):
                if file is not None:
                    file.close()

    def _begin(self, part: Any) -> None:
        limits = self._limits
        self._part = part
        if part.filename is None:
            self._texts += 1
            self._hold(len(part.name))
        else:
            self._opened += 1
            file = SpooledTemporaryFile(limits.file_memory, prefix="penstock-")  # noqa: SIM115 - until the request ends
            self._file = cast("IO[bytes]", file)
        if self._texts > limits.max_fields:
            raise FormTooLarge(f"a form of more than the {limits.max_fields} fields that are allowed")
        if self._opened > limits.max_files:
            raise FormTooLarge(f"a form of more than the {limits.max_files} files that are allowed")

    def _hold(self, size: int) -> None:
        self._memory += size
        most = self._limits.max_memory
        if self._memory > most:
            raise FormTooLarge(f"a form whose fields have more than the {most} bytes that are allowed")

    def _end(self) -> None:
        part, file = self._part, self._file
        self._part = None
        if file is None:
            self.fields.append((part.name, decode_text(b"".join(self._text))))
            self._text.clear()
            return
        size = file.tell()
        file.seek(0)  # which writes what was held back: only now is it known to be whole
        self._file = None
        if not size and not part.filename:  # the user chose no file
            file.close()
            return
        self.files.append((part.name, Upload(_last_component(part.filename), part.content_type or "", file, size)))


def _last_component(filename: str) -> str:
    """A name without folders: RFC 7578 4.2 says not to use them, whichever way the client's system writes them."""
    name = filename.replace("\\", "/").rpartition("/")[2]
    return "" if name in (".", "..") else name
