"""This file accepts connections at one listener, and stops doing so without losing anybody."""

from __future__ import annotations

import errno
import socket
from typing import Final, Protocol, final

from penstock.server.channel import Hub
from penstock.server.listen import Listener
from penstock.server.notices import Notices

_OUT_OF_DESCRIPTORS: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE: Final = 0.25
"""Seconds without accepting once the descriptors have run out; trying at once again would spin."""

QUIET: Final = 0.02
"""Seconds without a newcomer after which a draining listener is closed."""

MOST_DRAIN: Final = 1.0
"""Seconds after which a draining listener is closed though newcomers keep coming, as they may over TCP."""


class Host(Hub, Protocol):
    """What a door needs of its server."""

    notices: Notices

    def welcome(self, sock: socket.socket) -> None:
        """A connection has been accepted."""

    def close_door(self, door: Door) -> None:
        """No more connections come from this door."""


@final
class Door:
    """The listener's place in the server's loop."""

    __slots__ = ("_drain_until", "_fd", "_host", "_listener")

    def __init__(self, listener: Listener, host: Host) -> None:
        self._listener = listener
        self._host = host
        self._fd = listener.socket.fileno()
        self._drain_until = 0.0
        host.watch(self._fd, self.on_ready)

    def on_ready(self) -> None:
        """Somebody waits to be accepted."""
        if self._accept():
            self._extend_drain()

    def on_deadline(self) -> None:
        """The pause is over, or the drain found the queue quiet for long enough."""
        if not self._drain_until:
            self._host.watch(self._fd, self.on_ready)
        elif self._host.timers.clock() > self._drain_until or not self._accept():
            self._host.unwatch(self._fd)
            self._listener.close()
            self._host.close_door(self)
        else:
            self._extend_drain()

    def drain(self) -> None:
        """Keep newcomers away where the system can, accept those who wait, then close."""
        self._listener.begin_drain()
        self._drain_until = self._host.timers.clock() + MOST_DRAIN
        self._extend_drain()

    def _extend_drain(self) -> None:
        if self._drain_until:
            self._host.timers.set(self, QUIET)

    def _accept(self) -> bool:
        """Take one connection in; false when none waits."""
        host = self._host
        try:
            sock, peer = self._listener.socket.accept()
        except BlockingIOError:
            host.rearm(self._fd)
            return False
        except OSError as error:
            if error.errno in _OUT_OF_DESCRIPTORS and not self._drain_until:
                host.unwatch(self._fd)
                host.timers.set(self, _PAUSE)
                host.notices.warn(f"{self._listener.address}: cannot accept: {error.strerror}; trying again in {_PAUSE} s")
            else:
                # The client gave up while it waited, or the listener is closed already.
                host.rearm(self._fd)
            return False
        # Others may accept while this thread serves the newcomer.
        host.rearm(self._fd)
        if not self._listener.allows(peer):
            sock.close()
            host.notices.warn(f"{self._listener.address}: a connection from {peer[0]} was refused: not in the allow-list")
            return True
        host.welcome(sock)
        return True
