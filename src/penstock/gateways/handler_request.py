"""This file is what a handler gets: a request, whose input is taken apart when it is asked for."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO, cast, final

from penstock.gateways.cookies import parse_cookies
from penstock.gateways.environ import BadRequest
from penstock.gateways.forms import (
    DEFAULT_FORM_LIMITS,
    Field,
    FormLimits,
    FormTooLarge,
    MultiValues,
    parse_query,
    read_urlencoded,
)
from penstock.gateways.handler_output import Output
from penstock.gateways.request import Request as RawRequest
from penstock.protocol.spec import Role

if TYPE_CHECKING:
    from penstock.gateways.uploads import Upload

_log: Final = logging.getLogger("penstock")

_URLENCODED: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_BARE: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")


class ShortData(BadRequest, OSError):
    """The DATA of a Filter ended before FCGI_DATA_LENGTH bytes; a 400 when nobody catches it (section 6.4)."""


@final
class Headers(Mapping[str, str]):
    """The headers of a request, by their names in any case.

    CGI writes "-" as "_", so X-User and X_User are one here; a web server that lets both through must not be trusted
    with either. Values are native strings (PEP 3333).
    """

    __slots__ = ("_params",)

    def __init__(self, params: Mapping[str, str]) -> None:
        self._params = params

    def __getitem__(self, name: str) -> str:
        key = name.upper().replace("-", "_")
        if key in _BARE:
            value = self._params.get(key)
            if value:  # empty is CGI's way to say that there is none
                return value
        else:
            value = self._params.get(f"HTTP_{key}")
            if value is not None:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        for key, value in self._params.items():
            if key.startswith("HTTP_"):
                yield key[5:].replace("_", "-").title()
            elif key in _BARE and value:
                yield key.replace("_", "-").title()

    def __len__(self) -> int:
        return sum(1 for _ in self)


@final
class Request(Output):
    """One request, for the handler that answers it. What it came with is here; how to answer is in `Output`.

    Args:
        raw: the request as the gateway has it.
        limits: what a form may make us hold.
        guards: the answer is a decision; see `Output`.

    Attributes:
        params: the parameters by name: CGI variables, in native strings (PEP 3333), each character one byte.
        role: what the web server asks the handler to be (section 6).
        method: "GET", "POST" and so on; "" where an authorizer is not told.
        headers: the request's headers, by name in any case.
        stdin: the body, a binary file; an authorizer has none. Either read it or ask for `form` and `files`.
    """

    __slots__ = (
        "_cookies",
        "_data",
        "_errors",
        "_files",
        "_form",
        "_limits",
        "_query",
        "headers",
        "method",
        "params",
        "role",
        "stdin",
    )

    def __init__(self, raw: RawRequest, limits: FormLimits = DEFAULT_FORM_LIMITS, guards: bool = False) -> None:
        super().__init__(raw, guards)
        self.params = raw.params
        self.role = raw.role
        self.method = raw.params.get("REQUEST_METHOD", "")
        self.headers = Headers(raw.params)
        self.stdin = raw.stdin
        self._limits = limits
        self._cookies: dict[str, str] | None = None
        self._query: MultiValues[str] | None = None
        self._form: MultiValues[str] | None = None
        self._files: MultiValues[Upload] | None = None
        self._data: BinaryIO | None = None
        self._errors: _LogStream | None = None

    @property
    def path(self) -> str:
        """PATH_INFO as text: UTF-8, what is none replaced by U+FFFD."""
        return self.params.get("PATH_INFO", "").encode("latin-1").decode("utf-8", "replace")

    @property
    def reference(self) -> str:
        """The name of this request in the log and on an error page; "" until something went wrong."""
        return self._raw.reference

    @property
    def errors(self) -> TextIO:
        """A text file whose lines go to penstock's log, as errors: `print("no disk", file=request.errors)`."""
        if self._errors is None:
            self._errors = _LogStream()
        return cast(TextIO, self._errors)

    # -- what the client sent

    @property
    def cookies(self) -> Mapping[str, str]:
        """The cookies by name; malformed ones are left out."""
        if self._cookies is None:
            self._cookies = parse_cookies(self.params.get("HTTP_COOKIE", ""))
        return self._cookies

    @property
    def query(self) -> MultiValues[str]:
        """The fields of the query string.

        Raises:
            BadForm: there are more than the limits allow.
        """
        if self._query is None:
            self._query = parse_query(self.params.get("QUERY_STRING", ""), self._limits)
        return self._query

    @property
    def form(self) -> MultiValues[str]:
        """The text fields of a form in the body, urlencoded or multipart; empty where the body is something else.

        Raises:
            BadForm: it cannot be read.
            FormTooLarge: it passes the handler's `form_limits`.
            LibraryMissing: it is multipart, and the `multipart` library is not installed.
            TruncatedInput: the connection ended before the body did.
        """
        if self._form is None:
            self._read_form()
        assert self._form is not None
        return self._form

    @property
    def files(self) -> MultiValues[Upload]:
        """The files of a multipart form by field; raises what `form` does. They are closed when the request ends."""
        if self._files is None:
            self._read_form()
        assert self._files is not None
        return self._files

    def _read_form(self) -> None:
        kind = self.params.get("CONTENT_TYPE", "")
        name = kind.partition(";")[0].strip().lower()
        fields: list[Field] = []
        files: list[tuple[str, Upload]] = []
        # Some web servers tell an authorizer of the form that the request came with; it gets none of it.
        if self.role is not Role.AUTHORIZER and name in (_URLENCODED, _MULTIPART):
            length = self.params.get("CONTENT_LENGTH", "")
            if length.isdigit() and int(length) > self._limits.max_size:
                raise FormTooLarge(f"a form of {length} bytes; {self._limits.max_size} are allowed")
            if name == _URLENCODED:
                fields = read_urlencoded(self.stdin, self._limits)
            else:
                from penstock.gateways.uploads import read_multipart

                fields, files = read_multipart(self.stdin, kind, self._limits)
        self._form = MultiValues(fields)
        self._files = MultiValues(files)

    # -- what a Filter gets

    @property
    def data(self) -> BinaryIO:
        """The file that a Filter is to filter, a binary file; empty in other roles.

        Never more than FCGI_DATA_LENGTH bytes; when there are fewer, reading over their end raises ShortData.

        Raises:
            BadRequest: FCGI_DATA_LENGTH is no number.
        """
        if self._data is None:
            source = self._raw.data
            length = self.data_length
            if source is None:
                source = io.BytesIO()
            elif length is not None:
                source = io.BufferedReader(_Announced(source, length), 65536)
            self._data = source
        return self._data

    @property
    def data_length(self) -> int | None:
        """FCGI_DATA_LENGTH, in bytes; None where it was not sent.

        Raises:
            BadRequest: it is no number.
        """
        text = self.params.get("FCGI_DATA_LENGTH", "")
        if not text:
            return None
        if not _is_number(text):
            raise BadRequest(f"FCGI_DATA_LENGTH is {text[:40]!a}, not a number of 1 to 19 digits")
        return int(text)

    @property
    def data_last_modified(self) -> datetime | None:
        """FCGI_DATA_LAST_MOD, when the data was last changed, in UTC; None where it was not sent or is no time.

        Whoever has an answer from then may give it without reading the data.
        """
        text = self.params.get("FCGI_DATA_LAST_MOD", "")
        if not _is_number(text):
            return None
        try:
            return datetime.fromtimestamp(int(text), UTC)
        except (OverflowError, ValueError, OSError):
            return None

    def release(self) -> None:
        """Give back what the request held; the gateway does it at the end."""
        if self._errors is not None:
            self._errors.flush()
        if self._files is not None:
            for _, upload in self._files.pairs():
                upload.file.close()


