"""This file speaks ASGI's lifespan protocol: an application is told of the server's start and end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final, final

from penstock.gateways.asgi_scope import ASGIApplication, Message
from penstock.gateways.request import StartupFailed

_log: Final = logging.getLogger("penstock")


@final
class Lifespan:
    """The lifespan of one application on one loop.

    An application that raises before it has answered does not know lifespan and is served all the same.

    Attributes:
        state: what the application leaves for its requests; empty where lifespan is not supported.
    """

    def __init__(self, application: ASGIApplication) -> None:
        self.state: dict[str, Any] = {}
        self._application = application
        self._messages: asyncio.Queue[Message] = asyncio.Queue()
        self._answered: asyncio.Future[Message] | None = None
        self._task: asyncio.Task[None] | None = None

    async def startup(self) -> None:
        """Wait until the application has started.

        Raises:
            StartupFailed: it sent lifespan.startup.failed.
        """
        self._task = asyncio.create_task(self._run())
        answer = await self._ask("lifespan.startup")
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise StartupFailed(answer.get("message") or "the application gave no reason")

    async def shutdown(self, seconds: float) -> None:
        """Let the application clean up, for at most `seconds`."""
        if self._task is None or self._task.done():
            return
        try:
            answer = await asyncio.wait_for(self._ask("lifespan.shutdown"), seconds)
        except TimeoutError:
            _log.warning("the application's shutdown took longer than %g s", seconds)
            self._task.cancel()
            return
        if answer is not None and answer["type"] == "lifespan.shutdown.failed":
            _log.error("the application failed to shut down: %s", answer.get("message", ""))

    async def _ask(self, event: str) -> Message | None:
        """Send an event and return the answer; None when the application ended without one."""
        assert self._task is not None
        self._answered = asyncio.get_running_loop().create_future()
        self._messages.put_nowait({"type": event})
        await asyncio.wait((self._answered, self._task), return_when=asyncio.FIRST_COMPLETED)
        return self._answered.result() if self._answered.done() else None

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await self._application(scope, self._messages.get, self._send)
        except BaseException as error:
            if self._answered is not None and self._answered.done():
                _log.error("the application failed in its lifespan: %r", error, exc_info=error)
            else:
                _log.info("the application does not support lifespan (%r)", error)
            if not isinstance(error, Exception):
                raise

    async def _send(self, message: Message) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_result(message)
