"""This file runs ASGI 3 applications over http: a request becomes a scope, and messages become a response."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any, Final, TypeAlias, final

from penstock.gateways.environ import scheme
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.response import ResponseHead, encode_head, error_page

_log: Final = logging.getLogger("penstock")

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[object]]

_ASGI: Final = {"version": "3.0", "spec_version": "2.5"}

# The name of each parameter that is a header, as ASGI has it; b"" for a parameter that is none. Clients choose names,
# so the cache has an end.
_MAX_REMEMBERED: Final = 1024
_header_names: Final[dict[str, bytes]] = {
    "CONTENT_TYPE": b"content-type",
    "CONTENT_LENGTH": b"content-length",
    # Dropped for the reasons that gateways.environ gives for each.
    "HTTP_PROXY": b"",
    "HTTP_CONTENT_LENGTH": b"",
    "HTTP_CONTENT_TYPE": b"",
    "HTTP_TRANSFER_ENCODING": b"",
    # A web server's configuration may send its own after the client's; the merged parameter knows which one counts.
    "HTTP_HOST": b"",
}
_reasons: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


_PIECE: Final = 262_144
"""Most bytes of a body that are framed at a time."""


class OutOfOrder(RuntimeError):
    """The application sent a message that has no place there."""


def _header_name(parameter: str) -> bytes:
    name = parameter[5:].replace("_", "-").lower().encode("latin-1") if parameter[:5] == "HTTP_" else b""
    if len(_header_names) < _MAX_REMEMBERED:
        _header_names[parameter] = name
    return name


def header_list(names: list[str], values: list[str], params: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """The request's headers as ASGI has them: lower-case bytes, in the order of the wire, repeats kept."""
    headers: list[tuple[bytes, bytes]] = []
    host = params.get("HTTP_HOST")
    if host:
        headers.append((b"host", host.encode("latin-1")))
    known = _header_names.get
    for parameter, value in zip(names, values, strict=True):
        name = known(parameter)
        if name is None:
            name = _header_name(parameter)
        # An empty CONTENT_TYPE or CONTENT_LENGTH is CGI's way to say that there is none.
        if name and (value or parameter[:5] == "HTTP_"):
            headers.append((name, value.encode("latin-1")))
    return headers


def _text_path(native: str) -> str:
    return native if native.isascii() else native.encode("latin-1").decode("utf-8", "replace")


def _port(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def build_scope(request: AsyncRequest, state: dict[str, Any]) -> dict[str, Any]:
    """The connection scope of a request (ASGI http, spec_version 2.5).

    `path` begins with `root_path`; `raw_path` is REQUEST_URI's, the only place where %2F survives.
    """
    params = request.params
    root_path = _text_path(params["SCRIPT_NAME"])
    path = _text_path(params["PATH_INFO"])
    uri = params.get("REQUEST_URI", "")
    version = params.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2]
    client = params.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "2" if version == "2.0" else version or "1.1",
        "method": params["REQUEST_METHOD"],
        "scheme": scheme(params),
        "path": root_path + path,
        "raw_path": uri.partition("?")[0].encode("latin-1") if uri else None,
        "query_string": params["QUERY_STRING"].encode("latin-1"),
        "root_path": root_path,
        "headers": header_list(request.names, request.values, params),
        "client": (client, _port(params.get("REMOTE_PORT"))) if client else None,
        "server": (params["SERVER_NAME"], _port(params.get("SERVER_PORT"))),
        "extensions": {},
        "state": state.copy(),
    }


