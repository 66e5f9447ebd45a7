"""This file is the answering half of a handler's request: status, headers, cookies, a buffered body, and decisions."""

from __future__ import annotations

import string
from collections.abc import Iterable, Mapping
from datetime import timedelta
from html import escape
from typing import Final, TypeAlias
from urllib.parse import quote

from penstock.gateways.cookies import format_cookie
from penstock.gateways.environ import scheme
from penstock.gateways.handler_sending import HTML, Sender
from penstock.gateways.request import Request as RawRequest
from penstock.gateways.response import BadResponse, encode_head, error_page

HeaderItems: TypeAlias = Mapping[str, str] | Iterable[tuple[str, str]]

BUFFER: Final = 262_144
"""Bytes of body that are kept back until the end; a longer one is sent in pieces of this size."""

_REDIRECTS: Final = (301, 302, 303, 307, 308)


class OutOfTurn(RuntimeError):
    """A status, a header or a decision that comes too late, or where nobody asked for it."""


class Output:
    """How a handler answers. Everything is kept until `flush()`, or until the body outgrows the buffer, or the end.

    Args:
        raw: the request as the gateway has it.
        guards: the answer is a decision, and without `allow()` it is a denial (section 6.3).

    Attributes:
        gzip: compress the body where the client accepts it, the type is text and the body is not tiny; Vary is set too.
            To be set before anything is sent. A page that shows a secret next to what a client sent should not be
            compressed: its length would tell of the secret (BREACH).
    """

    __slots__ = ("_allowed", "_body", "_fields", "_guards", "_raw", "_sender", "_size", "_status", "_streams", "gzip")

    def __init__(self, raw: RawRequest, guards: bool) -> None:
        self._raw = raw
        self._guards = guards
        self._sender = Sender(raw)
        self._status = 200
        self._fields: list[tuple[str, str]] = []
        self._allowed: list[tuple[str, str]] | None = None
        self._body: list[bytes] = []
        self._size = 0
        self._streams = False
        self.gzip = False

    @property
    def head_sent(self) -> bool:
        """Status and headers are out."""
        return self._sender.head_sent

    @property
    def finished(self) -> bool:
        """The response is complete."""
        return self._sender.finished

    # -- status and headers

    @property
    def aborted(self) -> bool:
        """Nobody takes the answer any more; a handler that works for long may look at it now and then."""
        return self._raw.aborted

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
            value: a native string (PEP 3333): one character for each byte.

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
        """The first value that was set for this header; None when there is none."""
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
        """Set a cookie (RFC 6265); `cookies` of a later request has the same value.

        Args:
            name: a token.
            value: any text.
            max_age: seconds that the browser keeps it; None until it is closed, 0 deletes it.
            path: the path that it is sent to, with all below.
            domain: the domain that it is sent to, with all below; None for this host alone.
            secure: sent over https alone; None means: when this request came over https.
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
        if self._sender.finished:
            if self._sender.sends_body:
                raise OutOfTurn("the response has ended")
            return  # the body of HEAD, which nobody gets
        self._body.append(data)
        self._size += len(data)
        if self._streams or self._size > BUFFER:
            self._send()

    def flush(self) -> None:
        """Send what was written until now; from here on each write goes out at once.

        Raises:
            Disconnected: it could not be sent and never will be.
            OutOfTurn: this is an authorizer, and it has not decided yet.
        """
        self._streams = True
        if not self._sender.finished:
            self._send()

    def clear(self) -> None:
        """Start the answer over: forget status, headers, body and decision.

        Raises:
            OutOfTurn: the head has been sent.
        """
        self._check_head()
        self._status = 200
        self._fields.clear()
        self._allowed = None
        self._streams = False
        self._take()

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
        if status not in _REDIRECTS:
            raise ValueError(f"{status!a} is not the status of a redirect")
        if any(character < " " or character == "\x7f" for character in url):
            raise BadResponse("the URL of a redirect holds a control character")
        target = quote(url, safe=string.punctuation)
        self.status = status
        self.set_header("Location", target)
        self._replace_body(f'<!DOCTYPE html>\n<title>Moved</title>\n<a href="{escape(target)}">Moved here.</a>\n')

    def allow(self, **variables: str) -> None:
        """Let the web server go on with the request. It is told at the end: an error until then is still a denial.

        Args:
            variables: parameters for whatever handles the request next: `allow(REMOTE_USER="bob")` is sent as
                `Variable-REMOTE_USER: bob` (section 6.3). Values are native strings (PEP 3333), like `params`.

        Raises:
            BadResponse: a name or value cannot stand in a header.
            OutOfTurn: the request was denied already, or nobody has asked: the role is not Authorizer and the handler
                has not `guards = True`.
        """
        if not self._guards:
            raise OutOfTurn("allow() is for the role Authorizer, or for a handler with guards = True")
        self._check_head()
        if self._status >= 300:
            raise OutOfTurn(f"allow() comes too late: the status is {self._status}")
        fields = [(f"Variable-{name}", value) for name, value in variables.items()]
        encode_head("200", fields)
        self._allowed = fields

    def deny(self, status: int = 403, page: str | bytes | None = None, headers: HeaderItems = ()) -> None:
        """Refuse the request, also after an `allow()`; in any role.

        Args:
            status: 300 or above. A 401 goes with a WWW-Authenticate header.
            page: what the client sees, HTML unless `headers` say otherwise; a plain page when None.
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
        self._replace_body(error_page(status).partition(b"\r\n\r\n")[2] if page is None else page)
        for name, value in headers.items() if isinstance(headers, Mapping) else headers:
            self.set_header(name, value)

    # -- underneath

    def end(self) -> None:
        """Send what is left and end the response; the gateway does it when the handler has returned.

        Raises:
            BodyMismatch: the body is shorter than the handler's own Content-Length.
            Disconnected: it could not be sent and never will be.
        """
        sender = self._sender
        if sender.finished:
            return
        if not sender.head_sent:
            if self._undecided:
                self.deny()
            if self._allowed is not None and self._status < 300:
                sender.permit([*self._fields, *self._allowed])
                return
            sender.start(self._status, self._fields, gzip=self.gzip, size=self._size)
        sender.finish(self._take())

    @property
    def _undecided(self) -> bool:
        return self._guards and self._allowed is None and self._status < 300

    def _send(self) -> None:
        if self._undecided:
            raise OutOfTurn("an authorizer answers with allow() or deny() before it sends anything")
        sender = self._sender
        if not sender.head_sent:
            if self._guards and self._status < 300:
                self._take()  # with a permission goes no body
                return
            sender.start(self._status, self._fields, gzip=self.gzip, size=None)
        sender.send(self._take(), flush=self._streams)

    def _take(self) -> bytes:
        body = b"".join(self._body)
        self._body.clear()
        self._size = 0
        return body

    def _check_head(self) -> None:
        if self._sender.head_sent:
            raise OutOfTurn("status and headers have been sent already")

    def _check_field(self, name: str, value: str) -> None:
        """Complain where the fault is, and not when the head is sent."""
        self._check_head()
        encode_head("200", ((name, value),))

    def _replace_body(self, page: str | bytes) -> None:
        self._take()
        for name in ("Content-Length", "Content-Encoding", "ETag"):
            self.del_header(name)
        self.set_header("Content-Type", HTML)
        self._body.append(page.encode() if isinstance(page, str) else page)
        self._size = len(self._body[0])
