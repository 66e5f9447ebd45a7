"""This file tests what is concluded from what processes say; a hostile one may say anything, and harms nobody else."""

from __future__ import annotations

import os
import signal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.manager.generation import Stage
from penstock.manager.life import State
from penstock.manager.template import MOST_FILES
from tests.manager.world import child, world

EVENTS = ("files", "imported", "threads", "unborn", "failed", "born", "ready", "used up", "?")


@pytest.fixture
def booting():
    """A world whose first generation has imported its application and has had two workers ordered."""
    with world("2") as made:
        yield made, made.come()


def test_an_import_orders_as_many_workers_as_have_to_be_ready(booting):
    made, generation = booting
    assert generation.stage is Stage.BOOTING
    assert len(made.orders(generation)) == generation.wanted == 2


def test_a_second_import_orders_nobody(booting):
    made, generation = booting
    made.orders(generation)
    made.template(generation, "imported")
    assert made.orders(generation) == []


def test_the_files_of_an_application_may_come_in_several_messages_until_it_is_imported():
    with world("1") as made:
        made.pool.begin(1, preload=True)
        generation = made.coming
        made.template(generation, "files", files=["/one", "/two"])
        made.template(generation, "files", files=["/three", 4])
        assert generation.files == ("/one", "/two", "/three")
        made.template(generation, "imported")
        made.template(generation, "files", files=["/other"])
        assert generation.files == ("/one", "/two", "/three")


def test_of_endless_files_the_first_ones_are_kept():
    with world("1") as made:
        made.pool.begin(1, preload=True)
        generation = made.coming
        for number in range(5):
            made.template(generation, "files", files=[f"/{number}.{place}" for place in range(900)])
        assert len(generation.files) == MOST_FILES


def test_a_generation_is_ready_with_its_last_worker(booting):
    made, generation = booting
    one, other = made.bear(generation)
    made.worker(generation, one.pid, "ready", slot=one.slot, capacity=4)
    assert made.told == []
    made.worker(generation, other.pid, "ready", slot=other.slot)
    assert made.told == [("ready", 1)]
    assert (one.capacity, other.capacity) == (4, 1)


class TestABirth:
    def test_is_told_by_the_process_between(self, booting):
        made, generation = booting
        slot, _ = made.orders(generation)
        with child() as process:
            generation.template = process.pid
            with child(process.pid) as newborn:
                made.worker(generation, 1, "born", slot=slot, pid=newborn.pid)
                assert generation.workers[slot].pid == newborn.pid

    def test_of_a_process_of_another_group_is_not_believed(self, booting):
        made, generation = booting
        slot, _ = made.orders(generation)
        with child() as process, child() as stranger:
            generation.template = process.pid
            for pid in (1, os.getpid(), stranger.pid, process.pid, 0, -1, 1 << 31, (1 << 31) - 1, True, "7", None):
                made.worker(generation, process.pid, "born", slot=slot, pid=pid)
            assert generation.workers[slot].pid == 0
            assert stranger.poll() is None

    def test_of_one_process_in_two_slots_is_believed_once(self, booting):
        made, generation = booting
        one, other = made.orders(generation)
        with child() as process, child(process.pid) as newborn:
            generation.template = process.pid
            made.worker(generation, process.pid, "born", slot=one, pid=newborn.pid)
            made.worker(generation, newborn.pid, "ready", slot=other)
            made.worker(generation, newborn.pid, "born", slot=other, pid=newborn.pid)
            assert generation.workers[one].pid == newborn.pid
            assert generation.workers[other].pid == 0
            assert newborn.poll() is None

    def test_that_comes_after_its_place_was_given_up_is_the_end_of_that_worker(self, booting):
        made, generation = booting
        slot, _ = made.orders(generation)
        made.pool.stopping = True  # so that nobody else is to come there
        made.pool.died(generation, generation.workers[slot], "no sign of life")
        with child() as process, child(process.pid) as newborn:
            generation.template = process.pid
            made.worker(generation, process.pid, "born", slot=slot, pid=newborn.pid)
            assert newborn.wait() == -signal.SIGKILL

    def test_that_comes_after_its_dismissal_is_the_end_of_that_worker(self, booting):
        made, generation = booting
        slot, _ = made.orders(generation)
        made.pool.discard(generation)
        with child() as process, child(process.pid) as newborn:
            generation.template = process.pid
            made.worker(generation, process.pid, "born", slot=slot, pid=newborn.pid)
            assert newborn.wait() == -signal.SIGKILL
        assert generation.workers[slot].state is State.LEAVING
        generation.template = 0

    def test_may_be_told_after_the_worker_itself_has_spoken(self, booting):
        made, generation = booting
        slot, _ = made.orders(generation)
        with child() as process, child(process.pid) as newborn:
            generation.template = process.pid
            made.worker(generation, newborn.pid, "ready", slot=slot)
            made.worker(generation, process.pid, "born", slot=slot, pid=newborn.pid)
            worker = generation.workers[slot]
            assert (worker.pid, worker.state) == (newborn.pid, State.SERVING)
            assert newborn.poll() is None