@final
class ASGIGateway:
    """Runs an ASGI application for each request.

    Args:
        application: the callable.
        state: what lifespan leaves for requests; every scope gets a copy.
        new_reference: makes the name under which a failure is logged and shown.
    """

    def __init__(
        self, application: ASGIApplication, *, new_reference: Callable[[], str], state: dict[str, Any] | None = None
    ) -> None:
        self._application = application
        self._new_reference = new_reference
        self._state = state if state is not None else {}

    async def __call__(self, request: AsyncRequest) -> None:
        """Run the application for one request; it may go on in the background once the response is over."""
        cycle = _Cycle(request)
        try:
            await self._application(build_scope(request, self._state), cycle.receive, cycle.send)
        except Disconnected:
            return
        except Exception as error:
            # What an application raises because its client has left says nothing that an operator could mend.
            if not request.disconnected:
                self._failed(request, cycle, error)
            return
        if not cycle.finished and not request.disconnected:
            self._failed(request, cycle, OutOfOrder("the application returned before its response was complete"))

    def _failed(self, request: AsyncRequest, cycle: _Cycle, error: Exception) -> None:
        request.reference = self._new_reference()
        when = "after" if cycle.finished else "in the middle of" if cycle.head_sent else "before"
        _log.error(
            "[%s] the application failed %s its response: %r %r",
            request.reference,
            when,
            request.params.get("REQUEST_METHOD"),
            request.params.get("REQUEST_URI"),
            exc_info=error,
        )
        if cycle.finished:
            return
        if cycle.head_sent:
            request.abort()
            return
        request.status = 500
        request.finish(error_page(500, request.reference, head_only=request.params.get("REQUEST_METHOD") == "HEAD"))


@final
class _Cycle:
    """The messages of one request, both ways."""

    __slots__ = ("_body_read", "_head", "_left", "_request", "_sends_body", "finished", "head_sent")

    def __init__(self, request: AsyncRequest) -> None:
        self._request = request
        self._head: ResponseHead | None = None
        self._left: int | None = None
        self._sends_body = True
        self._body_read = False
        self.head_sent = False
        self.finished = False

    async def receive(self) -> Message:
        """ASGI's receive: the body piece by piece, then http.disconnect once the client has left or has everything."""
        request = self._request
        if not self._body_read and not self.finished:
            piece = await request.read()
            if piece is not None:
                self._body_read = request.input_ended
                return {"type": "http.request", "body": piece, "more_body": not self._body_read}
            self._body_read = True
        elif not self.finished:
            await request.wait_disconnected()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's send.

        Raises:
            OutOfOrder: the message has no place here.
            BadResponse: status or headers cannot be sent.
            Disconnected: the client has left (an OSError, as ASGI 2.4 asks for).
        """
        kind = message["type"]
        if kind == "http.response.body":
            await self._body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start":
            self._start(message)
        else:
            raise OutOfOrder(f"the message {kind!r} is none of an http response")

    def _start(self, message: Message) -> None:
        if self._head is not None:
            raise OutOfOrder("http.response.start was sent twice")
        code = message["status"]
        head = encode_head(
            _reasons.get(code) or str(code),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers", ())],
        )
        if head.stripped:
            _log.warning("hop-by-hop headers are the web server's to send, left out: %s", ", ".join(head.stripped))
        self._head = head
        self._left = head.content_length
        self._sends_body = head.body_allowed and self._request.params.get("REQUEST_METHOD") != "HEAD"
        self._request.status = code

    async def _body(self, body: bytes | memoryview, more: bool) -> None:
        head = self._head
        if head is None:
            raise OutOfOrder("http.response.body came before http.response.start")
        request = self._request
        if self.finished:
            if not self._sends_body:
                return
            raise OutOfOrder("http.response.body came after the last one")
        if request.disconnected:
            raise Disconnected("the client has left")
        if not self._sends_body:
            body = b""
        elif self._left is not None:
            body = self._fit(body, more)
        block = b""
        if not self.head_sent:
            # The only piece is the whole body: its length is known though the application did not say it.
            block = head.to_bytes(None if more or not self._sends_body else len(body))
            self.head_sent = True
        request.body_length += len(body)
        while len(body) > _PIECE:
            # A large body is handed on as it is taken, or it would be in memory twice.
            request.write(block + body[:_PIECE])
            block, body = b"", memoryview(body)[_PIECE:]
            if request.paused:
                await request.drain()
        if more and self._sends_body:
            if block or body:
                request.write(block + body)
                if request.paused:
                    await request.drain()
            return
        self.finished = True
        request.finish(block + body)

    def _fit(self, body: bytes | memoryview, more: bool) -> bytes | memoryview:
        left = self._left or 0
        if len(body) > left:
            _log.warning("the application gave more bytes than its Content-Length; the rest was dropped")
            body = body[:left]
        self._left = left - len(body)
        if self._left and not more:
            raise OutOfOrder(f"the response is {self._left} bytes shorter than its Content-Length says")
        return body
