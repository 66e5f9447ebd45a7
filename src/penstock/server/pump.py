"""This file moves a connection's input on for handlers that read their body while it arrives."""

from __future__ import annotations

import select
import threading
from collections.abc import Callable
from typing import Protocol, final


class Source(Protocol):
    """What a pump needs of its connection.

    Attributes:
        fd: the descriptor to read.
        reading: held by whoever takes input in.
    """

    fd: int
    reading: threading.RLock

    @property
    def over(self) -> bool:
        """Nothing more is read."""

    def rest(self) -> None:
        """Go back to the poller."""


class Reader(Protocol):
    """A handler's body.

    Attributes:
        pumps: whether it still needs the pump.
    """

    pumps: bool

    @property
    def starving(self) -> bool:
        """Nothing can be read before more has arrived."""


@final
class Pump:
    """The only reader of a connection as long as one of its handlers may want more of its body.

    One handler at a time waits for the socket, for all of them; what arrives may be for another.

    Args:
        source: the connection.
        take_in: reads once, without waiting; called with `source.reading` held.
        timeout: seconds to wait for input.

    Attributes:
        readers: how many handlers have not had all of their body; guarded by `source.reading`.
    """

    __slots__ = ("_arrived", "_source", "_take_in", "_timeout", "_waiting", "readers")

    def __init__(self, source: Source, take_in: Callable[[], None], timeout: float) -> None:
        self._source = source
        self._take_in = take_in
        self._timeout = timeout
        self._arrived = threading.Condition(source.reading)
        self._waiting = False
        self.readers = 0

    @property
    def wanted(self) -> bool:
        """Input has to move on, even while a handler waits for something else."""
        return self.readers > 0 and not self._source.over

    def join(self, reader: Reader) -> None:
        """This handler reads its body through the pump; to be called with `source.reading` held."""
        reader.pumps = True
        self.readers += 1

    def leave(self, reader: Reader) -> None:
        """This handler reads no more, unless it said so before; the last one leaves the poller the connection."""
        with self._source.reading:
            if reader.pumps:
                reader.pumps = False
                self.readers -= 1
                self._source.rest()

    def move(self) -> None:
        """Take in what has arrived, if anything has and nobody is at it."""
        reading = self._source.reading
        if self.wanted and reading.acquire(blocking=False):
            try:
                # Whoever waits for the socket must find what has come, or would go on waiting for it.
                if not self._waiting:
                    self._take_in()
                    self._arrived.notify_all()
            finally:
                reading.release()

    def wait(self, reader: Reader) -> bool:
        """Wait until there is something for this handler, or never will be; false if nothing came for too long."""
        with self._arrived:
            while reader.starving:
                if self._waiting:
                    self._arrived.wait()
                    continue
                came = self._wait_for_input()
                if came:
                    self._take_in()
                # Also when nothing came: another one has to wait for the socket now.
                self._arrived.notify_all()
                if not came and reader.starving:
                    return False
        return True

    def _wait_for_input(self) -> bool:
        poll = select.poll()
        poll.register(self._source.fd, select.POLLIN)
        self._waiting = True
        self._source.reading.release()
        try:
            return bool(poll.poll(self._timeout * 1000))
        finally:
            self._source.reading.acquire()
            self._waiting = False
