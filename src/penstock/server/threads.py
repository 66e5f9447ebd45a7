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

from penstock.gateways.request import Disconnected, Gateway
from penstock.gateways.response import error_page
from penstock.server.accesslog import AccessLog
from penstock.server.channel import Channel
from penstock.server.door import Door
from penstock.server.exchange import Exchange
from penstock.server.intake import Done, Intake
from penstock.server.lifecycle import Lifecycle, State
from penstock.server.listen import Listener
from penstock.server.notices import Notices, log, log_fault, new_reference
from penstock.server.options import ServerOptions
from penstock.server.poller import Poller, best_poller
from penstock.server.quiet import end_with_answer, has_input
from penstock.server.timers import Timers, Vigil
from penstock.server.tracing import trace_of

_UNDELIVERED: Final = 499  # what nginx's access log says of a response that nobody took
FRESH_GRACE: Final = 0.5  # seconds in which a connection may say something, perhaps for the first time, in a stop


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
        self.crowded = False  # an idle connection is one too many
        self.gives = False  # others stay as it stops, and take what is given away
        self.notices = Notices()
        self.gateway = gateway
        self.listeners = listeners
        self._options = options
        self._access_log = access_log
        self._poller = poller or best_poller(self.shared)
        self._vigil = Vigil(self.timers, self._poller.wait, self._wake)
        self._watched: dict[int, Callable[[], None]] = {}
        self._channels: set[Channel] = set()
        self._doors: set[Door] = set()
        self._ready: deque[tuple[Channel, Exchange]] = deque()
        log_access: Done = access_log.write if access_log is not None else lambda _: None
        self._intake = Intake(options, self.timers, self.notices, log_access)
        self._traced = log.isEnabledFor(logging.DEBUG)
        self._accepted = 0
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._drain_lock = threading.Lock()
        self.lifecycle = Lifecycle(options.graceful_timeout, self._wake, listeners, self._unfinished)
        # One thread that waits for a body lets the other requests of its connection wait too.
        self._values = options.answers(options.threads, multiplexed=self.shared or not options.stream_body)

    # -- life

    def run(self) -> None:
        """Serve until stopped; the calling thread is one of the N."""
        self.watch(self._wake_read, self._on_wake)
        others = [
            threading.Thread(target=self._loop, name=f"penstock-{number}", daemon=True)
            for number in range(2, self._options.threads + 1)
        ]
        try:
            with self.lifecycle.signals(self._wake_write):
                # Now, and not before: whoever is told that we are ready may send a signal at once.
                self.open_doors()
                for thread in others:
                    thread.start()
                self._loop()
                for thread in others:
                    thread.join()
        finally:
            self.lifecycle.close_listeners()
        self._poller.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def open_doors(self) -> None:
        """Begin to accept; called once as the server starts."""
        self._doors.update(Door(listener, self) for listener in self.listeners)

    def stop(self) -> None:
        """Begin to stop: finish what was accepted, then let `run` return. For any thread and for signal handlers."""
        self.lifecycle.stop()

    @property
    def open_connections(self) -> int:
        """How many there are."""
        return len(self._channels)

    def give_away(self, _sock: socket.socket) -> bool:
        return False

    def _loop(self) -> None:
        wait, watched, timers, ready = self._poller.wait, self._watched, self.timers, self._ready
        vigil = self._vigil
        while self.lifecycle.state is not State.STOPPED:
            if ready:
                self._run_next()
            else:
                for fd in vigil.wait() if timers else wait(None):
                    on_ready = watched.get(fd)
                    if on_ready is not None:
                        try:
                            on_ready()
                        except Exception as error:
                            log_fault(error)
            if timers:
                for thing in timers.due():
                    try:
                        thing.on_deadline()
                    except Exception as error:
                        log_fault(error)
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
            self.lifecycle.pass_on(os.read(self._wake_read, 64))
        except BlockingIOError:
            pass
        self.rearm(self._wake_read)
        if self.lifecycle.state is State.DRAINING and not self.draining:
            with self._drain_lock:
                if not self.draining:
                    self.drain()

    def drain(self) -> None:
        """Stop taking in, without losing what waits in the listeners' queues or is on its way on a connection."""
        grace = self._options.graceful_timeout
        log.info("stopping: %d connections, up to %g s for running requests", len(self._channels), grace)
        self.draining = self.crowded = True
        for door in list(self._doors):
            door.drain()
        for channel in list(self._channels):
            # Over TCP an idle one has time for one request more, whose answer brings the end with it.
            if channel.served and (self.gives or not end_with_answer(channel.sock)):
                channel.close_if_quiet()
        self.timers.set(self, FRESH_GRACE)

    def on_deadline(self) -> None:
        """Whoever is here has had time to say something."""
        for channel in list(self._channels):
            channel.close_if_quiet()

    def is_drained(self) -> bool:
        """Whether nobody is here any more, and nobody comes."""
        return not self._doors and not self._channels and not self._ready

    def _check_drained(self) -> None:
        if self.is_drained():
            self.lifecycle.state = State.STOPPED

    def _unfinished(self) -> int:
        return sum(len(channel.open) for channel in list(self._channels))

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

    def seat(self, channel: Channel) -> None:
        channel.rest()

    def close_door(self, door: Door) -> None:
        self._doors.discard(door)

    def welcome(self, sock: socket.socket) -> Channel:
        protocol = self._options.connection(self._options.limits, self._options.roles, self._values)
        trace = None
        if self._traced:
            self._accepted += 1
            trace = trace_of(protocol, f"#{self._accepted}", log.debug)
        channel = Channel(sock, protocol, self, trace)
        if self._options.stream_body:
            channel.stream_bodies(lambda: self._queue(channel, self._intake.receive(channel)))
        self._channels.add(channel)
        if self.draining:
            end_with_answer(sock)
            self.timers.set(self, FRESH_GRACE)
        return channel

    def stalled(self, channel: Channel) -> None:
        if channel.over or not channel.protocol.awaiting_input:
            return
        if channel.pump is not None and channel.pump.readers:
            self.timers.set(channel, self.io_timeout)  # It is we who do not read: a handler takes its time.
        elif has_input(channel.sock) and not channel.spared:
            # Likewise, if every thread was busy; but drops that keep arriving could say so for ever.
            channel.spared = True
            self.timers.set(channel, self.io_timeout)
        else:
            self._intake.stalled(channel)

    # -- requests

    def receive(self, channel: Channel) -> None:
        if not channel.enter():
            return
        first: Exchange | None = None
        try:
            with channel.reading:
                pump = channel.pump
                # While a handler reads this connection, nobody else does: it might wait for what was taken away.
                ready = self._intake.receive(channel) if pump is None or not pump.readers else ()
                if ready:
                    first = ready[0]
                    self._claim(channel, first)
                    if len(ready) > 1:
                        self._queue(channel, ready[1:])
                if self.shared or first is None:
                    # From here on another thread may have this connection.
                    channel.rest()
        except BaseException:
            channel.close()
            raise
        finally:
            channel.leave()
        if first is not None:
            self._run(channel, first)

    def _queue(self, channel: Channel, exchanges: Sequence[Exchange]) -> None:
        """Requests of one connection run side by side: these go to other threads, or wait their turn."""
        for exchange in exchanges:
            self._claim(channel, exchange)
            self._ready.append((channel, exchange))
        if self.shared and exchanges:
            self._wake()

    def _claim(self, channel: Channel, exchange: Exchange) -> None:
        """Keep the channel alive for a request that is going to run."""
        channel.hold()
        if channel.pump is not None and not exchange.complete:
            channel.pump.join(exchange)

    def _run_next(self) -> None:
        try:
            channel, exchange = self._ready.popleft()
        except IndexError:
            return  # Another thread was faster.
        if self.shared and self._ready:
            self._wake()  # One byte wakes one thread, and there is work for another.
        self._run(channel, exchange)

    def _run(self, channel: Channel, exchange: Exchange) -> None:
        if self.shared and self.timers:
            self._vigil.pass_on()
        began = time.perf_counter()
        try:
            if not exchange.aborted and exchange.fault is None:
                exchange.prepare()
                self.gateway(exchange)
        except Disconnected as error:
            exchange.status = _UNDELIVERED
            log.debug("a response was not delivered: %s", error)
        except BaseException as error:
            # Also SystemExit: it would end a thread without a word.
            log_fault(error)
        try:
            if not exchange.ended:
                self._conclude(channel, exchange)
            exchange.release()
            if self._access_log is not None:
                self._access_log.write(exchange, time.perf_counter() - began)
            exchange.leave_pump()
            if not channel.watched:
                channel.rest()
        finally:
            channel.leave()

    def _conclude(self, channel: Channel, exchange: Exchange) -> None:
        """End what a gateway has left open."""
        if exchange.aborted:
            exchange.refuse(b"")
            channel.settle()
        elif exchange.started:
            exchange.abort()
        else:
            exchange.status = exchange.fault.status if exchange.fault is not None else 500
            if not exchange.reference:  # else the gateway has said already what went wrong
                exchange.reference = new_reference()
                reason = exchange.fault.reason if exchange.fault is not None else "the application gave no answer"
                self.notices.warn(f"answered {exchange.status} [{exchange.reference}]: {reason}")
            head_only = exchange.params.get("REQUEST_METHOD") == "HEAD"
            exchange.refuse(error_page(exchange.status, exchange.reference, head_only=head_only))
            channel.settle()
