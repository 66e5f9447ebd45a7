"""This file is one accepted connection: its socket, its protocol state, how it is written to and how it is closed."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol, final

from penstock.connection.application import ApplicationConnection
from penstock.gateways.request import Disconnected
from penstock.server.timers import Timers

if TYPE_CHECKING:
    from penstock.server.tracing import RecordTrace

_DONTWAIT: Final = socket.MSG_DONTWAIT
RECEIVE_SIZE: Final = 65536
LINGER_IDLE: Final = 2.0
"""Seconds without input after which a lingering connection is closed; libfcgi waits as long."""


class Tenant(Protocol):
    """A request that is open on a channel."""

    def cut(self) -> None:
        """The channel has closed underneath the request."""


class Hub(Protocol):
    """What a channel needs of the server that it belongs to."""

    timers: Timers
    io_timeout: float
    shared: bool
    draining: bool

    def receive(self, channel: Channel) -> None:
        """The channel can be read."""

    def watch(self, fd: int, on_ready: Callable[[], None]) -> None:
        """Call `on_ready` when the descriptor can be read."""

    def rearm(self, fd: int) -> None:
        """Do so again; needed after each call."""

    def unwatch(self, fd: int) -> None:
        """Do so no more."""

    def discard(self, channel: Channel) -> None:
        """The channel is gone."""

    def stalled(self, channel: Channel) -> None:
        """The peer owes input and has sent none for too long."""


@final
class Channel:
    """One connection.

    A server with several threads counts who is in here (`enter`, `leave`): the descriptor is given back by whoever
    leaves last, so that nobody can meet another connection under the same number. With one thread nobody counts.

    Attributes:
        protocol: the records' side of the connection.
        tenants: the open requests by id.
        doomed: a response was broken off: nothing more is read, and the end comes after the last open request.
        closing: the end has come; the descriptor goes as soon as everybody has left.
        at_eof: the peer sends no more; it may still read.
        pump_lock: held by the thread that reads for a handler whose body is streamed; None where bodies are not.
        pumped: how many such handlers there are on this connection; while there are, only they read it.
        pump: while a handler reads its body as it arrives, how to move input on when a write has to wait.
        trace: where records are shown, with --log-level debug.
    """

    __slots__ = (
        "_broken",
        "_hub",
        "_linger_until",
        "_send_lock",
        "_use_lock",
        "_users",
        "_watched",
        "at_eof",
        "closed",
        "closing",
        "doomed",
        "fd",
        "protocol",
        "pump",
        "pump_lock",
        "pumped",
        "served",
        "sock",
        "tenants",
        "trace",
    )

    def __init__(
        self, sock: socket.socket, protocol: ApplicationConnection, hub: Hub, trace: RecordTrace | None = None
    ) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.protocol = protocol
        self.tenants: dict[int, Tenant] = {}
        self.trace = trace
        self.pump: Callable[[], None] | None = None
        self.pump_lock: threading.Lock | None = None
        self.pumped = 0
        self.served = 0
        self.at_eof = False
        self.doomed = False
        self.closing = False
        self.closed = False
        self._hub = hub
        self._broken = False
        self._watched = False
        self._linger_until = 0.0
        self._users = 0
        self._send_lock = threading.Lock() if hub.shared else None
        self._use_lock = threading.Lock() if hub.shared else None

    # -- who is in here

    def enter(self) -> bool:
        """Keep the descriptor alive until `leave`; false when the channel is closing and must be left alone."""
        if self._use_lock is not None:
            with self._use_lock:
                if self.closing:
                    return False
                self._users += 1
        return not self.closing

    def leave(self) -> None:
        """End what `enter` began."""
        if self._use_lock is not None:
            with self._use_lock:
                self._users -= 1
                if self._users or not self.closing or self.closed:
                    return
            self._dispose()

    @property
    def over(self) -> bool:
        """Nothing that arrives is for us any more."""
        return self.closing or self.doomed or self.at_eof or self._linger_until > 0

    # -- watching

    @property
    def watched(self) -> bool:
        return self._watched

    def watch(self) -> None:
        """Have `on_ready` called when there is something to read."""
        if self._watched:
            self._hub.rearm(self.fd)
        else:
            self._watched = True
            self._hub.watch(self.fd, self.on_ready)

    def unwatch(self) -> None:
        """Leave the socket unread from now on."""
        if self._watched:
            self._watched = False
            self._hub.unwatch(self.fd)

    def on_ready(self) -> None:
        """There is something to read."""
        if self._linger_until:
            self._drain()
        else:
            self._hub.receive(self)

    def on_deadline(self) -> None:
        """The time for the peer's next move is over."""
        if self._linger_until:
            self.close()
        else:
            self._hub.stalled(self)

    # -- writing

    def receive(self) -> bytes | None:
        """What has arrived; empty at the end of input, None when nothing has."""
        try:
            data = self.sock.recv(RECEIVE_SIZE, _DONTWAIT)
        except BlockingIOError:
            return None
        except OSError:
            self._broken = True
            return b""
        if self.trace is not None and data:
            self.trace.inbound(data)
        return data

    def send(self, data: bytes) -> None:
        """Send whole records, waiting for the peer to take them.

        Raises:
            Disconnected: the peer is gone, or took nothing for the I/O timeout.
        """
        if self._send_lock is None:
            self._send(data)
        else:
            with self._send_lock:
                self._send(data)

    def send_now(self, data: bytes) -> None:
        """Send a short answer of the connection itself; a peer that leaves no room for it is closed.

        An application that waits here would let one peer, which asks and does not read, hold a thread.
        """
        try:
            sent = self.sock.send(data, _DONTWAIT)
        except OSError:
            sent = 0
        if self.trace is not None:
            self.trace.outbound(data)
        if sent != len(data):
            self.close()

    def _send(self, data: bytes) -> None:
        if self._broken:
            raise Disconnected("the web server has closed the connection")
        if self.trace is not None:
            self.trace.outbound(data)
        try:
            sent = self.sock.send(data, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken = True
            raise Disconnected(f"the web server has closed the connection ({error.strerror})") from None
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        poll = select.poll()
        while rest:
            # Some web servers send the whole body before they read a byte of the response, so input has to move too.
            pump = self.pump
            poll.register(self.fd, select.POLLOUT | (select.POLLIN if pump is not None else 0))
            ready = poll.poll(self._hub.io_timeout * 1000)
            if not ready:
                self._broken = True
                raise Disconnected(f"the web server has taken no output for {self._hub.io_timeout:g} s")
            if pump is not None and ready[0][1] & select.POLLIN:
                pump()
            try:
                rest = rest[self.sock.send(rest, _DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                self._broken = True
                raise Disconnected(f"the web server has closed the connection ({error.strerror})") from None

    # -- ending

    def settle(self) -> None:
        """A request has ended: close, if that is ours to do now."""
        if self.protocol.must_close or ((self.doomed or self.at_eof) and not self.tenants):
            self.end()
        elif self._hub.draining and self.protocol.idle:
            self.close_if_quiet()

    def doom(self) -> None:
        """Read no more, and close when the last open request has been answered."""
        self.doomed = True
        self.protocol.input_pending = True
        self.unwatch()

    def end(self) -> None:
        """Close so that the peer reads all we have sent: closing with unread input would throw it away."""
        if self.protocol.input_pending and not self.at_eof and not self._broken:
            self.linger()
        else:
            self.close()

    def linger(self) -> None:
        """Say that no more comes from us, then read and drop what the peer still sends, for a bounded time."""
        if self.closed or self._linger_until:
            return
        try:
            self.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self.close()
            return
        timers = self._hub.timers
        self._linger_until = timers.clock() + self._hub.io_timeout
        timers.set(self, LINGER_IDLE)
        for tenant in list(self.tenants.values()):
            tenant.cut()
        self.watch()

    def _drain(self) -> None:
        if not self.enter():
            return
        try:
            data: bytes | None
            try:
                data = self.sock.recv(RECEIVE_SIZE, _DONTWAIT)
            except BlockingIOError:
                data = None
            except OSError:
                data = b""
            timers = self._hub.timers
            if data == b"" or timers.clock() > self._linger_until:
                self.close()
                return
            timers.set(self, LINGER_IDLE)
            self.watch()
        finally:
            self.leave()

    def close_if_quiet(self) -> None:
        """Close an idle connection, unless something has arrived that nobody has read yet."""
        try:
            quiet = not self.sock.recv(1, _DONTWAIT | socket.MSG_PEEK)
        except OSError:
            quiet = True
        if quiet and self.protocol.idle:
            self.close()

    def close(self) -> None:
        """Close at once."""
        if self._use_lock is None:
            if not self.closed:
                self.closing = True
                self._dispose()
            return
        with self._use_lock:
            if self.closed:
                return
            self.closing = True
            if self._users:
                # The descriptor stays until the last one is out; meanwhile nobody shall wait on it.
                with suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)
                self._broken = True
                return
        self._dispose()

    def _dispose(self) -> None:
        self.closed = True
        self.unwatch()
        self._hub.timers.clear(self)
        self.sock.close()
        self._hub.discard(self)
        for tenant in list(self.tenants.values()):
            tenant.cut()
