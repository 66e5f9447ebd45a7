"""This file tests the supervisor's loop: nothing that happens in a callback ends it."""

from __future__ import annotations

import os
import signal
import socket

import pytest

from penstock.manager.reactor import Reactor


@pytest.fixture
def reactor():
    made = Reactor()
    yield made
    made.close()


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def stop(reactor: Reactor) -> None:
    reactor.stopped = True


def test_what_can_be_read_is_told_until_nobody_watches(reactor, pair):
    ours, theirs = pair
    got = []

    def read() -> None:
        got.append(ours.recv(1))
        if len(got) == 3:
            reactor.forget(ours)
            reactor.alarm(lambda: stop(reactor)).set(0.01)

    reactor.watch(ours, read)
    theirs.send(b"12345")
    reactor.run()
    assert got == [b"1", b"2", b"3"]


def test_what_can_be_written_is_told_after_what_can_be_read(reactor, pair):
    ours, _ = pair
    order = []

    def write() -> None:
        order.append("write")
        stop(reactor)

    reactor.watch(ours, lambda: order.append("read"))
    reactor.watch(ours, write, write=True)
    reactor.run()
    assert order == ["write"]


def test_forgetting_twice_or_what_is_closed_is_harmless(reactor, pair):
    ours, _ = pair
    reactor.forget(ours)
    reactor.watch(ours, lambda: None)
    ours.close()
    reactor.forget(ours)
    reactor.forget(ours)


def test_a_callback_that_raises_is_logged_and_the_loop_goes_on(reactor, pair, caplog):
    ours, theirs = pair

    end = reactor.alarm(lambda: stop(reactor))

    def read() -> None:
        if ours.recv(1) == b"2":
            end.set(0)
        raise RuntimeError("a surprise")

    reactor.watch(ours, read)
    theirs.send(b"12")
    reactor.alarm(lambda: 1 // 0).set(0)
    reactor.run()
    assert caplog.text.count("RuntimeError: a surprise") == 2
    assert "ZeroDivisionError" in caplog.text
    assert "fault of penstock" in caplog.text


def test_what_is_no_error_leaves_the_loop(reactor):
    class Became(BaseException):
        pass

    def leave() -> None:
        raise Became

    reactor.alarm(leave).set(0)
    with pytest.raises(Became):
        reactor.run()


class TestAlarms:
    def test_ring_once_in_the_order_of_their_times(self, reactor):
        rung = []
        for name, seconds in (("b", 0.02), ("a", 0.01), ("c", 0.03)):
            reactor.alarm(lambda name=name: rung.append(name)).set(seconds)
        reactor.alarm(lambda: stop(reactor)).set(0.04)
        reactor.run()
        assert rung == ["a", "b", "c"]

    def test_a_moved_one_rings_at_its_new_time_alone(self, reactor):
        rung = []
        alarm = reactor.alarm(lambda: rung.append(reactor.now))
        began = reactor.now
        alarm.set(0.0)
        alarm.set(0.03)
        reactor.alarm(lambda: stop(reactor)).set(0.05)
        reactor.run()
        (at,) = rung
        assert at - began >= 0.03

    def test_a_cleared_one_does_not_ring(self, reactor):
        rung = []
        alarm = reactor.alarm(lambda: rung.append(1))
        alarm.set(0.0)
        alarm.clear()
        reactor.alarm(lambda: stop(reactor)).set(0.01)
        reactor.run()
        assert not rung

    def test_one_that_another_clears_at_the_same_moment_does_not_ring(self, reactor):
        rung = []
        second = reactor.alarm(lambda: rung.append("second"))
        third = reactor.alarm(lambda: rung.append("third"))

        def first() -> None:
            rung.append("first")
            second.clear()
            third.set(0.02)

        for alarm in (reactor.alarm(first), second, third, reactor.alarm(lambda: stop(reactor))):
            alarm.set(0)
        reactor.run()
        assert rung == ["first"]
        reactor.stopped = False
        reactor.alarm(lambda: stop(reactor)).set(0.05)
        reactor.run()
        assert rung == ["first", "third"]

    def test_one_may_set_itself_again(self, reactor):
        rung = []

        def again() -> None:
            rung.append(1)
            alarm.set(0) if len(rung) < 3 else stop(reactor)

        alarm = reactor.alarm(again)
        alarm.set(0)
        reactor.run()
        assert len(rung) == 3


class TestSignals:
    def test_are_obeyed_in_the_loop(self, reactor):
        seen = []

        def obey() -> None:
            seen.append(signal.SIGUSR2)
            stop(reactor)

        reactor.obey(signal.SIGUSR2, obey)
        os.kill(os.getpid(), signal.SIGUSR2)
        assert not seen
        reactor.run()
        assert seen == [signal.SIGUSR2]

    def test_what_obeys_one_may_fail(self, reactor, caplog):
        reactor.obey(signal.SIGUSR2, lambda: 1 // 0)
        reactor.obey(signal.SIGWINCH, lambda: stop(reactor))
        os.kill(os.getpid(), signal.SIGUSR2)
        os.kill(os.getpid(), signal.SIGWINCH)
        reactor.run()
        assert "ZeroDivisionError" in caplog.text

    def test_that_a_child_gets_as_it_is_forked_are_not_obeyed_here(self, reactor, monkeypatch):
        fork, heard = os.fork, []

        def fork_and_be_told_to_end() -> int:
            pid = fork()
            if not pid:
                os.kill(os.getpid(), signal.SIGTERM)
            return pid

        monkeypatch.setattr(os, "fork", fork_and_be_told_to_end)
        reactor.obey(signal.SIGTERM, lambda: heard.append(signal.SIGTERM))
        pid = reactor.fork()
        if not pid:
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
        reactor.alarm(lambda: stop(reactor)).set(0)
        reactor.run()
        assert heard == []

    def test_have_their_old_meaning_afterwards(self):
        before = signal.getsignal(signal.SIGUSR2)
        descriptors = len(os.listdir("/proc/self/fd"))
        reactor = Reactor()
        reactor.obey(signal.SIGUSR2, lambda: None)
        assert signal.getsignal(signal.SIGUSR2) is not before
        reactor.close()
        assert signal.getsignal(signal.SIGUSR2) is before
        assert signal.set_wakeup_fd(-1) == -1
        assert len(os.listdir("/proc/self/fd")) == descriptors
