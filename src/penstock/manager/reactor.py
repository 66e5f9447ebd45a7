"""This file waits for everything that a supervisor waits for: descriptors, signals, deadlines. One thread, one loop."""

from __future__ import annotations

import contextlib
import math
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterable
from typing import final

from penstock.server.notices import log
from penstock.server.timers import Timers


@final
class Alarm:
    """Something to do at a time that can be moved."""

    __slots__ = ("_act", "_armed", "_timers")

    def __init__(self, timers: Timers, act: Callable[[], None]) -> None:
        self._timers = timers
        self._act = act
        self._armed = False

    def set(self, seconds: float) -> None:
        """Ring so many seconds from now, and not when it was to ring before."""
        self._armed = True
        self._timers.set(self, max(0.0, seconds))

    def clear(self) -> None:
        """Do not ring."""
        self._armed = False
        self._timers.clear(self)

    @property
    def is_set(self) -> bool:
        """It will ring; it may be about to."""
        return self._armed

    def on_deadline(self) -> None:
        # Another one that was due at the same moment may have moved this one, or cleared it.
        if self._armed and self not in self._timers:
            self._armed = False
            self._act()


@final
class Reactor:
    """The loop. What fails in a callback is logged, and the loop goes on: a supervisor must not die of a surprise."""

    def __init__(self) -> None:
        self.stopped = False
        self._timers = Timers()
        self._selector = selectors.DefaultSelector()
        self._obeyed: dict[int, Callable[[], None]] = {}
        self._before: dict[int, object] = {}
        self._woken, self._waker = socket.socketpair()
        self._woken.setblocking(False)
        self._waker.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ, self._on_signals)
        self._wakeup_before = signal.set_wakeup_fd(self._waker.fileno(), warn_on_full_buffer=False)

    @property
    def obeyed(self) -> list[int]:
        """The signals that are obeyed."""
        return [*self._obeyed]

    @property
    def now(self) -> float:
        """Seconds of the monotonic clock."""
        return self._timers.clock()

    def alarm(self, act: Callable[[], None]) -> Alarm:
        """A clock that calls `act` whenever it has been set and rings."""
        return Alarm(self._timers, act)

    def obey(self, number: int, act: Callable[[], None]) -> None:
        """Call `act` from the loop when this signal has arrived."""
        self._obeyed[number] = act
        before = signal.signal(number, lambda *_: None)
        self._before.setdefault(number, before)

    def watch(self, fileobj: int | socket.socket, act: Callable[[], None], *, write: bool = False) -> None:
        """Call `act` whenever it can be read, or else (`write`) written."""
        events = selectors.EVENT_WRITE if write else selectors.EVENT_READ
        try:
            self._selector.modify(fileobj, events, act)
        except KeyError:
            self._selector.register(fileobj, events, act)

    def forget(self, fileobj: int | socket.socket) -> None:
        """Watch it no more; harmless when nobody does."""
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(fileobj)

    def run(self) -> None:
        """Until `stopped`."""
        while not self.stopped:
            earliest = self._timers.earliest()
            wait = None if earliest == math.inf else max(0.0, earliest - self.now)
            for key, _ in self._selector.select(wait):
                self._call(key.data)
            for alarm in self._timers.due():
                self._call(alarm.on_deadline)

    def fork(self) -> int:
        """Fork; the child, where this is 0, has abandoned the loop.

        Raises:
            OSError: there is no room for another process.
        """
        # Until then a signal to the child would be obeyed here, for both write its number into one socket.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, self._obeyed)
        try:
            pid = os.fork()
            if pid == 0:
                self.abandon()
            return pid
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)

    def abandon(self) -> None:
        """In a forked child: let go of what the loop waits with, and give every signal its old meaning."""
        signal.set_wakeup_fd(self._wakeup_before)
        for number, before in self._before.items():
            signal.signal(number, before if callable(before) or isinstance(before, int) else signal.SIG_DFL)
        self._selector.close()
        self._woken.close()
        self._waker.close()

    close = abandon

    def _on_signals(self) -> None:
        arrived: Iterable[int] = ()
        with contextlib.suppress(BlockingIOError):
            arrived = self._woken.recv(4096)
        for number in dict.fromkeys(arrived):
            act = self._obeyed.get(number)
            if act is not None:
                self._call(act)

    def _call(self, act: Callable[[], None]) -> None:
        try:
            act()
        except Exception:
            log.exception("the supervisor met something that never should be: this is a fault of penstock")
