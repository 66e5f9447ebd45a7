"""This file tests that a connection stays armed however the threads meet that have it and those that get its events."""

from __future__ import annotations

import socket
import threading
from contextlib import closing

from penstock.connection.application import ApplicationConnection
from penstock.server.channel import Channel
from penstock.server.timers import Timers
from tests.processes import PATIENCE


class OneShotHub:
    """A server whose poller reports the first event to another thread before the call that began the watch returns."""

    def __init__(self) -> None:
        self.timers = Timers()
        self.io_timeout = 10.0
        self.shared = True
        self.crowded = False
        self.armed = False
        self.met = threading.Event()
        self.other: threading.Thread

    def watch(self, fd, on_ready):
        # The event has come to the other thread, which has found nothing to read and is done with the connection.
        self.other.start()
        assert self.met.wait(PATIENCE)

    def rearm(self, fd):
        self.armed = True

    def unwatch(self, fd):
        self.armed = False

    def give_away(self, sock):
        return False

    def discard(self, channel):
        pass


class TellingLock:
    """A lock that tells when somebody has to wait for it."""

    def __init__(self, waits: threading.Event) -> None:
        self._lock = threading.Lock()
        self._waits = waits

    def __enter__(self) -> None:
        if not self._lock.acquire(blocking=False):
            self._waits.set()
            assert self._lock.acquire(timeout=PATIENCE)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_thread_that_meets_it_while_another_begins_to_watch_it_arms_it_again():
    ours, theirs = socket.socketpair()
    hub = OneShotHub()
    with closing(theirs):
        channel = Channel(ours, ApplicationConnection(), hub)  # type: ignore[arg-type]
        channel._lock = TellingLock(hub.met)  # type: ignore[assignment]
        hub.other = threading.Thread(target=channel.rest)
        channel.rest()
        hub.other.join(PATIENCE)
        assert hub.armed, "the event that came to the other thread was the last one"
        channel.close()
