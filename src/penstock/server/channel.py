"""This file is one accepted connection: its socket, its protocol state, who is at work on it and how it is closed."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, final

from penstock.connection.application import ApplicationConnection
from penstock.server.hub import Hub
from penstock.server.outlet import Outlet
from penstock.server.pump import Pump
from penstock.server.quiet import nothing_comes
from penstock.server.tenant import Tenant

if TYPE_CHECKING:
    from penstock.server.tracing import Trace

_DONTWAIT: Final = socket.MSG_DONTWAIT
RECEIVE_SIZE: Final = 65536
LINGER_IDLE: Final = 2.0
"""Seconds without input after which a lingering connection is closed; libfcgi waits as long."""


@final
class Channel:
    """One connection.

    A server with several threads counts who is in here (`enter`, `leave`): the descriptor is given back by whoever
    leaves last, so that nobody can meet another connection under the same number. With one thread nobody counts.
    Input, and the beginning of the end, belong to whoever holds `reading`; what writes never waits for that lock.

    Attributes:
        protocol: the records' side of the connection.
        out: the way out.
        reading: held while input is taken in.
        tenants: by id, the requests that input belongs to.
        open: the requests whose answers are not out yet; this is what an end has to wait for.
        served: how many requests have begun.
        spared: the deadline has been moved once because there was unread input.
        doomed: nothing more is read, and the end comes after the last answer.
        at_eof: the peer sends no more; it may still read.
        closing: the end has come; the descriptor goes as soon as everybody has left.
        closed: the descriptor is gone, or about to go.
        watched: the poller knows it.
        given: another process has it now.
        pump: reads for handlers whose body is streamed; None where bodies are not.
        trace: is shown what passes, with --log-level debug.
    """

    __slots__ = (
        "_hub",
        "_linger_until",
        "_lock",
        "_shared",
        "_users",
        "at_eof",
        "closed",
        "closing",
        "doomed",
        "fd",
        "given",
        "open",
        "out",
        "protocol",
        "pump",
        "reading",
        "served",
        "sock",
        "spared",
        "tenants",
        "trace",
        "watched",
    )

    def __init__(
        self, sock: socket.socket, protocol: ApplicationConnection, hub: Hub[Channel], trace: Trace | None = None
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.protocol = protocol
        self.out = Outlet(sock, hub.io_timeout, trace)
        self.reading = threading.RLock()
        self.tenants: dict[int, Tenant] = {}
        self.open: set[Tenant] = set()
        self.trace = trace
        self.pump: Pump | None = None
        self.served = 0
        self.spared = False
        self.at_eof = False
        self.doomed = False
        self.closing = False
        self.closed = False
        self.watched = False
        self.given = False
        self._hub = hub
        self._linger_until = 0.0
        self._shared = hub.shared
        self._users = 0
        self._lock = threading.Lock()

    def stream_bodies(self, take_in: Callable[[], None]) -> None:
        """Let handlers read their body while it arrives; `take_in` reads this channel once."""
        self.pump = self.out.pump = Pump(self, take_in, self._hub.io_timeout)

    # -- who is in here

    def enter(self) -> bool:
        """Keep the descriptor alive until `leave`; false when the channel is closing and must be left alone."""
        if not self._shared:
            return not self.closing
        with self._lock:
            if self.closing:
                return False
            self._users += 1
            return True

    def hold(self) -> None:
        """Keep the descriptor alive until another `leave`; for those who are in here already."""
        if self._shared:
            with self._lock:
                self._users += 1

    def leave(self) -> None:
        """End what `enter` or `hold` began."""
        if self._shared:
            with self._lock:
                self._users -= 1
                if self._users or not self.closing or self.closed:
                    return
                self.closed = True
            self._dispose()

    @property
    def over(self) -> bool:
        """Nothing that arrives is for us any more."""
        return self.closing or self.doomed or self.at_eof or self._linger_until > 0

    # -- watching

    def rest(self) -> None:
        """Whoever had this connection is done with it: the poller has it now, unless a handler reads it itself."""
        if not self.over and (self.pump is None or not self.pump.readers):
            self._watch()

    def _watch(self) -> None:
        if self.watched:
            self._hub.rearm(self.fd)
            return
        with self._lock:
            if self.closed:
                return
            if self.watched:
                # Another thread has just begun to; its event may have come to this one, and is spent.
                self._hub.rearm(self.fd)
                return
            self._hub.watch(self.fd, self.on_ready)
            self.watched = True

    def unwatch(self) -> None:
        """Leave the socket unread from now on."""
        with self._lock:
            if self.watched:
                self.watched = False
                self._hub.unwatch(self.fd)

    def on_ready(self) -> None:
        """There is something to read."""
        if self._linger_until:
            self._drain()
        else:
            self._hub.receive(self)

    def on_deadline(self) -> None:
        """The time for the peer's next move is over."""
        if not self.enter():
            return
        try:
            with self.reading:
                if self in self._hub.timers:
                    return  # It has moved while this thread was on its way here.
                if self._linger_until:
                    self.close()
                else:
                    self._hub.stalled(self)
        finally:
            self.leave()

    # -- reading and answering

    def receive(self) -> bytes | None:
        """What has arrived; empty at the end of input, None when nothing has."""
        try:
            data = self.sock.recv(RECEIVE_SIZE, _DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            self.out.broken = True
            return b""
        if self.trace is not None and data:
            self.trace.inbound(data)
        return data

    def answer(self, data: bytes) -> None:
        """Send a short answer of the connection itself; a peer that leaves no room for it is closed."""
        if not self.out.answer(data):
            self.close()

    # -- ending

    def settle(self) -> None:
        """An answer is out: close, if that is ours to do now."""
        if self.open or self._linger_until:
            return
        if self.protocol.must_close or self.doomed or self.at_eof or self.out.broken:
            if self.protocol.input_pending and not self.at_eof and not self.out.broken:
                self.linger()
            else:
                self.close()
        elif self._hub.crowded:
            self.close_if_quiet()

    def doom(self) -> None:
        """Read no more, and close when all that is complete has been answered."""
        with self.reading:
            if self.closing or self._linger_until:
                return
            self.doomed = True
            self.protocol.input_pending = True
            self.unwatch()
            self._hub.timers.clear(self)
            for tenant in list(self.open):
                tenant.starve()

    def linger(self) -> None:
        """Close so that the peer reads all we have sent: closing with unread input would throw that away.

        So say that no more comes from us, then read and drop what the peer still sends, for a bounded time.
        """
        with self.reading:
            if self.closing or self._linger_until:
                return
            try:
                self.sock.shutdown(socket.SHUT_WR)
            except OSError:
                self.close()
                return
            timers = self._hub.timers
            self._linger_until = timers.clock() + self._hub.io_timeout
            timers.set(self, LINGER_IDLE)
            for tenant in list(self.open):
                tenant.cut()
            self._watch()

    def _drain(self) -> None:
        if not self.enter():
            return
        try:
            timers = self._hub.timers
            if self.receive() == b"" or timers.clock() > self._linger_until:
                self.close()
                return
            timers.set(self, LINGER_IDLE)
            self._watch()
        finally:
            self.leave()

    def close_if_quiet(self) -> None:
        """Be done with an idle connection: leave it to others, or close it unless something has arrived on it."""
        if not self.enter():
            return
        try:
            with self.reading:
                if self.closing or self._linger_until or self.open or not self.protocol.idle:
                    return
                self.unwatch()
                self.given = self._hub.give_away(self.sock)
                if self.given or nothing_comes(self.sock):
                    self.close()
                else:
                    self._watch()
        finally:
            self.leave()

    def close(self) -> None:
        """Close at once."""
        with self._lock:
            if self.closing:
                return
            self.closing = True
            deserted = self.closed = not self._users
        for tenant in list(self.open):
            tenant.cut()
        if deserted:
            self._dispose()
            return
        # The descriptor stays until the last one is out; meanwhile nobody shall wait on it.
        self.out.broken = True
        self._shut()

    def _shut(self) -> None:
        if not self.given:
            with suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)

    def _dispose(self) -> None:
        self.unwatch()
        self._hub.timers.clear(self)
        # A child that the application has forked holds the descriptor too; closing ours alone would end nothing.
        self._shut()
        self.sock.close()
        self._hub.discard(self)
        self.pump = self.out.pump = None  # It knows us: without the circle, memory is free at once.
        for tenant in list(self.open):
            tenant.forget()