def _is_number(text: str) -> bool:
    return 0 < len(text) <= 19 and text.isascii() and text.isdigit()


@final
class _Announced(io.RawIOBase):
    """DATA, held to the length that was announced for it."""

    def __init__(self, source: BinaryIO, length: int) -> None:
        self._source = source
        self._length = length
        self._left = length
        if source.seekable():  # all of it is here
            size = source.seek(0, io.SEEK_END)
            source.seek(0)
            if size > length:
                _log.warning("the data of a filter has %d bytes and FCGI_DATA_LENGTH says %d; it was cut", size, length)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        if not self._left:
            return 0
        chunk = self._source.read1(min(len(view), self._left))  # type: ignore[attr-defined]
        if not chunk:
            received = self._length - self._left
            raise ShortData(f"the data has {received} bytes and FCGI_DATA_LENGTH says {self._length}")
        view[: len(chunk)] = chunk
        self._left -= len(chunk)
        return len(chunk)


@final
class _LogStream(io.TextIOBase):
    """Text that becomes lines of the log."""

    def __init__(self) -> None:
        self._line = ""

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        *lines, self._line = (self._line + text).split("\n")
        for line in lines:
            _log.error("%s", line)
        return len(text)

    def flush(self) -> None:
        if self._line:
            _log.error("%s", self._line)
            self._line = ""
