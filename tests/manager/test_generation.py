"""This file tests one generation as its supervisor sees it: signals, orders, the gate, and what it leaves open."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys

import pytest

from penstock.manager.generation import Worker, is_child, send_signal
from penstock.manager.life import Event, State
from penstock.manager.reactor import Reactor
from tests.manager.world import child, world


@pytest.fixture
def worker():
    reactor = Reactor()
    made = Worker(0, 1, 5.0, reactor.alarm(lambda: None), reactor.now)
    yield made
    reactor.close()


class TestSignals:
    def test_reach_a_child(self):
        with child() as process:
            assert is_child(process.pid)
            send_signal(process.pid, signal.SIGTERM)
            assert process.wait() == -signal.SIGTERM

    @pytest.mark.parametrize("pid", [0, -1, 1, os.getppid()])
    def test_reach_nobody_else(self, pid, monkeypatch):
        sent = []
        monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
        send_signal(pid, signal.SIGKILL)
        assert not is_child(pid)
        assert sent == []

    def test_one_that_has_been_buried_is_no_child_and_one_that_has_not_is(self):
        pid = os.fork()
        if not pid:
            os._exit(0)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        assert is_child(pid)
        os.waitpid(pid, 0)
        assert not is_child(pid)


class TestANewborn:
    """Its parent is the process that has told of its birth, until that one ends."""

    PARENT = """
import os, sys
os.setpgid(0, 0)
pid = os.fork()
if not pid:
    os.close(1)
    sys.stdin.read()
    os._exit(0)
print(pid, flush=True)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

    @pytest.mark.parametrize(("event", "number"), [(Event.STOP, signal.SIGTERM), (Event.OVERDUE, signal.SIGKILL)])
    def test_is_told_what_a_worker_is_told(self, worker, event, number):
        parent = subprocess.Popen(
            [sys.executable, "-c", self.PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        with parent:
            assert parent.stdout is not None
            worker.pid, worker.group = int(parent.stdout.readline()), parent.pid
            assert not is_child(worker.pid)
            worker.meet(event, 10.0)
            assert int(parent.stdout.readline()) == -number

    def test_of_another_group_is_nobody_of_ours(self, monkeypatch):
        sent = []
        monkeypatch.setattr(os, "kill", lambda *args: sent.append(args))
        send_signal(os.getppid(), signal.SIGKILL, 1)
        assert sent == []


class TestAWorker:
    def test_that_leaves_gets_its_grace_and_a_second(self, worker):
        worker.state = State.SERVING
        worker.meet(Event.DISMISS, 10.0)
        timers = worker.alarm._timers
        assert worker.since == 10.0
        assert 5.5 < timers.earliest() - timers.clock() <= 6.0

    def test_that_has_died_has_no_alarm(self, worker):
        worker.alarm.set(1.0)
        worker.meet(Event.DIED, 10.0)
        assert not worker.alarm.is_set

    def test_that_dies_is_killed_again_some_seconds_later(self, worker):
        worker.meet(Event.OVERDUE, 10.0)
        assert worker.state is State.DYING
        assert worker.alarm.is_set

    def test_what_changes_nothing_does_not_move_its_clock(self, worker):
        worker.meet(Event.READY, 10.0)
        worker.meet(Event.READY, 20.0)
        assert worker.since == 10.0


class TestTheTemplate:
    def test_is_asked_for_a_worker(self):
        with world("1") as made:
            generation = made.come()
            (slot,) = made.orders(generation)
            assert slot in generation.workers

    def test_that_has_gone_is_asked_for_none_though_workers_hold_the_other_end(self):
        with world("1") as made:
            generation = made.serve()
            generation.template = 0
            assert not made.pool.fork(generation)
            assert made.orders(generation) == []

    def test_hears_the_end_even_if_it_does_not_mind_signals(self):
        with world("1") as made:
            generation = made.come()
            made.orders(generation)
            theirs = made._orders[generation]
            generation.end_template()
            assert theirs.recv(100) == b""
            theirs.send(b"still heard")

    def test_that_cannot_be_forked_leaves_nothing_open(self):
        with world("1") as made:
            made.refused = True
            gc.collect()
            before = len(os.listdir("/proc/self/fd"))
            with pytest.raises(BlockingIOError):
                made.pool.begin(1, preload=True)
            made.pool.discard(made.coming)
            assert made.pool.generations() == []
            assert made._theirs is not None
            made._theirs.close()
            assert len(os.listdir("/proc/self/fd")) == before


def test_the_gate_opens_for_those_who_wait_and_those_who_come_later():
    with world("1") as made:
        made.pool.begin(1, preload=True)
        generation = made.coming
        reader, writer = os.pipe()
        os.close(generation.gate)
        generation.gate = writer
        os.set_blocking(reader, False)
        with pytest.raises(BlockingIOError):
            os.read(reader, 1)
        generation.open_gate()
        generation.open_gate()
        assert os.read(reader, 1) == b""
        os.close(reader)


def test_fifty_generations_leave_no_descriptor_and_no_slot_behind():
    with world("3") as made:
        made.serve(1)
        gc.collect()
        before = len(os.listdir("/proc/self/fd"))
        for number in range(2, 52):
            former = made.current
            made.serve(number)
            former.end_template()
            for worker in list(former.workers.values()):
                assert made.end(worker.pid)
            assert made.end(former.template)
            made._orders.pop(former).close()
            assert made.pool.generations() == [made.current]
        assert len(os.listdir("/proc/self/fd")) == before
        assert len(made.pool._free) == made.pool.board.slots - 3
        assert isinstance(made.current.events, socket.socket)
