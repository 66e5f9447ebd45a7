"""This file is the answering half of jon.cgi's Request: headers, and a body that is kept until the end."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Final

from penstock.compat.jon._text import encode_body, to_native, to_text
from penstock.gateways.response import encode_head

_UNSET: Final = object()
DEFAULT_TYPE: Final = ("Content-Type", "text/html; charset=iso-8859-1")
"""jonpy's; what this charset has not goes out as an entity, see _text.py."""


class Error(Exception):
    """What this module raises on its own account."""


class SequencingError(Error):
    """Something comes too late: a header, say, after the headers went out."""


class Answer:
    """How a request is answered. Headers are kept until the body begins, the body until `flush()` or the end."""

    def _init(self) -> None:
        # Some of these names are jonpy's own, because programs that subclass Request use them.
        self._doneHeaders = 0
        self._headers = [DEFAULT_TYPE]
        self._bufferOutput: object = 1
        self._output = io.BytesIO()
        self._text: list[str] = []
        self._pos = 0
        self._written = 0
        self._closing = False
        self._flushing = False
        self.closed = 0
        self._encoding: str | None = None
        self._inputencoding: str | None = None

    # -- headers

    def output_headers(self) -> None:
        """End the headers, which nothing can change any more."""
        self._check_open()
        if self._doneHeaders:
            raise SequencingError("output_headers() was called twice")
        status = self.get_header("Status")
        if status is None:
            # RFC 3875 6.2.3. A Location without a host is a redirect that the client sees, too.
            status = "200" if self.get_header("Location") is None else "302"
        fields = [(name, to_native(value)) for name, value in self._headers if name.lower() != "status"]
        self._send_head(to_native(status), fields)
        self._doneHeaders = 1

    def clear_headers(self) -> None:
        """Forget every header, that of the type too."""
        self._check_headers("clear_headers()")
        self._headers = []

    def add_header(self, hdr: str, val: object) -> None:
        """Add a header beside those of the same name.

        Raises:
            BadResponse: it cannot stand in a response, a line break being the worst; jonpy let a client's one through.
            SequencingError: the headers are out.
        """
        self._check_headers(f"add_header({hdr!r})")
        self._headers.append(_checked(hdr, val))

    def set_header(self, hdr: str, val: object) -> None:
        """Set a header in place of all of this name; `Status` is one. Raises what `add_header` does."""
        self._check_headers(f"set_header({hdr!r})")
        field = _checked(hdr, val)
        self.del_header(hdr)
        self._headers.append(field)

    def get_header(self, hdr: str, index: int = 0) -> str | None:
        """The value that was set for a header, the one at `index` if there are several; None when there is none."""
        lower = hdr.lower()
        values = [value for name, value in self._headers if name.lower() == lower]
        return values[index] if 0 <= index < len(values) else None

    def del_header(self, hdr: str) -> None:
        """Take back all headers of this name."""
        self._check_headers(f"del_header({hdr!r})")
        lower = hdr.lower()
        self._headers = [field for field in self._headers if field[0].lower() != lower]

    def append_header_value(self, hdr: str, val: str) -> str:
        """Add a value to a header that is a list, unless it is there already; return what the header is then."""
        current = self.get_header(hdr)
        if current:
            if val.lower() in [item.strip().lower() for item in current.split(",")]:
                return current
            val = f"{current}, {val}"
        self.set_header(hdr, val)
        return val

    # -- body

    def write(self, s: object) -> None:
        """Write body: text in the charset of the Content-Type, bytes as they are, anything else as `str()` has it."""
        self._check_open()
        if isinstance(s, bytes | bytearray | memoryview):
            block = bytes(s)
            self._written += len(block)
            if self._encoding and self._inputencoding:
                block = block.decode(self._inputencoding).encode(self._encoding)
        else:
            text = to_text(s)
            self._written += len(text)
            if self._bufferOutput and not self._encoding:
                # The Content-Type may still change, and with it the charset.
                self._text.append(text)
                return
            block = self._encode(text)
        if self._bufferOutput:
            self._settle()
            self._output.write(block)
        else:
            if not self._doneHeaders:
                self.output_headers()
            self._pos += len(block)
            self._write(block)

    def set_encoding(self, encoding: str | None, inputencoding: object = _UNSET) -> None:
        """Encode text in this encoding, whatever the Content-Type says.

        Args:
            encoding: None for the charset of the Content-Type.
            inputencoding: what bytes given to `write` are in, to be recoded; None, as it is at first, leaves them.
        """
        self._settle()
        self._encoding = encoding
        if inputencoding is not _UNSET:
            self._inputencoding = None if inputencoding is None else str(inputencoding)

    def get_encoding(self) -> str | None:
        """What `set_encoding` has set."""
        return self._encoding

    def set_buffering(self, f: object) -> None:
        """Keep the body until the end, or not; at first it is kept. Ending that sends what there is."""
        self._check_open()
        if not f and self._size():
            self.flush()
        self._bufferOutput = f

    def flush(self) -> None:
        """Send what was written until now, after the headers."""
        self._check_open()
        if not self._doneHeaders:
            self.output_headers()
        self._settle()
        block = self._output.getvalue()
        self._pos += len(block)
        self._drop_output()
        self._flushing = True  # more may come before it is worth a send
        self._write(block)
        self._flushing = False
        self._flush()

    def clear_output(self) -> None:
        """Forget what was written and not sent.

        Raises:
            SequencingError: the body is not kept.
        """
        self._check_open()
        if not self._bufferOutput:
            raise SequencingError("clear_output() has no meaning without buffering")
        self._drop_output()

    def close(self) -> None:
        """End the answer; writing then raises ValueError. It happens by itself when the handler is done."""
        if not self.closed:
            self._closing = True
            self._correct_length()
            self.flush()
            self._close()
            self.closed = 1

    def _correct_length(self) -> None:
        """Let a Content-Length of `len(page)` be the page's bytes, where the page is text; in jonpy it was bytes."""
        if not self._doneHeaders and self.get_header("Content-Length") == str(self._written):
            self.set_header("Content-Length", self._size())

    def tell(self) -> int:
        """Where the next write goes to, in bytes of the body."""
        self._settle()
        return self._pos + self._output.tell()

    def seek(self, offset: int, whence: int = 0) -> None:
        """Move there, within what was not sent yet; moving over the end fills up with zeros.

        Raises:
            ValueError: that has been sent already, or `whence` is not 0, 1 or 2.
        """
        self._check_open()
        here, end = self.tell(), self._pos + self._size()
        if whence not in (0, 1, 2):
            raise ValueError(f"seek() from {whence!r}; 0 is the beginning, 1 here and 2 the end")
        place = offset + (0, here, end)[whence]
        if place < self._pos:
            raise ValueError(f"seek() to {place}, but {self._pos} bytes have been sent already")
        if place > end and not self._bufferOutput:
            self.write(bytes(place - end))
        else:
            self._output.seek(place - self._pos)

    # -- underneath: what a transport overrides

    def _write(self, s: bytes) -> None:
        raise NotImplementedError(f"{type(self).__name__} has no _write(s)")

    def _flush(self) -> None:
        """Let what `_write` got go to the client."""

    def _close(self) -> None:
        """The answer is complete."""

    def _send_head(self, status: str, fields: Sequence[tuple[str, str]]) -> None:
        self._write(encode_head(status, fields).to_bytes())

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the answer to this request has ended")

    def _check_headers(self, what: str) -> None:
        self._check_open()
        if self._doneHeaders:
            raise SequencingError(f"{what} comes after the headers")

    def _size(self) -> int:
        self._settle()
        return len(self._output.getbuffer())

    def _drop_output(self) -> None:
        self._written = 0
        self._text.clear()
        self._output.seek(0)
        self._output.truncate()

    def _settle(self) -> None:
        if self._text:
            block = self._encode("".join(self._text))
            self._text.clear()
            self._output.write(block)

    def _encode(self, text: str) -> bytes:
        if self._encoding:
            return text.encode(self._encoding, "surrogateescape")
        return encode_body(text, self.get_header("Content-Type") or "")


def _checked(hdr: str, val: object) -> tuple[str, str]:
    value = to_text(val)
    if hdr.lower() == "status":
        encode_head(to_native(value), ())
    else:
        encode_head("200", ((hdr, to_native(value)),))
    return hdr, value
