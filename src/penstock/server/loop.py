"""This file serves async handlers on an event loop: asyncio's, or uvloop's where it is installed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Sequence
from typing import final

from penstock.gateways.lifespan import Lifespan
from penstock.gateways.request import AsyncGateway
from penstock.gateways.response import error_page
from penstock.protocol.spec import MAX_CONNS, MAX_REQS, MPXS_CONNS
from penstock.server.accesslog import AccessLog
from penstock.server.door import MOST_DRAIN, QUIET
from penstock.server.lifecycle import STOP_SIGNALS, Lifecycle
from penstock.server.listen import Listener
from penstock.server.loop_connection import LoopConnection
from penstock.server.loop_exchange import LoopExchange
from penstock.server.notices import Notices, log, new_reference
from penstock.server.options import ServerOptions
from penstock.server.threads import FRESH_GRACE

_MAX_CONNS = "10000"


def new_loop() -> asyncio.AbstractEventLoop:
    """uvloop's event loop if it is installed, else asyncio's."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


@final
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
        self.values = {
            MAX_CONNS: _MAX_CONNS,
            MAX_REQS: _MAX_CONNS,
            MPXS_CONNS: "0" if options.limits.requests == 1 else "1",
        }
        self.loop = new_loop()
        self.lifecycle = Lifecycle(
            options.graceful_timeout,
            self._wake,
            self._close_listeners,
            self._keep_out,
            lambda: sum(len(connection.exchanges) for connection in self.connections),
        )
        self._gateway = gateway
        self._listeners = listeners
        self._access_log = access_log
        self._lifespan = lifespan
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._quiet = asyncio.Event()
        self._newcomers = 0

    def run(self) -> None:
        """Serve until stopped.

        Raises:
            StartupFailed: the application's lifespan said so; nothing was served.
        """
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._main())
        finally:
            self._close_listeners()
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            asyncio.set_event_loop(None)
            self.loop.close()

    def stop(self) -> None:
        """Begin to stop. For any thread."""
        self.lifecycle.stop()

    def _wake(self) -> None:
        # A loop that is closed has stopped already.
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self._stop.set)

    def _keep_out(self) -> None:
        for listener in self._listeners:
            listener.begin_drain()

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    async def _main(self) -> None:
        if self._lifespan is not None:
            await self._lifespan.startup()
        self._obey_signals()
        servers = [await self._open(listener) for listener in self._listeners]
        await self._stop.wait()
        log.info(
            "stopping: %d connections, up to %g s for running requests",
            len(self.connections),
            self.options.graceful_timeout,
        )
        self.draining = True
        await self._drain_listeners(servers)
        await self._drain_connections()
        if self._lifespan is not None:
            await self._lifespan.shutdown(self.options.graceful_timeout)

    def _obey_signals(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for number in STOP_SIGNALS:
                self.loop.add_signal_handler(number, self.lifecycle.on_stop_signal)

    async def _open(self, listener: Listener) -> asyncio.Server:
        def connection() -> LoopConnection:
            self._newcomers += 1
            return LoopConnection(self, listener.allows)

        backlog = 2048
        if listener.is_unix:
            return await self.loop.create_unix_server(connection, sock=listener.socket, backlog=backlog)
        return await self.loop.create_server(connection, sock=listener.socket, backlog=backlog)

    # -- stopping

    async def _drain_listeners(self, servers: Sequence[asyncio.Server]) -> None:
        """Keep newcomers away where the system can, accept those who wait, then close."""
        for listener in self._listeners:
            listener.begin_drain()
        until = self.loop.time() + MOST_DRAIN
        seen = -1
        while seen != self._newcomers and self.loop.time() < until:
            seen = self._newcomers
            await asyncio.sleep(QUIET)
        for server in servers:
            server.close()

    async def _drain_connections(self) -> None:
        """Close what is idle, let requests and what runs behind them finish, and cancel what takes too long."""
        for connection in list(self.connections):
            if connection.served:
                connection.close_if_idle()
        # A connection that has said nothing yet may be about to.
        self.loop.call_later(FRESH_GRACE, self._close_idle)
        try:
            async with asyncio.timeout(self.options.graceful_timeout):
                while self.connections or self._tasks:
                    self._quiet.clear()
                    await self._quiet.wait()
        except TimeoutError:
            log.warning("%d requests did not finish in time and were cancelled", len(self._tasks))
            for task in list(self._tasks):
                task.cancel()
            if self._tasks:
                await asyncio.wait(self._tasks, timeout=1.0)

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
            await self._gateway(exchange)
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
