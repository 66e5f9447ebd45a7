"""This file tests what a worker tells of itself, and when it says that it has used up what it may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from penstock.manager.messages import hear, make_pair
from penstock.manager.nest import Nest
from penstock.manager.plan import PoolPlan, WorkerLimits
from penstock.manager.scoreboard import Scoreboard
from penstock.manager.worker import WorkerTether, resident
from penstock.server.gifts import Exchange

GET = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/"}


class Made(NamedTuple):
    """What a test needs; called with limits, it makes the tether of slot 1."""

    make: Callable[..., WorkerTether]
    heard: Callable[[], list[tuple]]
    board: Scoreboard

    def __call__(self, **limits: Any) -> WorkerTether:
        return self.make(**limits)


@pytest.fixture
def tied() -> Iterator[Any]:
    """Makes tethers; `tied.heard()` is what the supervisor has been told."""
    ours, theirs = make_pair()
    board, exchange = Scoreboard(2, 2), Exchange()

    def make(**limits) -> WorkerTether:
        return WorkerTether(
            Nest(
                pool=PoolPlan("main", "app:app", limits=WorkerLimits(**limits)),
                preload=True,
                identity=None,
                events=theirs,
                gate=-1,
                lifeline=-1,
                listeners=[],
                board=board,
                exchange=exchange,
            ),
            1,
        )

    def heard() -> list[tuple]:
        found: list[tuple] = []
        while True:
            try:
                message = hear(ours)
            except BlockingIOError:
                return found
            found.append((message.event, message.content))

    yield Made(make, heard, board)
    board.close()
    exchange.close()
    ours.close()
    theirs.close()


def serve(tether: WorkerTether, requests: int) -> None:
    for _ in range(requests):
        tether.ended(tether.began(GET))


def test_it_says_that_it_is_ready_and_for_how_much(tied):
    tether = tied()
    tether.capacity = 7
    tether.ready()
    assert tied.heard() == [("ready", {"event": "ready", "slot": 1, "capacity": 7})]


def test_its_requests_are_on_the_scoreboard(tied):
    tether = tied()
    ticket = tether.began(GET)
    assert [running.line for running in tied.board.read(1).running] == ["GET /"]
    tether.ended(ticket)
    assert tied.board.read(1).requests == 1


def test_without_limits_it_says_nothing(tied):
    serve(tied(), 1000)
    assert tied.heard() == []


def test_after_so_many_requests_it_says_so_once(tied):
    tether = tied(max_requests=5)
    serve(tether, 4)
    assert tied.heard() == []
    serve(tether, 20)
    assert tied.heard() == [("used up", {"event": "used up", "slot": 1, "why": "5 requests"})]


def test_workers_do_not_use_it_up_together(tied):
    assert len({tied(max_requests=100, max_requests_jitter=1000)._most_requests for _ in range(50)}) > 10
    assert all(100 <= tied(max_requests=100, max_requests_jitter=5)._most_requests <= 105 for _ in range(50))


def test_too_much_memory_is_told_and_little_is_not(tied):
    serve(tied(max_memory=1 << 50), 3)
    assert tied.heard() == []
    serve(tied(max_memory=1 << 20), 3)
    ((event, content),) = tied.heard()
    assert event == "used up"
    assert content["why"].endswith("MiB of memory")


def test_a_supervisor_that_does_not_listen_is_told_later_and_keeps_no_request(tied):
    tether = tied(max_requests=1)
    while not tether._told:
        serve(tether, 1)
    tether._told = False
    rounds = 0
    while True:
        serve(tether, 1)
        rounds += 1
        if not tether._told:
            break
        tether._told = False
    tied.heard()
    serve(tether, 1)
    assert tether._told
    assert rounds > 1


def test_it_keeps_as_many_connections_as_it_may(tied):
    tether = tied()
    assert tether.most_connections(5) > 1000
    tied.board.allow(1, 2)
    assert tether.most_connections(5) == 2


def test_its_memory_is_that_of_this_process():
    assert resident() > 1 << 20
