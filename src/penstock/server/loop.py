"""This file serves async handlers on an event loop: asyncio's, or uvloop's where it is installed."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import signal
import socket
import threading
import time
from collections.abc import Sequence
from typing import Any

from penstock.gateways.lifespan import Lifespan
from penstock.gateways.request import AsyncGateway
from penstock.gateways.response import error_page
from penstock.server.accepting import PAUSE, Nobody, accept
from penstock.server.accesslog import AccessLog
from penstock.server.door import MOST_DRAIN, QUIET
from penstock.server.lifecycle import Lifecycle
from penstock.server.listen import Listener
from penstock.server.loop_connection import LoopConnection
from penstock.server.loop_exchange import LoopExchange
from penstock.server.notices import Notices, log, log_fault, new_reference
from penstock.server.options import MANY, ServerOptions
from penstock.server.threads import FRESH_GRACE

_RESERVE = 1.0
"""Most seconds of the grace that are kept for the end itself: what is cancelled cleans up, and so does the lifespan.
When the grace is over the hard end comes, and without them it would come before either."""


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop if it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


class LoopServer:
    """A server of async handlers on one event loop in the calling thread.

    Args:
        gateway: runs the application for one request; made once the lifespan's state is known.
        listeners: where connections come in.
        options: how peers are treated.
        access_log: gets every request whose response has ended.
        lifespan: told of start and end, if the application takes part in that.
    """

    def __init__(
        self,
        gateway: AsyncGateway,
        listeners: Sequence[Listener],
        options: ServerOptions,
        access_log: AccessLog | None = None,
        lifespan: Lifespan | None = None,
    ) -> None:
        self.options = options
        self.notices = Notices()
        self.connections: set[LoopConnection] = set()
        self.draining = False
        self.crowded = False  # an idle connection is one too many
        self.gives = False  # others stay as it stops, and take what is given away
        self.values = options.answers(MANY, multiplexed=True)
        self.loop = new_loop()
        self.lifecycle = Lifecycle(
            options.graceful_timeout,
            self._wake,
            listeners,
            lambda: sum(len(connection.exchanges) for connection in self.connections),
        )
        self.gateway = gateway
        self.listeners = listeners
        self._access_log = access_log
        self._lifespan = lifespan
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopping = asyncio.Event()
        self._quiet = asyncio.Event()
        self._newcomers = 0
        self._taking: set[asyncio.Task[object]] = set()

    def run(self) -> None:
        """Serve until stopped.

        Raises:
            StartupFailed: the application's lifespan said so; nothing was served.
        """
        asyncio.set_event_loop(self.loop)
        alarm = signal.getsignal(signal.SIGALRM)
        try:
            self.loop.run_until_complete(self._main())
        finally:
            self.lifecycle.close_listeners()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            # A thread that is stuck would keep the process for ever; while we wait for it, the hard end still comes.
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            self.loop.close()
            self._call_off_hard_end(alarm)

    def _call_off_hard_end(self, alarm: Any) -> None:
        """What comes after us, in this program or at its exit, may take its time; unless a request will not end."""
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGALRM) is alarm:
            return  # no stop signal has come that would have set it
        if self._tasks:
            atexit.register(signal.setitimer, signal.ITIMER_REAL, 0)  # by then all threads have ended
        else:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, alarm if alarm is not None else signal.SIG_DFL)

    def stop(self) -> None:
        """Begin to stop. For any thread."""
        self.lifecycle.stop()

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self.connections)

    def _wake(self) -> None:
        # A loop that is closed has stopped already.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.stopping.set)

    async def _main(self) -> None:
        if self._lifespan is not None:
            await self._lifespan.startup()
        self.obey_signals()
        await self.open_doors()
        await self.stopping.wait()
        grace = self.options.graceful_timeout
        ends = self.loop.time() + grace
        reserve = min(_RESERVE, grace / 5)
        log.info(
            "stopping: %d connections, up to %g s for running requests",
            len(self.connections),
            grace,
        )
        self.drain()
        await self._drain_listeners()
        await self._drain_connections(ends - reserve, reserve / 2)
        if self._lifespan is not None:
            await self._lifespan.shutdown(max(0.0, ends - reserve / 5 - self.loop.time()))

    def obey_signals(self) -> None:
        """Listen to the signals of the lifecycle, if this is the main thread."""
        if threading.current_thread() is threading.main_thread():
            for number, handler in self.lifecycle.handlers.items():
                self.loop.add_signal_handler(number, handler)

    async def open_doors(self) -> None:
        """Begin to accept; called once as the server starts."""
        for listener in self.listeners:
            self._open(listener)

    def _open(self, listener: Listener) -> None:
        # Not by asyncio's server: one that closes drops what it has accepted a moment before.
        if listener.socket.fileno() >= 0:
            self.loop.add_reader(listener.socket, self._accept, listener)

    def _accept(self, listener: Listener) -> None:
        if listener.others_accept:
            return
        came = accept(listener, self.notices, f"; trying again in {PAUSE} s")
        if came is Nobody.ENTERS:
            self.loop.remove_reader(listener.socket)
            self.loop.call_later(PAUSE, self._open, listener)
        elif not isinstance(came, Nobody):
            self.take_in(came)

    def take_in(self, sock: socket.socket) -> None:
        """Serve a connection that has been accepted, here or by another process."""
        self._newcomers += 1
        connecting = self.loop.connect_accepted_socket(lambda: LoopConnection(self), sock)
        task = self.loop.create_task(connecting)
        self._taking.add(task)
        task.add_done_callback(self.taken)

    def taken(self, task: asyncio.Task[object]) -> None:
        """A connection is among ours."""
        self._taking.discard(task)
        self._quiet.set()
        error = None if task.cancelled() else task.exception()
        if error is not None:
            log_fault(error)

    # -- stopping

    def drain(self) -> None:
        """The end begins."""
        self.draining = self.crowded = True

    def give_away(self, _sock: socket.socket) -> bool:
        """Leave an idle connection to others, if there are any who take it."""
        return False

    def take_more(self) -> bool:
        """Take in a connection that others have left to us, if there is one."""
        return False

    async def _drain_listeners(self) -> None:
        """Keep newcomers away where the system can, accept those who wait, then close."""
        self.lifecycle.keep_out()
        # What others accept from as well is left to them at once.
        ours = not all(listener.others_accept for listener in self.listeners)
        until = self.loop.time() + (MOST_DRAIN if ours else 0.0)
        seen = -1
        while seen != self._newcomers and self.loop.time() < until:
            seen = self._newcomers
            await asyncio.sleep(QUIET)
        for listener in self.listeners:
            self.loop.remove_reader(listener.socket)
        self.lifecycle.close_listeners()

    async def _drain_connections(self, until: float, cleaning: float) -> None:
        """Close what is idle, let requests and what runs behind them finish, and cancel what takes too long.

        Args:
            until: when to cancel, on the loop's clock.
            cleaning: seconds for what is cancelled.
        """
        for connection in list(self.connections):
            for exchange in list(connection.exchanges.values()):
                exchange.stop()
            if connection.served and (self.gives or not connection.end_with_answer()):
                connection.close_if_idle()
        # A connection that has said nothing yet may be about to; over TCP one that is kept, too.
        self.loop.call_later(FRESH_GRACE, self._close_idle)
        try:
            async with asyncio.timeout_at(until):
                while self.connections or self._tasks or self._taking or self.take_more():
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            log.warning("%d requests did not finish in time and were cancelled", len(self._tasks))
            for task in list(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=cleaning)

    def _close_idle(self) -> None:
        for connection in list(self.connections):
            connection.close_if_idle()

    def gone(self) -> None:
        self._quiet.set()

    # -- requests

    def start(self, exchange: LoopExchange) -> None:
        task = self.loop.create_task(self._run(exchange))
        exchange.task = task
        self._tasks.add(task)

    async def _run(self, exchange: LoopExchange) -> None:
        try:
            await self.gateway(exchange)
        except asyncio.CancelledError:
            log.debug("a request was cancelled")
        except BaseException:
            # Also SystemExit: an application's exit ends its request, not the server.
            log.exception("a request ended with an error that its gateway let through")
        finally:
            if not exchange.ended:
                self._conclude(exchange)
            exchange.release()
            if exchange.task is not None:
                self._tasks.discard(exchange.task)
            if self.draining:
                self._quiet.set()

    def _conclude(self, exchange: LoopExchange) -> None:
        """End what a gateway has left open."""
        if exchange.disconnected or exchange.started:
            exchange.abort()
        else:
            exchange.status = 500
            exchange.reference = exchange.reference or new_reference()
            exchange.refuse(error_page(500, exchange.reference))

    def done(self, exchange: LoopExchange) -> None:
        if self._access_log is not None:
            seconds = time.perf_counter() - exchange.began if exchange.began else 0.0
            self._access_log.write(exchange, seconds)
