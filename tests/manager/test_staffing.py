"""This file tests that a pool comes to the number of workers that is wanted, and replaces those that are used up."""

from __future__ import annotations

import pytest

from penstock.manager.life import State
from tests.manager.world import World, world


def states(made: World) -> list[str]:
    return sorted(worker.state.value for worker in made.pool.workers())


def keep_busy(made: World, *workers) -> None:
    """A request in each of them, that runs on."""
    for worker in workers:
        made.pool.board.lanes(worker.slot).begin({})


class TestAFixedPool:
    def test_gets_back_who_has_died(self):
        with world("2") as made:
            generation = made.serve()
            worker = next(iter(generation.workers.values()))
            made.write(worker)
            made.end(worker.pid, -9)
            made.boot(generation)
            assert states(made) == ["serving"] * 2

    def test_waits_for_those_who_boot(self):
        with world("3") as made:
            generation = made.serve()
            made.write(next(iter(generation.workers.values())))
            made.end(next(iter(generation.workers.values())).pid, -9)
            assert len(made.orders(generation)) == 1
            for _ in range(5):
                made.pool.reconcile()
            assert made.orders(generation) == []


class TestARange:
    def test_grows_while_there_is_work(self):
        with world("1..8") as made:
            generation = made.serve()
            keep_busy(made, *generation.workers.values())
            made.pool.staff._sizer.target = 3
            made.pool.reconcile()
            made.boot(generation)
            assert states(made) == ["serving"] * 3

    def test_shrinks_to_its_least_one_at_a_time_and_the_idle_ones_go(self):
        with world("1..8", worker_idle=10.0) as made:
            generation = made.serve()
            made.pool.staff._sizer.target = 4
            made.pool.reconcile()
            made.boot(generation)
            busy = next(iter(generation.workers.values()))
            keep_busy(made, busy)
            made.advance(9)
            assert states(made) == ["serving"] * 4
            made.advance(60)
            assert busy.state is State.SERVING
            assert states(made).count("serving") in (1, 2)

    @pytest.mark.parametrize("workers", ["0..1", "0..4"])
    def test_that_may_be_empty_becomes_empty(self, workers):
        with world(workers, worker_idle=5.0) as made:
            generation = made.serve()
            assert states(made) == ["serving"]
            made.advance(30)
            assert states(made) == ["leaving"]
            made.end(generation.those(State.LEAVING)[0].pid)
            assert made.orders(generation) == []

    def test_that_is_empty_gets_a_worker_when_somebody_comes(self):
        with world("0..4", worker_idle=5.0) as made:
            generation = made.serve()
            made.advance(30)
            made.end(generation.those(State.LEAVING)[0].pid)
            made.pool.staff._on_newcomer()
            assert len(made.orders(generation)) == 1


class TestUsedUp:
    def test_one_is_replaced_first_and_leaves_then(self):
        with world("4") as made:
            generation = made.serve()
            worn = list(generation.workers.values())
            for worker in worn:
                made.worker(generation, worker.pid, "used up", slot=worker.slot, why="1000 requests")
            (successor,) = made.bear(generation)
            assert [worker.state for worker in worn] == [State.SERVING] * 4
            made.worker(generation, successor.pid, "ready", slot=successor.slot)
            assert sorted(worker.state.value for worker in worn) == ["leaving"] + ["serving"] * 3

    def test_all_are_replaced_one_after_the_other(self):
        with world("4") as made:
            generation = made.serve()
            worn = list(generation.workers.values())
            for worker in worn:
                made.worker(generation, worker.pid, "used up", slot=worker.slot, why="old")
            for _ in range(4):
                made.boot(generation)
                (leaving,) = generation.those(State.LEAVING)
                made.end(leaving.pid)
            assert not set(worn) & set(generation.workers.values())
            assert states(made) == ["serving"] * 4
            assert made.orders(generation) == []

    def test_after_a_lifetime(self):
        with world("1", max_lifetime=100.0) as made:
            generation = made.serve()
            made.advance(111)
            made.boot(generation)
            assert states(made) == ["leaving", "serving"]

    def test_what_it_says_more_than_once_changes_nothing(self):
        with world("1", max_lifetime=100.0) as made:
            generation = made.serve()
            (worker,) = generation.workers.values()
            for _ in range(20):
                made.worker(generation, worker.pid, "used up", slot=worker.slot, why="x" * 5000)
            assert len(worker.used_up) <= 80
            assert len(made.orders(generation)) == 1


class TestWorkersThatDieAtOnce:
    def broken(self, made: World, seconds: float) -> list[float]:
        """The times at which workers are forked that die as soon as they serve."""
        generation = made.serve()
        first = made.time
        for worker in list(generation.workers.values()):
            made.end(worker.pid, -11)
        times: list[float] = []
        while made.time < first + seconds:
            for worker in made.boot(generation):
                times.append(made.time - first)
                made.end(worker.pid, -11)
            made.advance(0.1)
        return times

    def test_are_forked_less_and_less_often(self):
        with world("4") as made:
            times = self.broken(made, 200)
        assert 3 <= len([time for time in times if time < 10]) <= 6
        assert len([time for time in times if 100 <= time < 160]) <= 2

    def test_one_that_has_served_something_ends_the_wait(self):
        with world("2") as made:
            generation = made.serve()
            one, other = list(generation.workers.values())
            made.end(one.pid, -11)
            assert made.pool.staff.backoff.active
            made.write(other)
            made.advance(1.0)
            assert not made.pool.staff.backoff.active
            made.boot(generation)
            assert states(made) == ["serving"] * 2

    def test_a_change_of_the_code_ends_the_wait(self, tmp_path):
        code = tmp_path / "app.py"
        code.write_text("1")
        with world("1") as made:
            generation = made.serve()
            generation.files = (str(code), "no\0path", "\ud800")
            made.end(next(iter(generation.workers.values())).pid, -11)
            made.advance(1.2)
            code.write_text("changed")
            made.advance(1.0)
            assert ("reload", "the code has changed") in made.told

    def test_of_a_generation_that_does_not_serve_hold_back_nobody(self):
        with world("1") as made:
            made.serve(1)
            coming = made.come(2)
            (worker,) = made.bear(coming)
            made.end(worker.pid, -11)
            assert not made.pool.staff.backoff.active
            assert made.told[-2] == ("failed", "a worker ended with SIGSEGV while it was booting")


def test_nobody_is_forked_once_it_stops():
    with world("2") as made:
        generation = made.serve()
        made.pool.stop()
        for worker in list(generation.workers.values()):
            made.end(worker.pid)
        made.advance(100)
        made.pool.reconcile()
        assert made.orders(generation) == []


def test_an_import_that_ends_while_it_stops_forks_nobody():
    with world("2") as made:
        made.pool.begin(1, preload=True)
        generation = made.coming
        made.pool.stop()
        made.template(generation, "imported")
        assert generation.workers == {}
