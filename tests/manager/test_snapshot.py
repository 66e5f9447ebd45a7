"""This file tests that the status has the keys that docs/workers.md promises, and no others, whatever goes on."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from penstock.manager.snapshot import snapshot
from tests.manager.world import World, world

DOCS = Path(__file__).resolve().parents[2] / "docs" / "workers.md"


def promised(title: str) -> set[str]:
    """The keys in the first column of the table of docs/workers.md that begins with this."""
    table = DOCS.read_text().partition(f"| {title} |")[2].partition("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines()[2:] if line.startswith("|")]
    return {key for row in rows for key in re.findall(r"`(\w+)`", row)}


def look(made: World) -> dict:
    reloads: Any = SimpleNamespace(generation=1, ok=0, failures=0, last=None)
    return snapshot(made.time - 5, [made.pool], reloads)


@pytest.fixture
def made():
    with world("1..4") as found:
        yield found


def test_the_keys_are_those_that_are_promised(made):
    made.serve()
    status = look(made)
    assert set(status) == promised("key")
    assert set(status["pools"][0]) == promised("key of a pool")
    assert set(status["pools"][0]["workers"][0]) == promised("key of a worker")


def test_it_is_json_before_anything_serves_and_afterwards(made):
    json.dumps(look(made))
    assert look(made)["pools"][0]["state"] == "starting"
    generation = made.come()
    json.dumps(look(made))
    made.boot(generation)
    made.pool.switch()
    status = json.loads(json.dumps(look(made)))
    assert status["pools"][0]["state"] == "serving"
    assert (status["pools"][0]["min"], status["pools"][0]["max"], status["spawns"]) == (1, 4, 1)
    made.pool.stop()
    assert look(made)["pools"][0]["state"] == "stopping"


def test_a_worker_is_booting_idle_busy_or_leaving(made):
    generation = made.come()
    states = [look(made)["pools"][0]["workers"][0]["state"]]
    (worker,) = made.boot(generation)
    made.pool.switch()
    states.append(look(made)["pools"][0]["workers"][0]["state"])
    made.pool.board.lanes(worker.slot).begin({"REQUEST_METHOD": "GET", "REQUEST_URI": "/x"})
    busy = look(made)["pools"][0]["workers"][0]
    states.append(busy["state"])
    made.pool.discard(generation)
    states.append(look(made)["pools"][0]["workers"][0]["state"])
    assert states == ["booting", "idle", "busy", "leaving"]
    assert (busy["request"], busy["active"]) == ("GET /x", 1)
    assert busy["since"] >= 0


def test_a_pool_whose_workers_die_at_once_is_backing_off(made):
    generation = made.serve()
    made.end(next(iter(generation.workers.values())).pid, -11)
    status = look(made)
    assert status["pools"][0]["state"] == "backing off"
    assert status["exits"] == {"SIGSEGV": 1}


def test_memory_and_time_are_those_of_the_process(made):
    generation = made.serve()
    (worker,) = generation.workers.values()
    assert (look(made)["pools"][0]["workers"][0]["rss"], look(made)["pools"][0]["workers"][0]["cpu"]) == (0, 0.0)
    worker.pid = os.getpid()
    shown = look(made)["pools"][0]["workers"][0]
    assert shown["rss"] > 1_000_000
    assert shown["cpu"] > 0
    worker.pid = 1_000_000_123
