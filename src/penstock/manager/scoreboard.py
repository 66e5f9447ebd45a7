"""This file is the memory that workers and their supervisor share: who works on what, and since when.

    slot    one worker        lane    one of the requests that it may run at a time

A lane has one writer, so nothing is locked: the worker writes its own lanes, the supervisor only reads, and takes every
number it reads for a claim. Each slot has a fixed size and no lane holds a pointer, a length that is believed, or code.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import time
from collections import deque
from collections.abc import Mapping
from struct import Struct
from typing import Final, NamedTuple, final

# Native and aligned, for then each number is written and read in one step. With "=" it would be eight, and who looks in
# between would see a request that began long ago.
_LANE: Final = Struct("@QQQ232p")
_COUNTS: Final = Struct("@QQQ")  # the first three of a lane: began, requests, busy
_BEGAN: Final = Struct("@Q")
_LINE: Final = Struct("232p")
_LINE_AT: Final = _COUNTS.size
_NUMBER: Final = _BEGAN  # the two in front of a slot: most connections, from the supervisor, and how many there are
_HEAD: Final = 2 * _NUMBER.size

_MOST_CONNECTIONS: Final = 1 << 20
_MOST_REQUESTS: Final = 1 << 48

ASYNC_LANES: Final = 32
"""Requests of an event loop that are told apart; more are counted together."""


class Running(NamedTuple):
    """A request that runs: its line, and the nanosecond of the monotonic clock at which it began."""

    line: str
    began: int


class Score(NamedTuple):
    """What a worker says of itself.

    Attributes:
        requests: completed.
        busy: nanoseconds in which a request ran, added up over its lanes; those still running included.
        running: requests that run now, the longest first.
        connections: open, when the last request began.
    """

    requests: int
    busy: int
    running: tuple[Running, ...]
    connections: int


@final
class Scoreboard:
    """The slots of one pool.

    Args:
        slots: workers that may live at a time, of all generations.
        lanes: requests that one worker may run at a time.
        fd: descriptor of the memory, from one of the same size; else it is made.

    Raises:
        ValueError: that memory has another size.
    """

    def __init__(self, slots: int, lanes: int, fd: int = -1) -> None:
        self.slots: Final = slots
        self.most_lanes: Final = lanes
        self._size: Final = _HEAD + lanes * _LANE.size
        self.fd: Final = _make_memory(slots * self._size) if fd < 0 else fd
        if os.fstat(self.fd).st_size != slots * self._size:
            raise ValueError("this memory is of another kind of scoreboard")
        self._memory: Final = mmap.mmap(self.fd, slots * self._size)
        self._requests = [0] * slots

    def lanes(self, slot: int) -> Lanes:
        """The worker's side of a slot."""
        return Lanes(self._memory, slot * self._size, self.most_lanes)

    def clear(self, slot: int) -> None:
        """Make the slot fit for another worker."""
        start = slot * self._size
        self._memory[start : start + self._size] = bytes(self._size)
        self._requests[slot] = 0

    def read(self, slot: int) -> Score:
        """What the worker of this slot has written last; nonsense is read as nothing."""
        now = time.monotonic_ns()
        requests = busy = 0
        running = []
        start = slot * self._size
        connections = min(_NUMBER.unpack_from(self._memory, start + _NUMBER.size)[0], _MOST_CONNECTIONS)
        for offset in range(start + _HEAD, start + self._size, _LANE.size):
            began, done, spent, line = _LANE.unpack_from(self._memory, offset)
            requests += done if done < _MOST_REQUESTS else 0
            busy += spent if spent <= now else 0
            if 0 < began <= now:
                busy += now - began
                running.append(Running(line.decode("latin-1"), began))
        running.sort(key=lambda request: request.began)
        # Whatever the worker says now, it has said more before, and who counts would see requests undone.
        requests = self._requests[slot] = max(requests, self._requests[slot])
        return Score(requests, busy, tuple(running), connections)

    def allow(self, slot: int, connections: int) -> None:
        """Let the worker of this slot keep so many connections; 0 for any number."""
        _NUMBER.pack_into(self._memory, slot * self._size, connections)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()
        os.close(self.fd)


def _make_memory(size: int) -> int:
    """Memory that can be shared by its descriptor, and that no worker can cut off below its supervisor."""
    fd = os.memfd_create("scoreboard", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, size)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


@final
class Lanes:
    """A worker's own slot, for writing."""

    __slots__ = ("_busy", "_connections", "_free", "_head", "_memory", "_requests", "_shared", "_start")

    def __init__(self, memory: mmap.mmap, start: int, lanes: int) -> None:
        self._memory = memory
        self._head = start
        self._start = start + _HEAD
        self._connections = 0
        self._free = deque(range(lanes))
        self._requests = [0] * lanes
        self._busy = [0] * lanes
        self._shared = 0

    def most_connections(self, now: int) -> int:
        """How many connections the supervisor lets this worker keep; it is told how many there are."""
        if now != self._connections:
            self._connections = now
            _NUMBER.pack_into(self._memory, self._head + _NUMBER.size, now)
        most: int = _NUMBER.unpack_from(self._memory, self._head)[0]
        return most or _MOST_CONNECTIONS

    def begin(self, params: Mapping[str, str]) -> tuple[int, int]:
        """A request begins; give what is returned back to `end`."""
        began = time.monotonic_ns()
        try:
            lane = self._free.pop()
        except IndexError:
            return -1, began  # More than there are lanes: counted, but not shown.
        at = self._start + lane * _LANE.size
        _LINE.pack_into(self._memory, at + _LINE_AT, _line_of(params))
        _BEGAN.pack_into(self._memory, at, began)
        return lane, began

    def end(self, ticket: tuple[int, int]) -> None:
        """The request has ended."""
        lane, began = ticket
        spent = time.monotonic_ns() - began
        if lane < 0:
            # Only an event loop has more requests than lanes, and it ends them one after the other.
            lane = self._shared = (self._shared + 1) % len(self._requests)
            self._requests[lane] += 1
            _COUNTS.pack_into(self._memory, *self._counts(lane, self._began(lane)))
            return
        self._requests[lane] += 1
        self._busy[lane] += spent
        _COUNTS.pack_into(self._memory, *self._counts(lane, 0))
        self._free.append(lane)

    def _began(self, lane: int) -> int:
        began: int = _BEGAN.unpack_from(self._memory, self._start + lane * _LANE.size)[0]
        return began

    def _counts(self, lane: int, began: int) -> tuple[int, int, int, int]:
        return self._start + lane * _LANE.size, began, self._requests[lane], self._busy[lane]


def _line_of(params: Mapping[str, str]) -> bytes:
    """The request as its access line shows it: method and target, in the bytes that came in."""
    target = params.get("REQUEST_URI") or params.get("SCRIPT_NAME", "") + params.get("PATH_INFO", "")
    return f"{params.get('REQUEST_METHOD', '-')} {target}".encode("latin-1", "replace")[: _LINE.size - 1]
