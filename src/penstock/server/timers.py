"""This file keeps the deadlines of a server: which thing has to be looked at when, if nothing happens before."""

from __future__ import annotations

import heapq
import math
import threading
import time
from collections.abc import Callable
from typing import Final, Protocol, final

_MOST_STALE: Final = 64
"""Entries of the heap that may be left over before it is made anew."""


class Timed(Protocol):
    """Something that wants to be told when its deadline has passed."""

    def on_deadline(self) -> None:
        """The deadline passed without being moved or cleared."""


@final
class Timers:
    """Deadlines by thing, one each. Moving one later, the frequent case, is a single dictionary write.

    The heap has one entry that counts for each thing, at a time no later than its deadline; what surfaces too early
    goes back in. A cleared deadline leaves its entry behind, for the next one to use, until it surfaces.
    All times are of the monotonic clock, so a jump of the wall clock fires nothing.
    """

    __slots__ = ("_deadlines", "_entries", "_heap", "_lock", "_order", "clock")

    def __init__(self) -> None:
        self.clock = time.monotonic
        self._deadlines: dict[Timed, float] = {}
        self._entries: dict[Timed, float] = {}
        self._heap: list[tuple[float, int, Timed]] = []
        self._order = 0
        self._lock = threading.Lock()

    def __bool__(self) -> bool:
        return bool(self._deadlines)

    def __contains__(self, thing: Timed) -> bool:
        return thing in self._deadlines

    def set(self, thing: Timed, seconds: float) -> None:
        """Give `thing` a deadline `seconds` from now, in place of any it had."""
        when = self.clock() + seconds
        with self._lock:
            self._deadlines[thing] = when
            entry = self._entries.get(thing)
            if entry is None or when < entry:
                self._push(thing, when)

    def clear(self, thing: Timed) -> None:
        """Take the deadline of `thing` away; nothing happens if it has none."""
        with self._lock:
            self._deadlines.pop(thing, None)
            if len(self._heap) > 2 * len(self._deadlines) + _MOST_STALE:
                # What was left behind keeps closed connections in memory.
                self._heap.clear()
                self._entries.clear()
                for other, when in self._deadlines.items():
                    self._push(other, when)

    def earliest(self) -> float:
        """The time before which nothing is due; infinite when nothing is waiting."""
        with self._lock:
            return self._heap[0][0] if self._deadlines else math.inf

    def due(self) -> list[Timed]:
        """Everything whose deadline has passed; it has none from now on."""
        now = self.clock()
        due: list[Timed] = []
        with self._lock:
            while self._heap and self._heap[0][0] <= now:
                entry, _, thing = heapq.heappop(self._heap)
                if self._entries.get(thing) != entry:
                    continue  # It was moved to an earlier time, and has another entry for that.
                del self._entries[thing]
                when = self._deadlines.get(thing)
                if when is None:
                    continue
                if when <= now:
                    del self._deadlines[thing]
                    due.append(thing)
                else:
                    self._push(thing, when)
        return due

    def _push(self, thing: Timed, when: float) -> None:
        self._order += 1
        self._entries[thing] = when
        heapq.heappush(self._heap, (when, self._order, thing))


@final
class Vigil:
    """Sees to it that, of the threads that wait for input, one wakes at the next deadline.

    Args:
        timers: the deadlines.
        wait: waits for input, or for so many seconds.
        wake: makes a thread that waits return.
    """

    __slots__ = ("_kept_until", "_timers", "_wait", "_wake")

    def __init__(self, timers: Timers, wait: Callable[[float | None], list[int]], wake: Callable[[], None]) -> None:
        self._timers = timers
        self._wait = wait
        self._wake = wake
        self._kept_until: dict[int, float] = {}

    def wait(self) -> list[int]:
        """Wait for input, no longer than until the next deadline."""
        timers, me = self._timers, threading.get_ident()
        when = self._kept_until[me] = timers.earliest()
        try:
            return self._wait(max(0.0, when - timers.clock()) if when < math.inf else None)
        finally:
            del self._kept_until[me]

    def pass_on(self) -> None:
        """To be called by a thread that goes off for long: it may be the only one who knows of the next deadline."""
        earliest = self._timers.earliest()
        if not any(when <= earliest for when in list(self._kept_until.values())):
            self._wake()
