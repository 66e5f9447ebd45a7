"""This file is how the thread that waits for a server's end is woken: by other threads, and by signals without fail."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from typing import final


class News(Enum):
    """What there is to know."""

    LOOK = "something has happened, such as a signal"
    HURRY = "another signal came while the server stops"
    ENDED = "the server has ended"


@final
class Mailbox:
    """News for one thread.

    A thread that waits for a lock can miss a signal: one that arrives just before, or that the system hands to another
    thread. A pipe that Python itself writes to when a signal comes has no such gap.
    """

    def __init__(self) -> None:
        self._news: deque[News] = deque()
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)

    def __del__(self) -> None:
        # Not earlier: whoever still knows us may put something in, and the number could be another file's by then.
        os.close(self._read)
        os.close(self._write)

    def put(self, news: News) -> None:
        """Leave news, in any thread or signal handler."""
        self._news.append(news)
        with suppress(BlockingIOError):  # it is full: the reader wakes anyway
            os.write(self._write, b"\0")

    def get(self, timeout: float | None = None) -> News | None:
        """Wait for news; None if there are none within so many seconds."""
        if not self._news:
            poll = select.poll()
            poll.register(self._read, select.POLLIN)
            if not poll.poll(None if timeout is None else timeout * 1000):
                return None
        with suppress(BlockingIOError):
            os.read(self._read, 512)
        try:
            return self._news.popleft()
        except IndexError:
            return News.LOOK

    @contextmanager
    def woken_by_signals(self) -> Iterator[None]:
        """Signals wake the reader while the block runs, if that is the main thread; others cannot handle any."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
