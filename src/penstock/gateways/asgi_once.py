"""This file runs an ASGI application for a single request, where no server has a loop: plain CGI, and a shell."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, final

from penstock.gateways.asgi import ASGIGateway
from penstock.gateways.asgi_scope import ASGIApplication
from penstock.gateways.lifespan import Lifespan
from penstock.gateways.request import AsyncRequest, Disconnected, Request, TruncatedInput

SHUTDOWN: Final = 10.0
"""Seconds that the application gets to clean up; the response is out by then."""

_PIECE: Final = 65_536


@final
class ASGIOnce:
    """A blocking gateway for an async application: start, one request and end, on a loop of their own.

    Args:
        application: the callable.
        new_reference: makes the name under which a failure is logged and shown.
    """

    def __init__(self, application: ASGIApplication, *, new_reference: Callable[[], str]) -> None:
        self._application = application
        self._new_reference = new_reference

    def __call__(self, request: Request) -> None:
        """Run the application (`gateways.request.Gateway`).

        Raises:
            StartupFailed: its lifespan said so.
        """
        asyncio.run(self._answer(request))

    async def _answer(self, request: Request) -> None:
        lifespan = Lifespan(self._application)
        await lifespan.startup()
        gateway = ASGIGateway(self._application, new_reference=self._new_reference, state=lifespan.state)
        bridge = _Bridge(request)
        try:
            await gateway(bridge)
        finally:
            request.reference, request.status = bridge.reference, bridge.status
            request.body_length = bridge.body_length
            await lifespan.shutdown(SHUTDOWN)


@final
class _Bridge(AsyncRequest):
    """A blocking request as an async gateway sees it. It may block: nobody else is on this loop."""

    __slots__ = ("_over", "_read_some", "_request")

    def __init__(self, request: Request) -> None:
        super().__init__(request.role, request.params, list(request.params), list(request.params.values()))
        self._request = request
        self._read_some = getattr(request.stdin, "read1", request.stdin.read)
        self._over = asyncio.Event()

    async def read(self) -> bytes | None:
        try:
            piece: bytes = self._read_some(_PIECE)
        except TruncatedInput:
            self._lose()
            return None
        self.input_ended = not piece
        return piece

    async def upgrade(self) -> bool:
        return False

    async def wait_disconnected(self) -> None:
        await self._over.wait()

    async def drain(self) -> None:
        """Nothing waits here: whatever was written is out."""

    def write(self, data: bytes) -> None:
        try:
            self._request.write(data)
        except Disconnected:
            self._lose()
            raise

    def finish(self, data: bytes = b"") -> None:
        self._over.set()
        try:
            self._request.finish(data)
        except Disconnected:
            self._lose()
            raise

    def abort(self) -> None:
        self._over.set()
        self._request.abort()

    def _lose(self) -> None:
        self.disconnected = True
        self._over.set()
