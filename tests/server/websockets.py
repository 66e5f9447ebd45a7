"""This file is a websocket client behind lighttpd from 1.4.74 on, as recorded, and the applications it talks to."""

from __future__ import annotations

import base64
import hashlib
import threading
from collections import deque

from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Event, Ping, Pong, TextMessage

from penstock.connection.events import OutputReceived, RequestEnded
from penstock.connection.webserver import WebServerConnection
from penstock.gateways.webserver import cgi_params
from penstock.protocol.spec import Role
from tests.processes import PATIENCE
from tests.server.asgi_apps import Served, answer, connect

KEY = base64.b64encode(b"sixteen bytes ok").decode()
ACCEPT = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()


def upgrade_params(url: str = "/ws", **headers: str) -> dict[str, str]:
    """The parameters of a handshake; a header whose value is "" is left out."""
    params = cgi_params("GET", url) | {
        "HTTP_HOST": "example.org",
        "HTTP_UPGRADE": "websocket",
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_SEC_WEBSOCKET_KEY": KEY,
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
    }
    params |= {f"HTTP_{name}": value for name, value in headers.items()}
    return {name: value for name, value in params.items() if value or not name.startswith("HTTP_")}


class Visitor:
    """A websocket client and the web server before it: STDIN stays open, and a 101 switches. A context manager.

    Attributes:
        head: the head of the response.
        rest: the body of a response that was no 101.
        ended: END_REQUEST has come.
        status: the status code.
    """

    def __init__(self, served: Served, url: str = "/ws", *, keep: bool = False, **headers: str) -> None:
        self._peer = connect(served)
        self.sock = self._peer.sock
        self.web = WebServerConnection()
        self.id, begin = self.web.begin(Role.RESPONDER, list(upgrade_params(url, **headers).items()), keep)
        self.sock.sendall(begin)
        self.frames = Connection(ConnectionType.CLIENT)
        self.head = ""
        self.rest = b""
        self.ended = False
        self._heard = b""
        self._events: deque[Event] = deque()

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    @property
    def status(self) -> int:
        return int(self.head.rpartition("Status: ")[2][:3] or 0)

    def _hear(self) -> bool:
        """What comes next from the application; false at the end of the request or of the connection."""
        data = self.sock.recv(65536)
        if not data:
            self.web.receive_eof()
            return False
        for event in self.web.receive_data(data):
            if isinstance(event, OutputReceived):
                self._heard += event.content
            elif isinstance(event, RequestEnded):
                self.ended = True
        return not self.ended

    def handshake(self) -> Visitor:
        """Wait for the head; if it is no 101, for the whole response."""
        while b"\r\n\r\n" not in self._heard and self._hear():
            pass
        head, _, self._heard = self._heard.partition(b"\r\n\r\n")
        self.head = head.decode("latin-1")
        if self.status != 101:
            while not self.ended and self._hear():
                pass
            self.rest = self._heard
        return self

    def end_input(self) -> None:
        """The end of STDIN, as web servers send it that carry no websocket."""
        self.sock.sendall(self.web.end_input(self.id))

    def send(self, *events: Event) -> None:
        self.send_raw(b"".join(self.frames.send(event) for event in events))

    def send_raw(self, data: bytes) -> None:
        self.sock.sendall(self.web.send(self.id, data))

    def event(self) -> Event | None:
        """The next event of the websocket; None at the end without a Close."""
        while not self._events:
            if self._heard:
                self.frames.receive_data(self._heard)
                self._heard = b""
                self._events.extend(self.frames.events())
            elif (self.ended or not self._hear()) and not self._heard:
                return None
        return self._events.popleft()

    def text(self) -> str:
        """The next message, which is one of text."""
        parts = []
        while True:
            event = self.event()
            assert isinstance(event, TextMessage), event
            parts.append(event.data)
            if event.message_finished:
                return "".join(parts)

    def ping(self) -> bytes:
        """Send a ping and wait for the answer."""
        self.send(Ping(payload=b"?"))
        event = self.event()
        assert isinstance(event, Pong), event
        return bytes(event.payload)

    def closed(self, answer: bool = True) -> tuple[int, str]:
        """Wait for the application's Close, answer it, and wait for the end of the request; its code and reason."""
        event = self.event()
        assert isinstance(event, CloseConnection), event
        if answer:
            self.send(event.response())
        while not self.ended:
            assert self._hear() or self.ended
        return int(event.code), event.reason or ""


def websocket(handler):
    """An application of one websocket handler."""

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            raise NotImplementedError
        if scope["type"] == "http":
            await answer(send)
            return
        assert (await receive()) == {"type": "websocket.connect"}
        await handler(scope, receive, send)

    return app


@websocket
async def echo(_scope, receive, send):
    """Sends back what it gets, until the client leaves."""
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({**message, "type": "websocket.send"})


class Told:
    """Keeps what an application was told at the end of its websocket."""

    def __init__(self) -> None:
        self.last: dict = {}
        self._event = threading.Event()

    def __call__(self, message) -> None:
        self.last = message
        self._event.set()

    def code(self) -> int:
        assert self._event.wait(PATIENCE)
        return self.last["code"]


def listener(told: Told):
    """Accepts, and reads to the end."""

    @websocket
    async def app(_scope, receive, send):
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            pass
        assert (await receive()) == message
        told(message)

    return app
