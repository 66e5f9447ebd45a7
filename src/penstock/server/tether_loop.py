"""This file ties a server of async handlers to a supervisor, as `tether` does it for blocking ones."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from typing import final

from penstock.gateways.request import AsyncRequest
from penstock.server.loop import LoopServer
from penstock.server.tether import CLOSE, LEAVE, Tether


@final
class TetheredLoop(LoopServer):
    """A server of async handlers under a supervisor; `tie` comes before `run`."""

    def tie(self, tether: Tether) -> None:
        """Obey the supervisor at the other end, and tell it of every request."""
        self._tether = tether
        tether.bind(self.lifecycle, self.listeners)
        gateway = self.gateway

        async def watched(request: AsyncRequest) -> None:
            ticket = tether.enter(self, request.params)
            try:
                await gateway(request)
            finally:
                tether.ended(ticket)

        self.gateway = watched

    def obey_signals(self) -> None:
        super().obey_signals()
        if threading.current_thread() is threading.main_thread():
            for number in (LEAVE, CLOSE):
                # At once: the loop looks in its next turn, and accepts in this one, where others answer already.
                signal.signal(number, self.lifecycle.handlers[number])

    async def open_doors(self) -> None:
        tether, loop = self._tether, self.loop
        opened = asyncio.Event()
        loop.add_reader(tether.lifeline, self._orphaned)
        loop.add_reader(tether.gate, opened.set)
        waiting = {loop.create_task(event.wait()) for event in (opened, self.stopping)}
        tether.ready()
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        for waiter in waiting:
            waiter.cancel()
        loop.remove_reader(tether.gate)
        if not tether.is_open():
            return  # We have to stop; else who has come since it opened waits in the queue.
        loop.add_reader(tether.exchange.fileno(), self.take_more)
        await super().open_doors()

    def give_away(self, sock: socket.socket) -> bool:
        return self._tether.give(self, sock)

    def take_more(self) -> bool:
        sock = self._tether.take()
        if sock is not None:
            self.take_in(sock)
        return sock is not None

    def taken(self, task: asyncio.Task[object]) -> None:
        super().taken(task)
        if self._tether.leaving:
            # Taken just before we were told to leave, perhaps from somebody who left as well: it goes on to who stays.
            for connection in list(self.connections):
                connection.close_if_idle()

    def drain(self) -> None:
        self.loop.remove_reader(self._tether.exchange.fileno())
        self.gives = self._tether.leaving
        while self.take_more():
            pass  # Where everybody stops, what lies there is nobody else's.
        super().drain()

    def _orphaned(self) -> None:
        self.loop.remove_reader(self._tether.lifeline)
        self._tether.leaving = False
        self.stop()
