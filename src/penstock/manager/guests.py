"""This file receives those who ask the supervisor something: guests. None of them blocks its loop or stays for ever."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

from penstock.manager.reactor import Reactor
from penstock.server.accepting import PAUSE, Nobody, accept
from penstock.server.listen import Listener
from penstock.server.notices import Notices

PATIENCE: Final = 10.0
"""Seconds that a guest has to ask, and again to take its answer."""

_MOST: Final = 32
_RECEIVE: Final = 65_536

G = TypeVar("G", bound="Guest")


class Guest:
    """One who has come. It is heard until there is something to say, and heard again when that is out.

    Args:
        sock: its connection; not blocking from now on.
        reception: where it came in.
    """

    def __init__(self, sock: socket.socket, reception: Reception[Any]) -> None:
        sock.setblocking(False)
        self.sock = sock
        self._reactor = reception.reactor
        self._others = reception.guests
        self._output = bytearray()
        self._alarm = self._reactor.alarm(self.close)
        self._alarm.set(PATIENCE)
        self._others.add(self)
        self._reactor.watch(sock, self._on_readable)

    def heard(self, data: bytes) -> None:
        """It has sent this."""
        raise NotImplementedError

    def answered(self) -> None:
        """All that it was to be told is out; it goes, or is heard again."""
        self.close()

    def say(self, data: bytes) -> None:
        """Send it this in the place of what was to be sent; nothing happens if it has gone."""
        if self.sock.fileno() >= 0:
            self._output[:] = data
            self._alarm.set(PATIENCE)
            self._reactor.watch(self.sock, self._on_writable, write=True)

    def close(self) -> None:
        """It goes, or is sent away."""
        self._alarm.clear()
        self._reactor.forget(self.sock)
        self._others.discard(self)
        self.sock.close()

    def _on_readable(self) -> None:
        if self._output:
            return  # who does not take its answer need not ask more
        try:
            data = self.sock.recv(_RECEIVE)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            self.heard(data)
        else:
            self.close()

    def _on_writable(self) -> None:
        try:
            del self._output[: self.sock.send(self._output)]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self._output:
            self._reactor.watch(self.sock, self._on_readable)
            self.answered()


class Reception(Generic[G]):
    """Accepts guests, not too many at a time.

    Args:
        listeners: where they come in.

    Attributes:
        guests: who is here.
    """

    def __init__(self, listeners: Sequence[Listener], reactor: Reactor) -> None:
        self.guests: Final[set[G]] = set()
        self.reactor: Final = reactor
        self._listeners = listeners
        self._notices = Notices()
        self._pause = reactor.alarm(self._open)
        self._open()

    def welcome(self, sock: socket.socket) -> None:
        """Take one in who has been accepted, or close the connection."""
        raise NotImplementedError

    def let_go(self) -> None:
        """In a forked child: close our ends; the paths stay the supervisor's."""
        for listener in self._listeners:
            listener.close()
        for guest in self.guests:
            guest.sock.close()

    def close(self) -> None:
        """Take the paths away; whoever waits for an answer sees the end instead."""
        self._pause.clear()
        for listener in self._listeners:
            self.reactor.forget(listener.socket)
            listener.close()
        for guest in list(self.guests):
            guest.close()

    def _open(self) -> None:
        for listener in self._listeners:
            self.reactor.watch(listener.socket, self._accepting(listener))

    def _accepting(self, listener: Listener) -> Callable[[], None]:
        def on_newcomer() -> None:
            sock = accept(listener, self._notices, f"; trying again in {PAUSE} s")
            if sock is Nobody.ENTERS:
                self.reactor.forget(listener.socket)
                self._pause.set(PAUSE)
            elif isinstance(sock, Nobody):
                return
            elif len(self.guests) >= _MOST:
                self._notices.warn(f"{listener.address}: {_MOST} are here already: one was sent away")
                sock.close()
            else:
                self.welcome(sock)

        return on_newcomer
