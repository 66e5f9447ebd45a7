"""This file ties a server to a supervisor: when it may accept, when it has to leave, and what it tells of itself."""

from __future__ import annotations

import os
import select
import signal
import socket
import threading
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, final

from penstock.gateways.request import Request
from penstock.server.channel import Channel
from penstock.server.gifts import Exchange
from penstock.server.lifecycle import Lifecycle, State
from penstock.server.listen import Listener
from penstock.server.threads import ThreadServer

LEAVE: Final = signal.SIGUSR1
"""Leave: stop accepting at once, for others accept here, and finish what runs."""

STOP: Final = signal.SIGTERM
"""Stop: accept what waits in the queues, then finish what runs. To one that leaves: the others do not stay either."""

CLOSE: Final = signal.SIGWINCH
"""Stop accepting at once, for the queues are kept for somebody who comes later, then finish what runs."""

STOP_NOW: Final = signal.SIGQUIT
"""End the process at once."""


REOPEN: Final = signal.SIGHUP
"""Go on in new log files."""


class Tied(Protocol):
    """What a tether needs of its server."""

    draining: bool
    crowded: bool

    @property
    def open_connections(self) -> int: ...


class Tether:
    """One end of the tie; a supervisor's worker fills in what it wants to know.

    Args:
        gate: descriptor that can be read from (its end, mostly) once the server may accept.
        lifeline: descriptor that can be read from once the supervisor is gone.
        exchange: where the workers of a pool leave connections for each other.

    Attributes:
        leaving: others go on, and take the connections that are left to them.
        capacity: requests that the server runs at a time.
    """

    def __init__(self, gate: int, lifeline: int, exchange: Exchange) -> None:
        self.gate: Final = gate
        self.lifeline: Final = lifeline
        self.exchange: Final = exchange
        self.leaving = False
        self.capacity = 1

    @abstractmethod
    def ready(self) -> None:
        """The application has started; all that is missing is the open gate."""

    @abstractmethod
    def most_connections(self, now: int) -> int:
        """So many connections are enough, for others have none; asked as a request begins.

        Args:
            now: how many there are.
        """

    def reopen(self) -> None:
        """Log files have been renamed."""

    @abstractmethod
    def began(self, params: Mapping[str, str]) -> Any:
        """A request begins; what is returned comes back with `ended`."""

    @abstractmethod
    def ended(self, ticket: Any) -> None:
        """It has ended."""

    def enter(self, server: Tied, params: Mapping[str, str]) -> Any:
        """A request begins; give what is returned to `ended`."""
        connections = server.open_connections
        server.crowded = server.draining or connections > self.most_connections(connections)
        return self.began(params)

    def give(self, server: Tied, sock: socket.socket) -> bool:
        """Leave an idle connection to the others, if they stay and this server does not, or has too many."""
        return (self.leaving or not server.draining) and self.exchange.give(sock)

    def take(self) -> socket.socket | None:
        """A connection that others have left; None when there is none, or it is for others.

        Those are the ones who stay, or who have been let in.
        """
        return None if self.leaving or not self.is_open() else self.exchange.take()

    def is_open(self) -> bool:
        """Whether the gate has opened, heard of or not."""
        poll = select.poll()
        poll.register(self.gate, select.POLLIN)
        return bool(poll.poll(0))

    def bind(self, lifecycle: Lifecycle, listeners: Sequence[Listener]) -> None:
        """Make a server obey its supervisor's signals, and no longer those of a web server or a keyboard."""

        def stop(*_: object) -> None:
            # A supervisor says it once; what has to end at once it tells otherwise.
            self.leaving = False
            if lifecycle.state is State.RUNNING:
                lifecycle.on_stop_signal()

        def close(*_: object) -> None:
            if lifecycle.state is State.RUNNING:
                for listener in listeners:
                    listener.others_accept = True
                lifecycle.on_stop_signal()

        def leave(*_: object) -> None:
            if lifecycle.state is State.RUNNING:
                self.leaving = True
                close()

        lifecycle.handlers = {
            LEAVE: leave,
            CLOSE: close,
            STOP: stop,
            STOP_NOW: lambda *_: lifecycle.exit_now("told to stop at once"),
            signal.SIGINT: lambda *_: None,
            REOPEN: lambda *_: self.reopen(),
        }


@final
class TetheredThreads(ThreadServer):
    """A server of blocking handlers under a supervisor; `tie` comes before `run`."""

    def tie(self, tether: Tether) -> None:
        """Obey the supervisor at the other end, and tell it of every request."""
        self._tether = tether
        tether.bind(self.lifecycle, self.listeners)
        if threading.current_thread() is threading.main_thread():
            # At once, for a script may run its server in another thread, where no signal is obeyed.
            for number, act in self.lifecycle.handlers.items():
                signal.signal(number, act)
        gateway = self.gateway
        pid = os.getpid()

        def watched(request: Request) -> None:
            ticket = tether.enter(self, request.params)
            try:
                gateway(request)
            finally:
                if os.getpid() != pid:
                    # The application has forked and come back in the child too: that must not serve beside us.
                    os._exit(1)
                tether.ended(ticket)

        self.gateway = watched

    def open_doors(self) -> None:
        self.watch(self._tether.lifeline, self._orphaned)
        self.watch(self._tether.gate, self._on_gate)
        self._tether.ready()

    def _on_gate(self) -> None:
        with self._drain_lock:
            self._go_in()

    def _go_in(self) -> None:
        """With `_drain_lock` held, for doors that opened while others are drained would never be."""
        if self._watched.pop(self._tether.gate, None) is None:
            return  # another thread has heard of it too
        self._poller.remove(self._tether.gate)
        if not self.draining:
            super().open_doors()
            self.watch(self._tether.exchange.fileno(), self._on_gift)

    def receive(self, channel: Channel) -> None:
        if self._tether.leaving:
            # Whoever stays reads what has come: nobody is answered by the new code and then by the old.
            channel.close_if_quiet()
        super().receive(channel)

    def give_away(self, sock: socket.socket) -> bool:
        return self._tether.give(self, sock)

    def _on_gift(self) -> None:
        with self._drain_lock:
            channel = self._take_gift()
        self.rearm(self._tether.exchange.fileno())
        if channel is not None:
            self.receive(channel)

    def _take_gift(self) -> Channel | None:
        """With `_drain_lock` held, for a connection has to be seen in the exchange or here, not in between."""
        sock = None if self.lifecycle.state is State.STOPPED else self._tether.take()
        return None if sock is None else self.welcome(sock)

    def seat(self, channel: Channel) -> None:
        # Where everybody stops, the first empties the queue; it leaves those to whoever has time for one.
        channel.given = self._tether.exchange.give(channel.sock)
        if channel.given:
            channel.close()
        else:
            channel.rest()

    def drain(self) -> None:
        if self._tether.is_open():
            self._go_in()  # if that is news: who has come since then waits in the queue
        self.gives = self._tether.leaving
        gifts = self._tether.exchange.fileno()
        if self._tether.leaving:
            self.unwatch(gifts)
        elif gifts not in self._watched:
            self.watch(gifts, self._on_gift)  # The gate has never opened, and yet there may be some.
        super().drain()

    def _check_drained(self) -> None:
        with self._drain_lock:
            # Whoever is done looks once more, so what anybody has left is served by the last one at the latest.
            channel = self._take_gift() if self.is_drained() else None
            if channel is None:
                super()._check_drained()
        if channel is not None:
            self.receive(channel)

    def _orphaned(self) -> None:
        self.unwatch(self._tether.lifeline)
        self._tether.leaving = False
        self.stop()
