"""This file holds the ASGI application of the loop server's tests, and runs that server in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from penstock.gateways.asgi import ASGIGateway
from penstock.gateways.lifespan import Lifespan
from penstock.server.listen import open_listeners
from penstock.server.loop import LoopServer
from penstock.server.options import ServerOptions
from tests.processes import PATIENCE
from tests.server.peers import Peer


class Served:
    """A loop server in a thread of its own."""

    def __init__(self, server: LoopServer, address: str, log: list) -> None:
        self.server = server
        self.address = address
        self.log = log
        self.failure: BaseException | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:
            self.failure = error

    def stop(self) -> None:
        self.server.stop()
        self.thread.join(20)
        assert not self.thread.is_alive()


class Log:
    """An access log that keeps what it is told."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, int, int]] = []

    def write(self, request, _seconds) -> None:
        self.lines.append((request.params.get("PATH_INFO", ""), request.status, request.body_length))


@contextlib.contextmanager
def serving_asgi(app, folder: Path, *, lifespan: bool = True, gateway=None, **options) -> Iterator[Served]:
    """Serves an ASGI application on a unix socket in `folder`; `options` are those of `ServerOptions`."""
    listeners = open_listeners(f"unix:{folder}/app.sock")
    span = Lifespan(app) if lifespan else None
    state = span.state if span is not None else {}
    log = Log()
    gateway = gateway or ASGIGateway(app, new_reference=lambda: "ref", state=state)
    server = LoopServer(gateway, listeners, ServerOptions(**options), log, span)  # type: ignore[arg-type]
    served = Served(server, f"unix:{folder}/app.sock", log.lines)
    try:
        yield served
    finally:
        served.stop()


async def answer(send, body: bytes = b"hello", status: int = 200, headers=()) -> None:
    """A whole response in two messages."""
    await send(
        {"type": "http.response.start", "status": status, "headers": [(b"content-type", b"text/plain"), *headers]}
    )
    await send({"type": "http.response.body", "body": body})


async def read_all(receive) -> bytes:
    """The whole request body."""
    body = b""
    while True:
        message = await receive()
        assert message["type"] == "http.request"
        body += message["body"]
        if not message["more_body"]:
            return body


def http_only(handler):
    """An application that raises on anything but http, as small ones do."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await handler(scope, receive, send)

    return app


async def wait_forever() -> None:
    """Wait until cancelled."""
    await asyncio.get_running_loop().create_future()


@http_only
async def hello(_scope, _receive, send):
    """Answers everything with hello."""
    await answer(send)


def connect(served: Served) -> Peer:
    """A connection to the server."""
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(served.address.removeprefix("unix:"))
    return Peer(sock)
