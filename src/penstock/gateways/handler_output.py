"""This file is the answering half of a handler's request: status, headers and a body that is buffered while it is small."""

from __future__ import annotations

import logging
import string
from collections.abc import Iterable, Mapping
from datetime import timedelta
from html import escape
from typing import Final
from urllib.parse import quote

from penstock.gateways.compression import (
    LEAST,
    Compressor,
    accepts_gzip,
    compressed,
    is_compressible,
    vary_by_encoding,
)
from penstock.gateways.cookies import format_cookie
from penstock.gateways.environ import scheme
from penstock.gateways.request import Request as RawRequest
from penstock.gateways.response import BadResponse, ResponseHead, encode_head, error_page
from penstock.gateways.wsgi import BodyMismatch

_log: Final = logging.getLogger("penstock")

Headers = Mapping[str, str] | Iterable[tuple[str, str]]

BUFFER: Final = 262_144
"""Bytes of body that are kept back until the end; a longer one is sent in pieces of this size."""

HTML: Final = "text/html; charset=utf-8"
"""The Content-Type of a handler that sets none."""


class OutOfTurn(RuntimeError):
    """A status, header or decision that comes too late, or in a role that has none."""


class Output:
    """How a handler answers. Everything is kept until `flush()`, or until the body outgrows the buffer, or the end.

    Args:
        raw: the request that the gateway has.
        guards: the answer is a decision, and without `allow()` it is a denial (section 6.3).

    Attributes:
        gzip: compress the body when the client accepts it, the type is text and the body is not tiny; Vary is set too.
            Set it before anything is sent. A page that shows a secret next to what the client sent should not be
            compressed over TLS: its length would tell of the secret (BREACH).
        head_sent: status and headers are out.
        finished: the response is complete.
    """

    __slots__ = (
        "_allowed",
        "_buffer",
        "_compressor",
        "_fields",
        "_guards",
        "_head_only",
        "_left",
        "_raw",
        "_sends_body",
        "_size",
        "_status",
        "_streams",
        "finished",
        "gzip",
        "head_sent",
    )

    def __init__(self, raw: RawRequest, guards: bool) -> None:
        self._raw = raw
        self._guards = guards
        self._head_only = raw.params.get("REQUEST_METHOD") == "HEAD"
        self._status = 200
        self._fields: list[tuple[str, str]] = []
        self._allowed: list[tuple[str, str]] | None = None
        self._buffer: list[bytes] = []
        self._size = 0
        self._streams = False
        self._left: int | None = None
        self._sends_body = True
        self._compressor: Compressor | None = None
        self.gzip = False
        self.head_sent = False
        self.finished = False

    # -- status and headers

    @property
    def status(self) -> int:
        """The status code, 200 unless it is set; its standard reason goes with it."""
        return self._status

    @status.setter
    def status(self, code: int) -> None:
        self._check_head()
        encode_head(f"{code:d}", ())
        self._status = int(code)

    def set_header(self, name: str, value: str) -> None:
        """Set a header, in place of all of this name.

        Args:
            name: in any case.
            value: a latin-1 native string (PEP 3333).

        Raises:
            BadResponse: name or value cannot stand in a header.
            OutOfTurn: the head has been sent.
        """
        self._check_field(name, value)
        self.del_header(name)
        self._fields.append((name, value))

    def add_header(self, name: str, value: str) -> None:
        """Add a header beside those of the same name; otherwise as `set_header`."""
        self._check_field(name, value)
        self._fields.append((name, value))

    def del_header(self, name: str) -> None:
        """Take back all headers of this name."""
        self._check_head()
        lower = name.lower()
        self._fields = [field for field in self._fields if field[0].lower() != lower]

    def get_header(self, name: str) -> str | None:
        """The first value that was set for this header, None when there is none."""
        lower = name.lower()
        return next((value for key, value in self._fields if key.lower() == lower), None)

    def set_cookie(
        self,
        name: str,
        value: str,
        *,
        max_age: int | timedelta | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool | None = None,
        httponly: bool = True,
        samesite: str | None = "Lax",
    ) -> None:
        """Set a cookie (RFC 6265); `cookies` reads the same value back.

        Args:
            name: a token.
            value: any text.
            max_age: seconds that the browser keeps it; None until it is closed, 0 deletes it.
            path: where it is sent to: this path and those below.
            domain: sent to this domain and those below; None to this host alone.
            secure: sent over https alone; None when this request came over https.
            httponly: out of reach for scripts.
            samesite: "Strict", "Lax", "None", or None to leave the attribute out.

        Raises:
            ValueError: something cannot stand in a cookie, or a browser would drop it unseen.
            OutOfTurn: the head has been sent.
        """
        line = format_cookie(
            name,
            value,
            max_age=max_age,
            path=path,
            domain=domain,
            secure=scheme(self._raw.params) == "https" if secure is None else secure,
            httponly=httponly,
            samesite=samesite,
        )
        self.add_header("Set-Cookie", line)

    def delete_cookie(self, name: str, *, path: str | None = "/", domain: str | None = None) -> None:
        """Have the browser forget a cookie; path and domain are those that it was set with."""
        self.set_cookie(name, "", max_age=0, path=path, domain=domain)

    # -- body

    def write(self, data: str | bytes | bytearray | memoryview) -> None:
        """Write body; text goes out as UTF-8.

        Raises:
            Disconnected: it could not be sent and never will be.
            OutOfTurn: the response has ended.
        """
        if isinstance(data, str):
            data = data.encode()
        elif isinstance(data, bytearray | memoryview):
            data = bytes(data)
        elif not isinstance(data, bytes):
            raise TypeError(f"write() takes str or bytes, not {type(data).__name__}")
        if self.finished:
            if self._sends_body:
                raise OutOfTurn("the response has ended")
            return
        self._buffer.append(data)
        self._size += len(data)
        if self._streams or self._size > BUFFER:
            self._send(last=False)

    def flush(self) -> None:
        """Send all that was written until now; from here on each write goes out at once.

        Raises:
            Disconnected: it could not be sent and never will be.
            OutOfTurn: nothing has been decided yet.
        """
        self._streams = True
        if not self.finished:
            self._send(last=False)

    def clear(self) -> None:
        """Start the answer over: forget status, headers, body and decision.

        Raises:
            OutOfTurn: the head has been sent.
        """
        self._check_head()
        self._status = 200
        self._fields.clear()
        self._allowed = None
        self._empty()

    # -- whole answers

    def redirect(self, url: str, status: int = 302) -> None:
        """Send the client elsewhere, with a small page in place of what was written.

        Args:
            url: a URL or a path; characters that a URL may not hold are percent-encoded, as UTF-8.
            status: 301, 302, 303, 307 or 308.

        Raises:
            BadResponse: the URL holds a control character.
            ValueError: the status is none of these.
            OutOfTurn: the head has been sent.
        """
        if status not in (301, 302, 303, 307, 308):
            raise ValueError(f"{status!a} is not the status of a redirect")
        if any(character < " " or character == "\x7f" for character in url):
            raise BadResponse("the URL of a redirect holds a control character")
        target = quote(url, safe=string.punctuation)
        self.status = status
        self.set_header("Location", target)
        self._replace_body(f'<!DOCTYPE html>\n<title>Moved</title>\n<a href="{escape(target)}">Here.</a>\n', HTML)

    def allow(self, **variables: str) -> None:
        """Let the web server go on with the request. It is told at the end, so an error until then is still a denial.

        Args:
            variables: parameters for whatever handles the request next, as `Variable-NAME` headers (section 6.3):
                `allow(REMOTE_USER="bob")`. Values are native strings (PEP 3333), as they stand in `params`.

        Raises:
            BadResponse: a name or value cannot stand in a header.
            OutOfTurn: it was denied already, or nobody asked: the role is not Authorizer and the handler does not guard.
        """
        if not self._guards:
            raise OutOfTurn("allow() is for an Authorizer, or a handler with guards = True")
        self._check_head()
        if self._status >= 300:
            raise OutOfTurn(f"allow() comes after the status was set to {self._status}")
        fields = [(f"Variable-{name}", value) for name, value in variables.items()]
        encode_head("200", fields)
        self._allowed = fields

    def deny(self, status: int = 403, page: str | bytes | None = None, headers: Headers = ()) -> None:
        """Refuse the request; the client gets this page. It wins over an `allow()` before it.

        Args:
            status: 300 or above; 401 goes with a WWW-Authenticate header.
            page: HTML, unless `headers` have another Content-Type; None for a plain one.
            headers: set in addition.

        Raises:
            BadResponse: a header cannot be sent.
            ValueError: the status would let the request through.
            OutOfTurn: the head has been sent.
        """
        if status < 300:
            raise ValueError(f"the status {status!a} would let the request through")
        self.status = status
        self._allowed = None
        text = error_page(status).partition(b"\r\n\r\n")[2] if page is None else page
        self._replace_body(text, HTML)
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            self.set_header(name, value)

    # -- underneath

    def end(self) -> None:
        """Send what is left, and end the response; done for the handler when it returns.

        Raises:
            BodyMismatch: the body is shorter than the handler's own Content-Length.
            Disconnected: it could not be sent and never will be.
        """
        if not self.finished:
            self._send(last=True)

    def _check_head(self) -> None:
        if self.head_sent:
            raise OutOfTurn("status and headers have been sent already")

    def _check_field(self, name: str, value: str) -> None:
        """Complain here, where the fault is, and not when the head is sent."""
        self._check_head()
        encode_head("200", ((name, value),))

    def _replace_body(self, page: str | bytes, content_type: str) -> None:
        for name in ("Content-Length", "Content-Encoding", "ETag"):
            self.del_header(name)
        self.set_header("Content-Type", content_type)
        self._empty()
        self._size = len(page)
        self._buffer.append(page.encode() if isinstance(page, str) else page)

    def _empty(self) -> bytes:
        body = b"".join(self._buffer)
        self._buffer.clear()
        self._size = 0
        return body

    def _send(self, last: bool) -> None:
        if self._guards and not self.head_sent and self._status < 300 and not self._decide(last):
            return
        body = self._empty()
        head = None if self.head_sent else self._make_head(len(body), last)
        body = self._fit(body, last)
        if self._compressor is not None:
            body = self._compressor.compress(body, flush=self._streams, last=last)
        block = b""
        if head is not None:
            # A handler that writes nothing for HEAD does not mean that GET would be empty.
            known = last and (self._size_told(body))
            block = head.to_bytes(len(body) if known else None)
            self.head_sent = True
        raw = self._raw
        if not self._sends_body:
            self.finished = True
            raw.finish(block)
            return
        raw.body_length += len(body)
        if last:
            self.finished = True
            raw.finish(block + body)
        elif block or body:
            raw.write(block + body)