def test_one_that_could_not_be_forked_ends_the_try(booting, caplog):
    made, generation = booting
    slot, _ = made.orders(generation)
    made.template(generation, "unborn", slot=slot, error="cannot fork: \x1b[31m\nnow")
    assert ("failed", "a worker ended with unborn while it was booting") in made.told
    assert "\x1b" not in caplog.text


def test_a_worker_that_lives_is_not_unborn(booting):
    made, generation = booting
    worker, _ = made.bear(generation)
    made.template(generation, "unborn", slot=worker.slot)
    assert worker.slot in generation.workers


def test_a_worker_says_once_that_it_has_failed(caplog):
    with world("1") as made:
        generation = made.serve()
        made.end(next(iter(generation.workers.values())).pid, -9)
        made.told.clear()
        made.advance(1)
        (worker,) = made.bear(generation)
        for _ in range(1000):
            made.worker(generation, worker.pid, "failed", slot=worker.slot, error="no database", traceback="Traceback")
        assert caplog.text.count("no database") == 1
        assert made.told == []


def test_a_worker_that_serves_cannot_have_failed_to_start(caplog):
    with world("1") as made:
        generation = made.serve()
        (worker,) = generation.workers.values()
        made.worker(generation, worker.pid, "failed", slot=worker.slot, error="again")
        assert "again" not in caplog.text


def test_what_the_template_of_a_generation_that_serves_says_fails_nothing():
    with world("1") as made:
        generation = made.serve()
        made.told.clear()
        for event in ("failed", "threads"):
            made.template(generation, event, error="x", names=["a"])
        assert made.told == []
        assert made.pool.current is generation


class TestThreadsAtImport:
    def test_let_the_workers_import_for_themselves(self, caplog):
        with world("1") as made:
            made.pool.begin(1, preload=True)
            first = made.coming
            made.template(first, "threads", names=["pool-1", "not Python's"])
            second = made.coming
            assert second is not first
            assert second.number == 1
            assert second.nest is not None
            assert not second.nest.preload
            assert "pool-1, not Python's" in caplog.text
            assert made.end(first.template)
            assert made.told == []
            assert made.pool.generations() == [second]

    def test_are_refused_where_preloading_is_wanted(self):
        with world("1") as made:
            made.pool.plan = made.pool.plan.__class__("main", "app:app", preload="yes")
            made.pool.begin(1, preload=True)
            made.template(made.coming, "threads", names=["pool-1"])
            ((event, error),) = made.told
            assert event == "failed"
            assert "(pool-1)" in error

    def test_a_process_that_cannot_be_forked_then_fails_the_generation(self):
        with world("1") as made:
            made.pool.begin(1, preload=True)
            made.refused = True
            made.template(made.coming, "threads", names=["pool-1"])
            assert made.told == [("failed", "cannot start a process: Resource temporarily unavailable")]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.sampled_from(EVENTS),
            st.dictionaries(
                st.sampled_from(["slot", "pid", "capacity", "why", "error", "files"]),
                st.integers(-2, 9) | st.integers() | st.text() | st.none() | st.lists(st.text()),
            ),
        ),
        max_size=30,
    )
)
def test_whatever_is_said_no_slot_is_lost_and_no_worker_but_the_speaker_changes(said):
    with world("2") as made:
        generation = made.serve()
        one, other = generation.workers.values()
        for who, event, content in said:
            pid = (one.pid, 0, 1, os.getpid())[who]
            made.worker(generation, pid, event, **content)
            assert (other.state, other.used_up, other.capacity) == (State.SERVING, "", 1)
        used = [worker.slot for worker in made.pool.workers()]
        assert sorted(used + made.pool._free) == list(range(made.pool.board.slots))
