"""This file tests how a generation comes into service, or out of the way, with one pool and no process."""

from __future__ import annotations

import pytest

from penstock.manager.generation import Stage
from penstock.manager.life import State
from penstock.manager.rollout import SETTLE, Rollout
from tests.manager.world import World, world


class Try:
    """A rollout in a world, wired as the supervisor does it."""

    def __init__(self, made: World, number: int, probation: float = 10.0) -> None:
        self.made = made
        self.over: list[str] = []
        self.back: list[str] = []
        self.rollout = Rollout(
            number,
            [made.pool],
            made.reactor,
            probation,
            lambda error, traceback: self.over.append(error),
            self.back.append,
        )
        made.generation_ready = lambda generation: self.rollout.ready()  # type: ignore[method-assign]
        made.generation_failed = lambda pool, generation, error, traceback="": self.rollout.fail(error)  # type: ignore[method-assign]
        made.worker_gone = lambda generation, *, told: None if told else self.rollout.died(generation)  # type: ignore[method-assign]
        self.rollout.begin()

    def boot(self):
        """Its template has imported, its workers are ready."""
        generation = self.made.coming
        self.made.template(generation, "imported", files=[])
        self.made.boot(generation)
        return generation


@pytest.fixture
def made():
    with world("2") as found:
        yield found


@pytest.fixture
def first(made):
    """The first generation, which serves."""
    tried = Try(made, 1)
    return tried.boot()


def test_the_first_serves_as_soon_as_its_workers_are_ready(made):
    tried = Try(made, 1)
    generation = tried.boot()
    assert tried.over == [""]
    assert made.pool.current is generation
    assert generation.gate == -1


def test_a_later_one_has_to_stay_alive_first(made, first):
    tried = Try(made, 2)
    second = tried.boot()
    made.advance(SETTLE / 2)
    assert (made.pool.current, tried.over) == (first, [])
    assert second.gate >= 0
    made.advance(SETTLE)
    assert (made.pool.current, tried.over) == (second, [""])
    assert {worker.state for worker in first.workers.values()} == {State.LEAVING}
    assert {worker.state for worker in second.workers.values()} == {State.SERVING}


def test_one_whose_worker_dies_before_it_serves_is_out_of_the_way(made, first):
    tried = Try(made, 2)
    second = tried.boot()
    made.end(next(iter(second.workers.values())).pid, -11)
    assert tried.over == ["a worker ended with SIGSEGV while it was waiting to serve"]
    assert made.pool.coming is None
    assert made.pool.current is first
    made.advance(60)
    assert made.pool.current is first
    assert {worker.state for worker in first.workers.values()} == {State.SERVING}


@pytest.mark.parametrize("imported", [False, True])
def test_one_whose_template_dies_is_out_of_the_way_whenever_that_is(made, first, imported):
    tried = Try(made, 2)
    second = made.coming
    if imported:
        tried.boot()
    made.end(second.template, -9)
    assert len(tried.over) == 1
    assert "ended with SIGKILL" in tried.over[0]
    assert made.pool.current is first


def test_one_whose_import_takes_too_long_is_out_of_the_way():
    with world("1", boot_timeout=5.0) as made:
        tried = Try(made, 1)
        made.advance(4.9)
        assert tried.over == []
        made.advance(0.2)
        assert tried.over == ["app:app was not imported within 5 s"]


def test_an_import_that_is_over_is_not_late_afterwards():
    with world("1", boot_timeout=5.0) as made:
        tried = Try(made, 1)
        made.advance(4)
        tried.boot()
        made.advance(60)
        assert tried.over == [""]


def test_without_a_limit_an_import_may_take_for_ever():
    with world("1", boot_timeout=0.0) as made:
        tried = Try(made, 1)
        made.advance(100_000)
        made.template(made.coming, "imported")
        made.advance(100_000)
        assert tried.over == []
        made.boot(made.coming)
        assert tried.over == [""]


def test_workers_that_are_never_born_end_the_try(made, first):
    tried = Try(made, 2)
    made.template(made.coming, "imported")
    made.advance(61)
    assert tried.over == ["a worker ended with no sign of life while it was booting"]
    assert made.pool.current is first


def test_a_system_without_room_for_a_process_is_a_reload_that_failed(made, first):
    made.refused = True
    tried = Try(made, 2)
    assert tried.over == ["main: cannot start a process: Resource temporarily unavailable"]
    assert made.pool.coming is None
    assert made.pool.generations() == [first]


