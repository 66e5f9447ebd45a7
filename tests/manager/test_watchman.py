"""This file tests the limits of requests: the slow are written down once, the far too slow cost a worker."""

from __future__ import annotations

import os
import time

import pytest

from penstock.manager.generation import Worker
from penstock.manager.life import State
from penstock.manager.watchman import without_us
from tests.manager.world import World, world

GET = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/slow"}


def begin(made: World, worker, ago: float) -> tuple[int, int]:
    """A request that began so long ago; the watchman goes by the real clock there, as workers write it."""
    lanes = made.pool.board.lanes(worker.slot)
    ticket = lanes.begin(GET)
    began = time.monotonic_ns() - int(ago * 1e9)
    at = lanes._start + ticket[0] * 256
    made.pool.board._memory[at : at + 8] = began.to_bytes(8, "little")
    return ticket[0], began


def state(worker: Worker) -> State:
    return worker.state


def serve(made: World):
    generation = made.serve()
    made.pool.watchman.begin()
    return list(generation.workers.values())


class TestASlowRequest:
    def test_is_written_down_once(self):
        with world("1", slow_log=2.0) as made:
            (worker,) = serve(made)
            begin(made, worker, 3.0)
            made.advance(10)
            assert made.pool.watchman.slow == 1
            (entry,) = made.slow
            assert 'runs "GET /slow" for 3.0 s' in entry
            assert state(worker) is State.SERVING

    def test_that_is_quick_is_not(self):
        with world("1", slow_log=2.0) as made:
            (worker,) = serve(made)
            begin(made, worker, 1.0)
            made.advance(2)
            assert made.slow == []

    def test_is_told_with_the_stacks_that_its_worker_has_written(self):
        with world("1", slow_log=2.0) as made:
            (worker,) = serve(made)
            begin(made, worker, 3.0)
            made.pool.watchman._look()
            os.write(made.pool.files.stacks[worker.slot], b'Thread 1:\n  File "/srv/app.py", line 1 in view\n')
            made.advance(1)
            assert 'File "/srv/app.py", line 1 in view' in made.slow[0]

    def test_has_its_stacks_however_many_were_written_before(self):
        with world("1", slow_log=2.0) as made:
            (worker,) = serve(made)
            fd = made.pool.files.stacks[worker.slot]
            for _ in range(100):
                os.write(fd, b"x" * 8192)
                assert made.pool.files.take_stacks(worker.slot) == "x" * 8192

    def test_cannot_write_to_the_terminal_of_who_reads_the_log(self):
        assert "\x1b" not in without_us("\x1b[2J\u202e\nplain")
        assert "plain" in without_us("\x1b[2J\u202e\nplain")


class TestAMuchTooSlowRequest:
    def test_costs_its_worker_its_life_and_is_counted_once(self):
        with world("1", request_timeout=2.0) as made:
            (worker,) = serve(made)
            begin(made, worker, 3.0)
            for _ in range(10):
                made.pool.watchman._look()
            assert made.pool.watchman.timeouts == 1
            assert state(worker) is State.SERVING
            made.advance(1)
            assert state(worker) is State.DYING
            made.end(worker.pid, -9)
            assert ("cut off", "GET /slow", 504) in made.told

    def test_gets_a_successor_before_it_is_killed(self):
        with world("1", request_timeout=2.0) as made:
            (worker,) = serve(made)
            begin(made, worker, 3.0)
            made.pool.watchman._look()
            assert len(made.orders(made.current)) == 1

    def test_that_ends_at_the_last_moment_costs_nothing_but_a_replacement(self):
        with world("1", request_timeout=2.0) as made:
            (worker,) = serve(made)
            lanes = made.pool.board.lanes(worker.slot)
            begin(made, worker, 3.0)
            made.pool.watchman._look()
            made.pool.board.clear(worker.slot)
            lanes.begin({"REQUEST_METHOD": "GET", "REQUEST_URI": "/innocent"})
            made.advance(0.4)
            assert state(worker) is State.SERVING
            made.boot(made.current)
            assert state(worker) is State.LEAVING

    def test_of_a_worker_that_leaves_counts_too(self):
        with world("1", request_timeout=2.0) as made:
            (worker,) = serve(made)
            begin(made, worker, 3.0)
            worker.state = State.LEAVING
            made.advance(3)
            assert state(worker) is State.DYING


def test_limits_that_a_reload_takes_away_are_not_looked_at(caplog):
    with world("1", slow_log=2.0) as made:
        serve(made)
        made.pool.plan = made.pool.plan.__class__("main", "app:app")
        made.advance(10)
        made.pool.watchman.begin()
        assert not made.pool.watchman._alarm.is_set


def test_without_limits_it_never_looks():
    with world("1") as made:
        serve(made)
        assert not made.pool.watchman._alarm.is_set


def test_a_worker_that_claims_new_slow_requests_all_the_time_is_looked_at_now_and_then():
    with world("1", slow_log=0.5) as made:
        (worker,) = serve(made)
        looks = 0
        look = made.pool.watchman._look

        def counted() -> None:
            nonlocal looks
            looks += 1
            begin(made, worker, 0.4999)
            look()

        made.pool.watchman._alarm._act = counted
        made.advance(2)
        assert looks <= 2 / 0.02 + 2


@pytest.mark.parametrize("stacks", ["", "\n", "Thread:\n", '  File "x"\n' * 5, "\0" * 10])
def test_stacks_of_any_form_are_read(stacks):
    assert isinstance(without_us(stacks), str)
