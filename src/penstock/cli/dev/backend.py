"""This file keeps the process that runs the application: starts it, replaces it by a new one, and leaves none behind.

Each process is a generation with a socket of its own, so the next one boots while the last one finishes its requests.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from typing import Final, final

_GRACE: Final = 5.0
"""Seconds that a process gets to end before it is killed; its own grace is shorter."""


class BackendDown(Exception):
    """There is no process to ask; the message is a sentence for people."""


@final
class _Child:
    """One generation."""

    __slots__ = ("address", "lifeline", "path", "process", "ready")

    def __init__(self, process: asyncio.subprocess.Process, path: str, lifeline: socket.socket) -> None:
        self.process = process
        self.path = path
        self.address = f"unix:{path}"
        self.lifeline = lifeline
        self.ready = False

    @property
    def epitaph(self) -> str:
        """How it ended."""
        code = self.process.returncode
        how = f"ended with exit code {code}"
        if code is not None and code < 0:
            how = f"was ended by signal {-code} ({signal.strsignal(-code)})"
        return f"the process of the application {how}{'' if self.ready else ' before it was ready'}"


@final
class Backend:
    """The application's process, whichever generation it is in. For one event loop.

    Args:
        app: APP.
        threads: of its server.
        folder: where the sockets go; nobody else may enter it.
    """

    def __init__(self, app: str, threads: int, folder: str) -> None:
        self._app = app
        self._threads = threads
        self._folder = folder
        self._generation = 0
        self._newest: asyncio.Task[_Child] | None = None
        self._alive: set[_Child] = set()
        self._endings: set[asyncio.Task[None]] = set()

    def boot(self) -> None:
        """Start a new generation; requests wait for it from now on, and the ones before it end."""
        self._generation += 1
        for child in list(self._alive):
            self._begin_end(child)
        self._newest = asyncio.create_task(self._start(self._generation))

    async def address(self) -> str:
        """Where the newest generation listens, as soon as it does; one that has died is started again.

        Raises:
            BackendDown: it ended before it listened.
        """
        while True:
            if self._newest is None or (self._newest.done() and self._newest.result().process.returncode is not None):
                self.boot()
            newest = self._newest
            assert newest is not None
            child = await asyncio.shield(newest)
            if newest is not self._newest:
                continue  # a file has changed while we waited
            if not child.ready:
                raise BackendDown(child.epitaph)
            return child.address

    async def last_words(self) -> str:
        """What became of the process, where one has ended that broke off an answer; else ""."""
        if self._newest is None:
            return ""
        child = await asyncio.shield(self._newest)
        try:
            # The connection breaks a moment before the process is seen to have ended.
            await asyncio.wait_for(child.process.wait(), 1.0)
        except TimeoutError:
            return ""
        return child.epitaph

    async def stop(self) -> None:
        """End all there is, and wait for it."""
        self._generation += 1
        if self._newest is not None and not self._newest.done():
            for child in list(self._alive):
                self._begin_end(child)
            await self._newest
        for child in list(self._alive):
            self._begin_end(child)
        while self._endings:
            await asyncio.wait(self._endings)

    async def _start(self, generation: int) -> _Child:
        path = os.path.join(self._folder, f"{generation}.sock")
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            fd = theirs.fileno()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # what `-m` would put first on the path is for APP to decide
                "-m",
                "penstock.cli.dev.child",
                self._app,
                path,
                str(self._threads),
                str(fd),
                pass_fds=(fd,),
            )
        child = _Child(process, path, ours)
        self._alive.add(child)
        if generation != self._generation:
            self._begin_end(child)
        heard = asyncio.ensure_future(asyncio.get_running_loop().sock_recv(ours, 1))
        ended = asyncio.ensure_future(process.wait())
        await asyncio.wait((heard, ended), return_when=asyncio.FIRST_COMPLETED)
        if heard.done():
            child.ready = heard.result() == b"."
        else:
            heard.cancel()
        if not child.ready:
            await ended
        ended.cancel()
        return child

    def _begin_end(self, child: _Child) -> None:
        self._alive.discard(child)
        task = asyncio.create_task(self._end(child))
        self._endings.add(task)
        task.add_done_callback(self._endings.discard)

    async def _end(self, child: _Child) -> None:
        process = child.process
        if process.returncode is None:
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), _GRACE)
            except TimeoutError:
                process.kill()
                await process.wait()
        child.lifeline.close()
        if os.path.exists(child.path):
            os.unlink(child.path)
