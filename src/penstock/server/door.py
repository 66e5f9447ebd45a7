"""This file accepts connections at one listener, and stops doing so without losing anybody."""

from __future__ import annotations

import socket
import threading
from typing import Final, Protocol, final

from penstock.server.accepting import PAUSE, Nobody, accept
from penstock.server.channel import Channel
from penstock.server.hub import Hub
from penstock.server.listen import Listener
from penstock.server.notices import Notices, log

QUIET: Final = 0.02
"""Seconds without a newcomer after which a draining listener is closed."""

MOST_DRAIN: Final = 1.0
"""Seconds after which a draining listener is closed though newcomers keep coming, as they may over TCP."""


class Host(Hub[Channel], Protocol):
    """What a door needs of its server."""

    notices: Notices

    def welcome(self, sock: socket.socket) -> Channel:
        """Take in a connection that has been accepted; nothing of it has been read yet."""

    def seat(self, channel: Channel) -> None:
        """This connection was accepted on the way out; it is served in its turn."""

    def close_door(self, door: Door) -> None:
        """No more connections come from this door."""


@final
class Door:
    """The listener's place in the server's loop; a lock keeps its end apart from the last newcomer."""

    __slots__ = ("_drain_until", "_fd", "_host", "_listener", "_lock")

    def __init__(self, listener: Listener, host: Host) -> None:
        self._listener = listener
        self._host = host
        self._fd = listener.socket.fileno()
        self._drain_until = 0.0
        self._lock = threading.Lock()
        host.watch(self._fd, self.on_ready)

    def on_ready(self) -> None:
        """Somebody waits to be accepted."""
        host = self._host
        with self._lock:
            if self._drain_until or self._listener.others_accept:
                return
            came = self._accept()
            if came is Nobody.ENTERS:
                host.unwatch(self._fd)
                host.timers.set(self, PAUSE)
                return
            # Others may accept while this thread serves the newcomer.
            host.rearm(self._fd)
        if isinstance(came, Channel):
            # Whoever connects mostly has sent a request already: to look first saves the poller's calls.
            host.receive(came)

    def on_deadline(self) -> None:
        """The pause is over, or it is time to look whether newcomers still come while we drain."""
        with self._lock:
            if self._drain_until:
                self._drain()
            else:
                self._host.watch(self._fd, self.on_ready)

    def drain(self) -> None:
        """Keep newcomers away where the system can, accept those who wait, then close."""
        host = self._host
        with self._lock:
            if self._listener.others_accept:
                host.unwatch(self._fd)
                self._listener.close()
                host.close_door(self)
                return
            self._listener.begin_drain()
            self._drain_until = host.timers.clock() + MOST_DRAIN
            host.unwatch(self._fd)
            self._empty_queue()
            host.timers.set(self, QUIET)

    def _drain(self) -> None:
        host = self._host
        if self._empty_queue() and host.timers.clock() < self._drain_until:
            host.timers.set(self, QUIET)
        else:
            self._listener.close()
            host.close_door(self)

    def _empty_queue(self) -> bool:
        """Let everybody in before anybody is served, for serving may take longer than the drain; false if none came."""
        first = came = self._accept()
        while came is not Nobody.WAITS and came is not Nobody.ENTERS:
            if isinstance(came, Channel):
                self._host.seat(came)
            came = self._accept()
        return first is not Nobody.WAITS

    def _accept(self) -> Channel | Nobody:
        failing = "" if self._drain_until else f"; trying again in {PAUSE} s"
        sock = accept(self._listener, self._host.notices, failing)
        if isinstance(sock, Nobody):
            return sock
        try:
            return self._host.welcome(sock)
        except Exception:
            # Nobody expects this; but the door must stay open for the others.
            sock.close()
            log.exception("%s: a connection could not be taken in; a fault of penstock", self._listener.address)
            return Nobody.STAYS
