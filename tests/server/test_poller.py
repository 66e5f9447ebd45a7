"""Tests of the pollers: each kind keeps the same promises, for one thread and for several."""

from __future__ import annotations

import os
import select
import socket
import threading

import pytest

from penstock.server.poller import EpollPoller, KqueuePoller, SelectorsPoller, best_poller
from tests.processes import PATIENCE

KINDS: list[type] = [SelectorsPoller]
if hasattr(select, "epoll"):
    KINDS.append(EpollPoller)
if hasattr(select, "kqueue"):
    KINDS.append(KqueuePoller)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def kind(request):
    return request.param


@pytest.fixture
def open_poller(kind):
    made = []

    def make(shared: bool):
        made.append(kind(shared))
        return made[-1]

    yield make
    for poller in made:
        poller.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def other_pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def take(poller, fd: int, timeout: float = PATIENCE) -> list[int]:
    """Wait until the poller names `fd`; it may return with nothing before, to look at changes."""
    waited = threading.Event()
    timer = threading.Timer(timeout, waited.set)
    timer.start()
    try:
        while not waited.is_set():
            found = poller.wait(timeout)
            if found:
                return found
        return []
    finally:
        timer.cancel()


def silent(poller) -> bool:
    """Nothing is ready, now and when asked again."""
    return not any(poller.wait(0) for _ in range(3))


@pytest.mark.parametrize("shared", [False, True])
class TestAnyPoller:
    def test_nothing_is_ready_before_something_can_be_read(self, open_poller, pair, shared):
        poller = open_poller(shared)
        poller.add(pair[0].fileno())
        assert silent(poller)
        pair[1].send(b"x")
        assert take(poller, pair[0].fileno()) == [pair[0].fileno()]

    def test_what_was_ready_before_it_was_added_is_seen(self, open_poller, pair, shared):
        poller = open_poller(shared)
        pair[1].send(b"x")
        poller.add(pair[0].fileno())
        assert take(poller, pair[0].fileno()) == [pair[0].fileno()]

    def test_the_end_of_the_stream_can_be_read_too(self, open_poller, pair, shared):
        poller = open_poller(shared)
        poller.add(pair[0].fileno())
        pair[1].close()
        assert take(poller, pair[0].fileno()) == [pair[0].fileno()]

    def test_what_was_removed_is_silent_and_may_be_removed_again(self, open_poller, pair, shared):
        poller = open_poller(shared)
        fd = pair[0].fileno()
        poller.add(fd)
        pair[1].send(b"x")
        poller.remove(fd)
        poller.remove(fd)
        assert silent(poller)

    def test_what_was_removed_while_it_was_ready_is_not_handed_out(self, open_poller, pair, other_pair, shared):
        poller = open_poller(shared)
        fds = [pair[0].fileno(), other_pair[0].fileno()]
        for fd in fds:
            poller.add(fd)
        pair[1].send(b"x")
        other_pair[1].send(b"x")
        found = take(poller, fds[0])
        for fd in fds:
            poller.remove(fd)
        assert set(found) <= set(fds)
        assert silent(poller)

    def test_arming_what_was_removed_does_nothing(self, open_poller, pair, shared):
        poller = open_poller(shared)
        fd = pair[0].fileno()
        poller.add(fd)
        pair[1].send(b"x")
        take(poller, fd)
        poller.remove(fd)
        poller.arm(fd)
        assert silent(poller)

    def test_a_number_that_comes_again_is_a_new_descriptor(self, open_poller, shared):
        poller = open_poller(shared)
        for _ in range(5):
            ours, theirs = socket.socketpair()
            with ours, theirs:
                fd = ours.fileno()
                poller.add(fd)
                theirs.send(b"x")
                assert take(poller, fd) == [fd]
                poller.remove(fd)
        assert silent(poller)

    def test_a_descriptor_can_be_added_while_a_thread_waits(self, open_poller, pair, shared):
        poller = open_poller(shared)
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.extend(take(poller, pair[0].fileno())))
        thread.start()
        poller.add(pair[0].fileno())
        pair[1].send(b"x")
        thread.join(PATIENCE)
        assert found == [pair[0].fileno()]

    def test_waiting_ends_in_time_when_nothing_comes(self, open_poller, pair, shared):
        poller = open_poller(shared)
        poller.add(pair[0].fileno())
        assert poller.wait(0.01) == []
        assert poller.wait(0) == []

    def test_it_gives_its_descriptors_back(self, kind, shared):
        before = len(os.listdir("/proc/self/fd"))
        poller = kind(shared)
        assert len(os.listdir("/proc/self/fd")) > before
        poller.close()
        assert len(os.listdir("/proc/self/fd")) == before


class TestPollerOfOneThread:
    def test_a_descriptor_stays_armed(self, open_poller, pair):
        poller = open_poller(False)
        fd = pair[0].fileno()
        poller.add(fd)
        pair[1].send(b"x")
        for _ in range(3):
            assert take(poller, fd) == [fd]

    def test_many_ready_descriptors_come_at_once(self, open_poller, pair, other_pair):
        poller = open_poller(False)
        fds = {pair[0].fileno(), other_pair[0].fileno()}
        pair[1].send(b"x")
        other_pair[1].send(b"x")
        for fd in fds:
            poller.add(fd)
        assert set(take(poller, pair[0].fileno())) == fds


class TestSharedPoller:
    def test_a_descriptor_is_handed_out_once_until_it_is_armed(self, open_poller, pair):
        poller = open_poller(True)
        fd = pair[0].fileno()
        poller.add(fd)
        pair[1].send(b"x")
        for _ in range(3):
            assert take(poller, fd) == [fd]
            assert silent(poller)
            pair[1].send(b"more")
            assert silent(poller)
            poller.arm(fd)

    def test_each_thread_gets_one_of_the_ready_descriptors(self, open_poller):
        poller = open_poller(True)
        pairs = [socket.socketpair() for _ in range(4)]
        found: list[list[int]] = []
        met = threading.Barrier(4, timeout=PATIENCE)

        def wait() -> None:
            found.append(take(poller, -1))
            met.wait()  # nobody asks twice before everybody has had one

        threads = [threading.Thread(target=wait) for _ in pairs]
        for ours, _ in pairs:
            poller.add(ours.fileno())
        for thread in threads:
            thread.start()
        for _, theirs in pairs:
            theirs.send(b"x")
        for thread in threads:
            thread.join(PATIENCE)
        assert sorted(found) == sorted([ours.fileno()] for ours, _ in pairs)
        for ours, theirs in pairs:
            poller.remove(ours.fileno())
            ours.close()
            theirs.close()

    def test_arming_wakes_a_thread_that_waits_already(self, open_poller, pair):
        poller = open_poller(True)
        fd = pair[0].fileno()
        poller.add(fd)
        pair[1].send(b"x")
        assert take(poller, fd) == [fd]
        found: list[int] = []
        thread = threading.Thread(target=lambda: found.extend(take(poller, fd)))
        thread.start()
        poller.arm(fd)
        thread.join(PATIENCE)
        assert found == [fd]


def test_the_best_poller_of_linux_is_epoll():
    poller = best_poller(True)
    poller.close()
    assert isinstance(poller, EpollPoller) == hasattr(select, "epoll")
