"""This file is the way out of one connection: whole records, one after another, as fast as the peer takes them."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, final

from penstock.gateways.request import Disconnected

if TYPE_CHECKING:
    from penstock.server.pump import Pump
    from penstock.server.tracing import Trace

_DONTWAIT: Final = socket.MSG_DONTWAIT

MOST_ANSWERS: Final = 65536
"""Bytes of answers that may wait behind a response; who asks that much and reads nothing is no web server."""


@final
class Outlet:
    """Writes to a socket for any number of threads.

    Args:
        sock: the connection.
        timeout: seconds that the peer may take nothing.
        trace: is shown what goes out.

    Attributes:
        broken: nothing more can be sent.
        pump: moves input on while a write has to wait; None where bodies are not streamed.
    """

    __slots__ = ("_answers", "_fd", "_lock", "_sock", "_timeout", "_trace", "broken", "pump")

    def __init__(self, sock: socket.socket, timeout: float, trace: Trace | None) -> None:
        self._sock = sock
        self._fd = sock.fileno()
        self._timeout = timeout
        self._trace = trace
        self._lock = threading.Lock()
        self._answers: deque[bytes] = deque()
        self.broken = False
        self.pump: Pump | None = None

    def send(self, data: bytes) -> None:
        """Send whole records, waiting for the peer to take them.

        Raises:
            Disconnected: the peer is gone, or took nothing for too long.
        """
        with self._lock:
            self._send(data)
        # Whoever holds the lock looks for answers again after letting go of it, so none stays behind.
        while self._answers and self._lock.acquire(blocking=False):
            try:
                self._send(self._take_answers())
            finally:
                self._lock.release()

    def answer(self, data: bytes) -> bool:
        """Send whole records without waiting; behind those that are just being sent, if there are any.

        A thread that waited here could be held by one peer, which asks and does not read.

        Returns:
            Whether there was room for them; if not, the outlet is broken.
        """
        self._answers.append(data)
        while self._answers and self._lock.acquire(blocking=False):
            try:
                data = self._take_answers()
                if self._trace is not None:
                    self._trace.outbound(data)
                if not self.broken and self._sock.send(data, _DONTWAIT) != len(data):
                    self.broken = True
            except OSError:
                self.broken = True
            finally:
                self._lock.release()
        if self._answers and sum(map(len, list(self._answers))) > MOST_ANSWERS:
            self.broken = True
        return not self.broken

    def _take_answers(self) -> bytes:
        return b"".join(self._answers.popleft() for _ in range(len(self._answers)))

    def _send(self, data: bytes) -> None:
        if self.broken:
            raise Disconnected("the web server has closed the connection")
        if self._trace is not None:
            self._trace.outbound(data)
        try:
            sent = self._sock.send(data, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            raise self._gone(error) from None
        if sent != len(data):
            self._send_rest(memoryview(data)[sent:])

    def _send_rest(self, rest: memoryview) -> None:
        poll = select.poll()
        while rest:
            # Some web servers send the whole body before they read a byte of the response, so input has to move too.
            pump = self.pump if self.pump is not None and self.pump.wanted else None
            poll.register(self._fd, select.POLLOUT | (select.POLLIN if pump is not None else 0))
            ready = poll.poll(self._timeout * 1000)
            if not ready:
                self.broken = True
                raise Disconnected(f"the web server has taken no output for {self._timeout:g} s")
            if pump is not None and ready[0][1] & select.POLLIN:
                pump.move()
            try:
                rest = rest[self._sock.send(rest, _DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise self._gone(error) from None

    def _gone(self, error: OSError) -> Disconnected:
        self.broken = True
        return Disconnected(f"the web server has closed the connection ({error.strerror})")
