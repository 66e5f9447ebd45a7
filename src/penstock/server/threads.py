"""This file serves blocking handlers with 1 to N threads, each of which does everything: leader and followers.

Every thread runs the same loop over one poller: wait for one connection, receive, and when that completes a request run
its handler right there, while another thread has the lead. Nothing is handed over on the way of an ordinary request; an
idle connection costs no thread.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from penstock.connection.application import ApplicationConnection
from penstock.gateways.request import Disconnected, Gateway, Request
from penstock.gateways.response import error_page
from penstock.protocol.spec import MAX_CONNS, MAX_REQS, MPXS_CONNS
from penstock.server.accesslog import AccessLog
from penstock.server.channel import Channel
from penstock.server.door import Door
from penstock.server.exchange import Exchange
from penstock.server.intake import Intake, new_reference
from penstock.server.lifecycle import Lifecycle, State
from penstock.server.listen import Listener
from penstock.server.notices import Notices, log
from penstock.server.options import ServerOptions
from penstock.server.poller import Poller, best_poller
from penstock.server.timers import Timers
from penstock.server.tracing import RecordTrace

FRESH_GRACE: Final = 0.5
"""Seconds that a connection which has not said anything yet gets once the server stops."""


class ThreadServer:
    """A server of blocking handlers.

    Args:
        gateway: runs the application for one request.
        listeners: where connections come in.
        options: how peers are treated.
        access_log: gets every request that has ended.
        poller: waits for input; the best one of the system when None.
    """

    def __init__(
        self,
        gateway: Gateway,
        listeners: Sequence[Listener],
        options: ServerOptions,
        access_log: AccessLog | None = None,
        poller: Poller | None = None,
    ) -> None:
        self.timers = Timers()
        self.io_timeout = options.io_timeout
        self.shared = options.threads > 1
        self.draining = False
        self.notices = Notices()
        self._gateway = gateway
        self._listeners = listeners
        self._options = options
        self._access_log = access_log
        self._poller = poller or best_poller(self.shared)
        self._watched: dict[int, Callable[[], None]] = {}
        self._channels: set[Channel] = set()
        self._doors: set[Door] = set()
        self._ready: deque[tuple[Channel, Exchange]] = deque()
        self._intake = Intake(options, self.timers, self.notices, self._log_access)
        self._traced = log.isEnabledFor(logging.DEBUG)
        self._accepted = 0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._drain_lock = threading.Lock()
        self.lifecycle = Lifecycle(options.graceful_timeout, self._wake, self._close_listeners)
        capacity = str(options.limits.requests)
        self._values = {
            # True of this transport: idle connections cost no thread, and requests of one connection run side by side.
            MAX_CONNS: "10000",
            MAX_REQS: str(options.threads),
            MPXS_CONNS: "0" if capacity == "1" else "1",
        }

    # -- life

    def run(self) -> None:
        """Serve until stopped; the calling thread is one of the N."""
        self.watch(self._wake_read, self._on_wake)
        for listener in self._listeners:
            self._doors.add(Door(listener, self))
        others = [
            threading.Thread(target=self._loop, name=f"penstock-{number}", daemon=True)
            for number in range(2, self._options.threads + 1)
        ]
        with self.lifecycle.signals(self._wake_write):
            for thread in others:
                thread.start()
            self._loop()
            for thread in others:
                thread.join()
        self._close_listeners()
        self._poller.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def stop(self) -> None:
        """Begin to stop: finish what was accepted, then let `run` return. For any thread and for signal handlers."""
        self.lifecycle.stop()

    def _loop(self) -> None:
        wait, watched, timers, ready = self._poller.wait, self._watched, self.timers, self._ready
        while self.lifecycle.state is not State.STOPPED:
            if ready:
                self._run_next()
            else:
                for fd in wait(timers.timeout() if timers else None):
                    on_ready = watched.get(fd)
                    if on_ready is not None:
                        on_ready()
            if timers:
                for thing in timers.due():
                    thing.on_deadline()
            if self.draining:
                self._check_drained()
        self._wake()

    def _wake(self) -> None:
        try:
            os.write(self._wake_write, b"\0")
        except OSError:
            return  # Full: whoever waits wakes anyway. Closed: nobody waits.

    def _on_wake(self) -> None:
        try:
            os.read(self._wake_read, 64)
        except BlockingIOError:
            pass
        self.rearm(self._wake_read)
        if self.lifecycle.state is State.DRAINING and not self.draining:
            with self._drain_lock:
                if not self.draining:
                    self._drain()

    def _drain(self) -> None:
        """Stop taking in, without losing what waits in the listeners' queues or is on its way on a connection."""
        log.info("stopping: %d connections, up to %g s for running requests", len(self._channels), self._options.graceful_timeout)
        self.draining = True
        for door in list(self._doors):
            door.drain()
        for channel in list(self._channels):
            if channel.protocol.idle:
                if channel.served:
                    channel.close_if_quiet()
                else:
                    self.timers.set(channel, FRESH_GRACE)

    def _check_drained(self) -> None:
        if not self._doors and not self._channels and not self._ready:
            self.lifecycle.state = State.STOPPED

    def _close_listeners(self) -> None:
        for listener in self._listeners:
            listener.close()

    # -- what channels and doors ask of their hub

    def watch(self, fd: int, on_ready: Callable[[], None]) -> None:
        self._watched[fd] = on_ready
        self._poller.add(fd)

    def rearm(self, fd: int) -> None:
        self._poller.arm(fd)

    def unwatch(self, fd: int) -> None:
        self._watched.pop(fd, None)
        self._poller.remove(fd)

    def discard(self, channel: Channel) -> None:
        self._channels.discard(channel)

    def close_door(self, door: Door) -> None:
        self._doors.discard(door)

    def welcome(self, sock: socket.socket) -> None:
        protocol = ApplicationConnection(self._options.limits, self._options.roles, self._values)
        trace = None
        if self._traced:
            self._accepted += 1
            trace = RecordTrace(f"#{self._accepted}", log.debug)
        channel = Channel(sock, protocol, self, trace)
        if self._options.stream_body:
            channel.pump_lock = threading.Lock()
        self._channels.add(channel)
        # Whoever connects mostly has sent a request already: to look first saves the poller's calls.
        self.receive(channel)

    def stalled(self, channel: Channel) -> None:
        if self.draining and channel.protocol.idle:
            channel.close_if_quiet()
        else:
            self._intake.stalled(channel)

    # -- requests

    def receive(self, channel: Channel) -> None:
        if not channel.enter():
            return
        try:
            ready = self._intake.receive(channel)
            self._queue(channel, ready[1:])
            first = ready[0] if ready else None
            if first is not None:
                self._claim(channel, first)
            if self.shared and not channel.pumped and not channel.over:
                # From here on another thread may have this connection.
                channel.watch()
        finally:
            channel.leave()
        if first is not None:
            self._run(channel, first)
        elif not channel.watched and not channel.over:
            channel.watch()

    def _queue(self, channel: Channel, exchanges: Sequence[Exchange]) -> None:
        """Requests of one connection run side by side: all but the first go to other threads, or wait their turn."""
        for exchange in exchanges:
            self._claim(channel, exchange)
            self._ready.append((channel, exchange))
            if self.shared:
                self._wake()

    def _claim(self, channel: Channel, exchange: Exchange) -> None:
        """Keep the channel alive for a request that is going to run."""
        channel.enter()
        if not exchange.complete:
            exchange.pumps = True
            channel.pumped += 1

    def _run_next(self) -> None:
        try:
            channel, exchange = self._ready.popleft()
        except IndexError:
            return  # Another thread was faster.
        self._run(channel, exchange)

    def _run(self, channel: Channel, exchange: Exchange) -> None:
        began = time.perf_counter()
        try:
            if not exchange.aborted:
                exchange.prepare(self._move_input)
                self._gateway(exchange)
        except Disconnected as error:
            log.debug("a response was not delivered: %s", error)
        except Exception:
            log.exception("a gateway failed; this is a fault of penstock")
        if not exchange.ended:
            self._conclude(channel, exchange)
        exchange.release()
        if self._access_log is not None:
            self._access_log.write(exchange, time.perf_counter() - began)
        if exchange.pumps:
            self._end_pump(channel, exchange)
        channel.leave()
        if not channel.watched and not channel.over:
            channel.watch()

    def _conclude(self, channel: Channel, exchange: Exchange) -> None:
        """End what a gateway has left open."""
        if exchange.aborted:
            exchange.give_up()
        elif exchange.started:
            exchange.abort()
        else:
            exchange.status = exchange.fault.status if exchange.fault is not None else 500
            exchange.reference = exchange.reference or new_reference()
            reason = exchange.fault.reason if exchange.fault is not None else "the application gave no answer"
            self.notices.warn(f"answered {exchange.status} [{exchange.reference}]: {reason}")
            exchange.refuse(error_page(exchange.status, exchange.reference))
            channel.settle()

    def _log_access(self, request: Request) -> None:
        if self._access_log is not None:
            self._access_log.write(request, 0.0)

    # -- bodies that are read while they arrive

    def _move_input(self, channel: Channel, exchange: Exchange, wait: bool) -> None:
        """Read the connection on behalf of a handler; with `wait`, until there is something for it."""
        lock = channel.pump_lock
        assert lock is not None
        if not lock.acquire(blocking=wait):
            return
        try:
            if wait and not exchange.starving:
                return
            if wait and not exchange.wait_readable(self.io_timeout):
                self.notices.warn(f"a web server sent nothing for {self.io_timeout:g} s in the middle of a request body")
                exchange.aborted = True
                channel.close()
                return
            self._queue(channel, self._intake.receive(channel))
        finally:
            lock.release()
        if exchange.complete and exchange.pumps:
            self._end_pump(channel, exchange)

    def _end_pump(self, channel: Channel, exchange: Exchange) -> None:
        """The handler reads no more; when no other does, the connection goes back to the poller."""
        exchange.pumps = False
        channel.pumped -= 1
        if not channel.pumped and not channel.over:
            channel.watch()
