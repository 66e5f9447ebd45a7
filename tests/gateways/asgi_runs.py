"""This file runs an ASGI application for one request in memory, without any server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from penstock.gateways.asgi import ASGIGateway
from penstock.gateways.environ import normalise
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.webserver import cgi_params
from penstock.protocol.spec import Role


class MemoryRequest(AsyncRequest):
    """A request that is all there; `output` is what was answered.

    Attributes:
        ended: "finished", "aborted", or "" while it is open.
    """

    def __init__(self, params: dict[str, str], body: Iterable[bytes] = ()) -> None:
        normalise(params)
        super().__init__(Role.RESPONDER, params, list(params), list(params.values()))
        self.output = b""
        self.ended = ""
        self._pieces = list(body)
        self._over = asyncio.Event()

    @property
    def head(self) -> str:
        return self.output.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def body(self) -> bytes:
        return self.output.partition(b"\r\n\r\n")[2]

    async def read(self) -> bytes | None:
        piece = self._pieces.pop(0) if self._pieces else b""
        self.input_ended = not self._pieces
        return piece

    async def upgrade(self) -> bool:
        return False

    async def wait_disconnected(self) -> None:
        await self._over.wait()

    async def drain(self) -> None:
        """Nothing waits here."""

    def write(self, data: bytes) -> None:
        if self.disconnected or self.ended:
            raise Disconnected("it is over")
        self.output += data

    def finish(self, data: bytes = b"") -> None:
        self.write(data)
        self._end("finished")

    def abort(self) -> None:
        self._end("aborted")

    def leave(self) -> None:
        """The client goes away."""
        self.disconnected = True
        self._over.set()

    def _end(self, how: str) -> None:
        assert not self.ended, "it ended twice"
        self.ended = how
        self._over.set()


def run(application, method: str = "GET", url: str = "/", body: Iterable[bytes] = (), **params: str) -> MemoryRequest:
    """The request after its application has returned."""

    async def main() -> MemoryRequest:
        request = MemoryRequest(cgi_params(method, url) | params, body)
        await ASGIGateway(application, new_reference=lambda: "ref")(request)
        return request

    return asyncio.run(main())


def saying(*messages, then: BaseException | None = None):
    """An application that sends these messages, and then raises."""

    async def app(_scope, _receive, send):
        for message in messages:
            await send(message)
        if then is not None:
            raise then

    return app
