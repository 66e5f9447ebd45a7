"""This file waits for descriptors to become readable: epoll, kqueue or `selectors` behind one small interface."""

from __future__ import annotations

import contextlib
import os
import select
import selectors
import threading
from typing import Protocol


class Poller(Protocol):
    """Waits for reading on many descriptors, for one thread or several.

    A shared poller is one-shot: a descriptor that was returned stays silent until `arm` is called for it, so that one
    thread at a time owns it. A single thread needs no such ceremony: descriptors stay armed, `arm` does nothing.
    """

    def add(self, fd: int) -> None:
        """Watch a descriptor, armed."""

    def arm(self, fd: int) -> None:
        """Watch a returned descriptor again; forgiving towards one that has been removed meanwhile."""

    def remove(self, fd: int) -> None:
        """Watch it no more; to be called before it is closed. Forgiving towards one that is not watched."""

    def wait(self, timeout: float | None) -> list[int]:
        """Descriptors that can be read (or have failed); empty after `timeout` seconds; None waits without end."""

    def close(self) -> None:
        """Give the poller's own descriptor back."""


class EpollPoller:
    """Linux."""

    def __init__(self, shared: bool) -> None:
        self._epoll = select.epoll()
        self._shared = shared
        self._mask = select.EPOLLIN | (select.EPOLLONESHOT if shared else 0)
        # Each of several threads takes one event, or it would sit on connections that another thread could serve.
        self._batch = 1 if shared else 64

    def add(self, fd: int) -> None:
        self._epoll.register(fd, self._mask)

    def arm(self, fd: int) -> None:
        if self._shared:
            try:
                self._epoll.modify(fd, self._mask)
            except OSError:
                pass  # On the hot path of a server with threads: suppress() would cost more than the call.

    def remove(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            self._epoll.unregister(fd)

    def wait(self, timeout: float | None) -> list[int]:
        return [fd for fd, _ in self._epoll.poll(timeout, self._batch)]

    def close(self) -> None:
        self._epoll.close()


class KqueuePoller:
    """BSD and macOS."""

    def __init__(self, shared: bool) -> None:
        self._kqueue = select.kqueue()  # type: ignore[attr-defined, unused-ignore]
        self._shared = shared
        once = select.KQ_EV_ONESHOT if shared else 0  # type: ignore[attr-defined, unused-ignore]
        self._flags = select.KQ_EV_ADD | select.KQ_EV_ENABLE | once  # type: ignore[attr-defined, unused-ignore]
        self._batch = 1 if shared else 64

    def _change(self, fd: int, flags: int) -> None:
        event = select.kevent(fd, select.KQ_FILTER_READ, flags)  # type: ignore[attr-defined, unused-ignore]
        self._kqueue.control([event], 0, 0)

    def add(self, fd: int) -> None:
        self._change(fd, self._flags)

    def arm(self, fd: int) -> None:
        if self._shared:
            with contextlib.suppress(OSError):
                self._change(fd, self._flags)

    def remove(self, fd: int) -> None:
        with contextlib.suppress(OSError):
            self._change(fd, select.KQ_EV_DELETE)  # type: ignore[attr-defined, unused-ignore]

    def wait(self, timeout: float | None) -> list[int]:
        return [event.ident for event in self._kqueue.control(None, self._batch, timeout)]

    def close(self) -> None:
        self._kqueue.close()


class SelectorsPoller:
    """Everything else, and a second opinion in the tests.

    A selector may not be changed while another thread waits in it: changes are queued, and a pipe wakes the one thread
    that waits (the others stand behind `_lead`) to apply them.
    """

    def __init__(self, shared: bool) -> None:
        kind = getattr(selectors, "PollSelector", selectors.SelectSelector)
        self._selector: selectors.BaseSelector = kind()
        self._shared = shared
        self._lead = threading.Lock()
        self._lock = threading.Lock()
        self._changes: list[tuple[int, bool]] = []
        self._watched: set[int] = set()
        self._ready: list[int] = []
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)

    def _wake(self) -> None:
        # A full pipe wakes just as well.
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"\0")

    def add(self, fd: int) -> None:
        with self._lock:
            self._watched.add(fd)
            self._changes.append((fd, True))
        self._wake()

    def arm(self, fd: int) -> None:
        if not self._shared:
            return
        with self._lock:
            if fd not in self._watched:
                return  # Its number may be another file's by now.
            self._changes.append((fd, True))
        self._wake()

    def remove(self, fd: int) -> None:
        with self._lock:
            self._watched.discard(fd)
            self._changes.append((fd, False))
        self._wake()

    def _apply_changes(self) -> None:
        with self._lock:
            changes, self._changes = self._changes, []
        for fd, watch in changes:
            # Watched already, or gone already: both are what was asked for.
            with contextlib.suppress(KeyError, ValueError, OSError):
                if watch:
                    self._selector.register(fd, selectors.EVENT_READ)
                else:
                    self._ready = [ready for ready in self._ready if ready != fd]
                    self._selector.unregister(fd)

    def wait(self, timeout: float | None) -> list[int]:
        if not self._lead.acquire(timeout=-1 if timeout is None else timeout):
            return []
        try:
            self._apply_changes()
            if not self._ready:
                for key, _ in self._selector.select(timeout):
                    if key.fd == self._wake_read:
                        os.read(self._wake_read, 65536)
                        continue
                    self._ready.append(key.fd)
                    if self._shared:
                        self._selector.unregister(key.fd)
                self._apply_changes()
            count = 1 if self._shared else len(self._ready)
            ready, self._ready = self._ready[:count], self._ready[count:]
            return ready
        finally:
            self._lead.release()

    def close(self) -> None:
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)


def best_poller(shared: bool) -> Poller:
    """The fastest poller of this system; `shared` when more than one thread waits on it."""
    if hasattr(select, "epoll"):
        return EpollPoller(shared)
    if hasattr(select, "kqueue"):
        return KqueuePoller(shared)
    return SelectorsPoller(shared)
