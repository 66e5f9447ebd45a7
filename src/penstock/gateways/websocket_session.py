"""This file is one websocket of an ASGI application: messages of ASGI here, frames of RFC 6455 there.

wsproto knows the frames; the handshake is in HTTP and done here. A task reads all the time, so that pings are answered
and the end is noticed while the application does something else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
from collections import deque
from enum import Enum
from typing import Any, Final, final

from penstock.gateways.asgi_http import HTTPCycle, text_headers
from penstock.gateways.asgi_scope import Message, OutOfOrder
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.response import body_size, encode_head, error_page

try:
    from wsproto.connection import Connection, ConnectionState, ConnectionType
    from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
except ImportError:  # who opens a session has looked before
    pass

MAX_MESSAGE: Final = 16 * 1024 * 1024
"""Most bytes, or characters, of one message from the client; a longer one ends the websocket with 1009."""

READ_AHEAD: Final = 65_536
"""Bytes of messages that wait for the application before the client has to wait too."""

CLOSE_WAIT: Final = 2.0
"""Seconds that the client has to answer our Close; then the connection ends without it."""

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 1.3
_MESSAGE_COST: Final = 64  # what an empty message is counted as
_OURS: Final = frozenset({"sec-websocket-accept", "sec-websocket-protocol", "sec-websocket-extensions"})

NORMAL: Final = 1000
ABNORMAL: Final = 1006
_NEVER_SENT: Final = frozenset({1004, 1005, 1006, 1015})
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
RESTART: Final = 1012


class _Stage(Enum):
    HANDSHAKE = "handshake"
    DENIAL = "denial"
    OPEN = "open"
    CLOSED = "closed"


@final
class WebSocketSession:
    """One websocket, from its handshake on.

    Args:
        request: the upgraded request that carries it.
        offered: the subprotocols that the client takes.

    Attributes:
        cut_off: the end came from the client, its web server or a stop of ours, and not from the application.
    """

    def __init__(self, request: AsyncRequest, offered: list[str]) -> None:
        self.cut_off = False
        self._request = request
        self._offered = offered
        self._stage = _Stage.HANDSHAKE
        self._frames: Any = Connection(ConnectionType.SERVER)
        self._denial: HTTPCycle | None = None
        self._accepted = asyncio.Event()
        self._finished = False
        self._inbox: deque[Message] = deque([{"type": "websocket.connect"}])
        self._waiting = _MESSAGE_COST
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._text = io.StringIO()
        self._bytes = bytearray()
        self._size = 0
        self._over: Message | None = None
        self._reader = asyncio.get_running_loop().create_task(self._read())

    @property
    def unanswered(self) -> bool:
        """The handshake has no answer yet, or half of one."""
        if self._denial is not None:
            return not self._denial.finished
        return self._stage is _Stage.HANDSHAKE

    # -- what the application calls

    async def receive(self) -> Message:
        """ASGI's receive: websocket.connect, each message, then websocket.disconnect as often as it is asked for."""
        while not self._inbox:
            if self._over is not None:
                return self._over
            self._news.clear()
            await self._news.wait()
        message = self._inbox.popleft()
        self._waiting -= _cost(message)
        if self._waiting < READ_AHEAD:
            self._room.set()
        return message

    async def send(self, message: Message) -> None:
        """ASGI's send.

        Raises:
            OutOfOrder: the message has no place here.
            BadResponse: a header cannot be sent.
            TypeError: a value of the message is of a wrong type.
            Disconnected: the client has left (an OSError, as ASGI 2.4 asks for).
        """
        kind: str = message.get("type", "")
        if self._stage is _Stage.OPEN and kind in ("websocket.send", "websocket.close"):
            await (self._send(message) if kind == "websocket.send" else self._close(message))
        elif self._stage is _Stage.HANDSHAKE and kind == "websocket.accept":
            self._accept(message)
        elif self._stage is _Stage.HANDSHAKE and kind == "websocket.close":
            self._deny()
        elif self._stage in (_Stage.HANDSHAKE, _Stage.DENIAL) and kind.startswith("websocket.http.response."):
            self._stage = _Stage.DENIAL
            self._denial = self._denial or HTTPCycle(self._request)
            await self._denial.send({**message, "type": kind.removeprefix("websocket.")})
        elif self.cut_off:
            if kind != "websocket.close":
                raise Disconnected("the client has left")
        else:
            raise OutOfOrder(f"the message {kind!r} has no place in a websocket in its {self._stage.value} stage")

    # -- the handshake

    def _accept(self, message: Message) -> None:
        request = self._request
        subprotocol = message.get("subprotocol")
        headers = text_headers(message)
        for name, _ in headers:
            if name.lower() in _OURS:
                raise OutOfOrder(f"the header {name!r} of websocket.accept is not the application's to send")
        if subprotocol is not None and subprotocol not in self._offered:
            raise OutOfOrder(f"the subprotocol {subprotocol!r} is none of those the client offers: {self._offered}")
        key = request.params["HTTP_SEC_WEBSOCKET_KEY"].encode("latin-1")
        digest = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest()).decode()
        # A head without a body, and so without the Content-Type that would otherwise be added; Upgrade and Connection
        # are the web server's to send in every other response.
        fields = encode_head("204", headers)
        chosen = f"Sec-WebSocket-Protocol: {subprotocol}\r\n" if subprotocol is not None else ""
        request.write(
            f"{fields.fields}Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {digest}\r\n{chosen}"
            "Status: 101 Switching Protocols\r\n\r\n".encode("latin-1")
        )
        request.status = 101
        self._stage = _Stage.OPEN
        self._accepted.set()
        request.on_stop = self._stop
        if request.stopping:
            self._stop()

    def _deny(self) -> None:
        self._stage = _Stage.CLOSED
        self._refuse(403)

    # -- from the application

    async def _send(self, message: Message) -> None:
        data, text = message.get("bytes"), message.get("text")
        if data is not None:
            self._write(self._frames.send(BytesMessage(data=data)))
        elif isinstance(text, str):
            self._write(self._frames.send(TextMessage(data=text)))
        else:
            raise TypeError("websocket.send has neither 'bytes' nor a str in 'text'")
        if self._request.paused:
            await self._request.drain()

    async def _close(self, message: Message) -> None:
        code = message.get("code") or NORMAL
        if not 1000 <= code <= 4999 or code in _NEVER_SENT:
            raise OutOfOrder(f"{code} is no code for a Close (RFC 6455 7.4); use 1000, or 4000 to 4999 for your own")
        self._begin_close(code, message.get("reason") or "")

    def _begin_close(self, code: int, reason: str = "") -> None:
        """Send a Close; the reader sees the answer to it."""
        self._stage = _Stage.CLOSED
        self._over = self._over or {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._news.set()
        self._room.set()
        self._write(self._frames.send(CloseConnection(code=code, reason=reason)))

    def _write(self, data: bytes) -> None:
        self._request.body_length += len(data)
        self._request.write(bytes(data))

    def _stop(self) -> None:
        """The server stops: client and application are told."""
        if self._stage is _Stage.OPEN and not self._request.disconnected:
            self.cut_off = True
            self._begin_close(RESTART, "the server restarts")

    # -- from the client

    async def _read(self) -> None:
        frames = self._frames
        try:
            while piece := await self._request.read():
                await self._accepted.wait()
                frames.receive_data(piece)
                for event in frames.events():
                    if isinstance(event, CloseConnection):
                        self._on_close(event)
                        return
                    if isinstance(event, Ping):
                        if self._stage is _Stage.OPEN:
                            self._write(frames.send(event.response()))
                            if self._request.paused:
                                await self._request.drain()
                    elif isinstance(event, TextMessage | BytesMessage) and not await self._on_data(event):
                        return
            self._leave(ABNORMAL)
            self._finish(b"")
        except Disconnected:
            pass
        finally:
            self._leave(ABNORMAL)

    def _on_close(self, event: Any) -> None:
        """The client's Close, its answer to ours, or wsproto's verdict that the client has broken the protocol."""
        code = int(event.code)
        broken = self._frames.state in (ConnectionState.OPEN, ConnectionState.LOCAL_CLOSING)
        if self._stage is _Stage.OPEN:
            self._leave(code, event.reason or "")
            answer = event if broken else event.response()
            self._finish(self._frames.send(answer))
        else:
            self._finish(b"")

    async def _on_data(self, event: Any) -> bool:
        """A message, or a part of one; false when it ends the websocket."""
        if self._stage is not _Stage.OPEN:
            return True  # the application has closed: what the client sent before it knew is for nobody
        # Buffers and no list of parts, for a client may send fragments of nothing, millions of them.
        is_text = isinstance(event, TextMessage)
        if is_text:
            self._text.write(event.data)
        else:
            self._bytes += event.data
        self._size += len(event.data)
        if self._size > MAX_MESSAGE:
            self._leave(TOO_BIG, "the message is too big")
            self._finish(self._frames.send(CloseConnection(code=TOO_BIG, reason="the message is too big")))
            return False
        if event.message_finished:
            message: Message = {"type": "websocket.receive"}
            if is_text:
                message["text"], self._text = self._text.getvalue(), io.StringIO()
            else:
                message["bytes"], self._bytes = bytes(self._bytes), bytearray()
            self._size = 0
            self._inbox.append(message)
            self._waiting += _cost(message)
            self._news.set()
            while self._waiting >= READ_AHEAD and self._stage is _Stage.OPEN:
                self._room.clear()
                await self._room.wait()
        return True

    # -- the end

    def _leave(self, code: int, reason: str = "") -> None:
        """The websocket is over from the client's side; the first reason counts."""
        self._stage = _Stage.CLOSED
        if self._over is None:
            self.cut_off = True
            self._over = {"type": "websocket.disconnect", "code": code, "reason": reason}
        self._news.set()

    def _finish(self, data: bytes) -> None:
        if not (self._finished or self._request.disconnected):
            self._finished = True
            self._request.finish(bytes(data))

    def _refuse(self, status: int) -> None:
        page = error_page(status, self._request.reference)
        self._request.status = status
        self._request.body_length = body_size(page)
        self._finish(page)

    async def end(self, *, failed: bool) -> None:
        """The application has returned or failed: close, wait for the client's answer, and end the request."""
        request = self._request
        if request.disconnected:
            return
        if self.unanswered:
            if self._denial is not None and self._denial.head_sent:
                request.abort()
            else:
                self._refuse(500)
        elif self._accepted.is_set():
            if self._stage is _Stage.OPEN:
                self._begin_close(INTERNAL_ERROR if failed else NORMAL)
            await asyncio.wait((self._reader,), timeout=CLOSE_WAIT)
            self._finish(b"")
            if self._reader.done():
                self._reader.result()  # a fault of ours is not kept secret

    def drop(self) -> None:
        """Read no more."""
        self._reader.cancel()


def _cost(message: Message) -> int:
    return len(message.get("bytes") or message.get("text") or "") + _MESSAGE_COST