def test_one_that_waits_for_slots_gets_them_when_old_workers_have_gone():
    with world("4") as made:
        first = Try(made, 1).boot()
        Try(made, 2).boot()
        made.advance(SETTLE)
        tried = Try(made, 3)
        third = tried.boot()
        assert len(third.workers) == 2  # those of the first still finish what they have
        made.advance(SETTLE)
        assert tried.over == []
        for worker in list(first.workers.values()):
            made.end(worker.pid)
        made.boot(third)
        made.advance(SETTLE)
        assert tried.over == [""]
        assert len(third.those(State.SERVING)) == 4


def test_what_is_wanted_does_not_grow_while_it_boots():
    with world("1..8") as made:
        Try(made, 1).boot()
        tried = Try(made, 2)
        made.template(made.coming, "imported")
        made.pool.staff._sizer.target = 4
        made.pool.reconcile()
        made.boot(made.current)
        second = made.coming
        made.boot(second)
        made.advance(SETTLE)
        assert tried.over == [""]


class TestProbation:
    def kill(self, made: World, generation, times: int) -> None:
        for _ in range(times):
            made.end(next(iter(generation.those(State.SERVING))).pid, -11)
            made.advance(5 if made.orders(generation) else 0)
            made.pool.staff.backoff.reset()
            made.pool.reconcile()
            made.boot(generation)

    def second(self, made: World, probation: float = 60.0):
        tried = Try(made, 2, probation)
        generation = tried.boot()
        made.advance(SETTLE)
        return tried, generation

    def test_one_whose_workers_keep_dying_is_taken_back(self, made, first):
        tried, second = self.second(made)
        self.kill(made, second, 2)
        assert tried.back == []
        made.end(next(iter(second.those(State.SERVING))).pid, -11)
        assert tried.back == ["its workers kept dying (3 in its first seconds)"]
        assert made.pool.current is first
        assert first.stage is Stage.SERVING
        made.boot(first)
        assert len(first.those(State.SERVING)) == 2
        assert not second.those(State.SERVING, State.BOOTING)

    def test_what_serves_again_keeps_its_template_when_the_next_reload_begins(self, made, first):
        tried, second = self.second(made)
        self.kill(made, second, 2)
        made.end(next(iter(second.those(State.SERVING))).pid, -11)
        tried.rollout.end()
        assert first.stage is Stage.SERVING
        made.orders(first)
        assert made.pool.fork(first) or not made.pool._free
        assert made._orders[first].fileno() >= 0

    def test_one_that_cannot_be_taken_back_goes_on(self, made, first):
        tried, second = self.second(made)
        made.end(first.template, -9)
        self.kill(made, second, 4)
        assert tried.back == []
        assert made.pool.current is second

    def test_it_ends(self, made, first):
        tried, second = self.second(made, 2.0)
        made.advance(3)
        assert first.stage is Stage.RETIRED
        self.kill(made, second, 4)
        assert tried.back == []

    def test_one_that_is_told_to_leave_is_no_death(self, made, first):
        tried, _ = self.second(made)
        for worker in list(first.workers.values()):
            made.end(worker.pid)
        assert tried.rollout._deaths == 0


def test_a_template_that_dies_later_is_replaced_by_a_reload_and_tried_again(made, first):
    made.end(first.template, -9)
    assert ("reload", "the template process ended") in made.told
    made.told.clear()
    made.end(next(iter(first.workers.values())).pid, -11)
    made.advance(15)
    assert ("reload", "there is no template process to fork workers from") in made.told


def test_alarms_of_workers_that_have_gone_do_not_ring(made, first):
    for worker in list(first.workers.values()):
        made.write(worker)
        made.end(worker.pid, -9)
        assert not worker.alarm.is_set
    assert made.pool.requests == 2
    assert len(made.pool._free) == made.pool.board.slots - len(first.workers)


def test_requests_are_counted_once_and_never_go_back(made, first):
    for worker in first.workers.values():
        made.write(worker, 10)
    counts = [made.pool.requests]
    for worker in list(first.workers.values()):
        made.end(worker.pid)
        counts.append(made.pool.requests)
    made.boot(first)
    for worker in first.workers.values():
        made.write(worker, 1)
    counts.append(made.pool.requests)
    assert counts == [20, 20, 20, 22]
