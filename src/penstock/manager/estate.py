"""This file takes a pool over an exec() of the supervisor: its processes stay, and so does what they share with it.

The next image knows the generations, their workers, templates and slots as the one before did. So it can go on with
them, fork from their templates and count their requests until a generation of its own serves.
"""

from __future__ import annotations

import os
import socket
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

from penstock.manager.generation import Generation, Stage, Worker
from penstock.manager.handover import Handover, Parcel
from penstock.manager.life import State
from penstock.manager.scoreboard import Scoreboard

if TYPE_CHECKING:
    from penstock.manager.pool import Pool

_WORKER: Final = ("slot", "grace", "since", "pid", "capacity", "used_up", "busy", "killed_for")


def pack(pool: Pool, parcel: Parcel) -> dict[str, Any]:
    """What the next image has to know of a pool."""
    for pair in pool.files.pipes:
        for fd in pair:
            parcel.fd(fd)
    return {
        "name": pool.plan.name,
        "app": pool.plan.app,
        "grace": pool.plan.grace,
        "addresses": [listener.address for listener in pool.listeners],
        "slots": pool.board.slots,
        "lanes": pool.board.most_lanes,
        "exchange": [parcel.fd(fd) for fd in pool.exchange.ends],
        "board": parcel.fd(pool.board.fd),
        "pipes": pool.files.pipes,
        "stacks": [parcel.fd(fd) for fd in pool.files.stacks],
        "retired": pool.retired_requests,
        "requests": pool.requests,
        "spawns": pool.spawns,
        "exits": pool.exits,
        "slow": pool.watchman.slow,
        "timeouts": pool.watchman.timeouts,
        "current": -1 if pool.current is None else pool.current.number,
        "generations": [_packed(generation, parcel) for generation in pool.generations()],
    }


def _packed(generation: Generation, parcel: Parcel) -> dict[str, Any]:
    return {
        "number": generation.number,
        "events": parcel.fd(generation.events.fileno()),
        "gate": generation.gate if generation.gate < 0 else parcel.fd(generation.gate),
        "slots": generation.slots,
        "stage": generation.stage.name,
        "template": generation.template,
        "files": generation.files,
        "workers": [
            {"state": worker.state.name, **{name: getattr(worker, name) for name in _WORKER}}
            for worker in generation.workers.values()
        ],
    }


@final
@dataclass(frozen=True, slots=True)
class Estate:
    """What a pool has left to its successor.

    Attributes:
        told: what `pack` has made.
        memory: descriptor of the scoreboard's memory.
        exchange: as Exchange takes it.
        pipes, stacks: as SlotFiles takes them.
        channels: of each generation the supervisor's end of its messages, and its gate or -1.
    """

    told: dict[str, Any]
    memory: int
    exchange: tuple[int, int]
    pipes: list[tuple[int, int]]
    stacks: list[int]
    channels: list[tuple[int, int]]

    @property
    def grace(self) -> float:
        """Seconds that running requests get to finish."""
        return float(self.told["grace"])

    @classmethod
    def unpack(cls, told: dict[str, Any], handover: Handover) -> Estate:
        """Take the descriptors out.

        Raises:
            KeyError, TypeError, ValueError: this makes no sense.
        """
        return cls(
            told,
            handover.fd(told["board"]),
            (handover.fd(told["exchange"][0]), handover.fd(told["exchange"][1])),
            [(handover.fd(ours), handover.fd(theirs)) for ours, theirs in told["pipes"]],
            [handover.fd(fd) for fd in told["stacks"]],
            [
                (handover.fd(each["events"]), each["gate"] if each["gate"] < 0 else handover.fd(each["gate"]))
                for each in told["generations"]
            ],
        )

    def board(self, slots: int, lanes: int) -> Scoreboard:
        """The scoreboard, with as many slots at least: the same one, or where it does not fit a new one.

        Then those who write to the old one look as if they did nothing.
        """
        slots = max(slots, self.told["slots"])
        if slots == self.told["slots"] and lanes <= self.told["lanes"]:
            try:
                return Scoreboard(slots, self.told["lanes"], self.memory)
            except ValueError:
                pass
        board = Scoreboard(slots, lanes)
        os.close(self.memory)
        return board


def settle(pool: Pool, estate: Estate) -> None:
    """Let the generations of the estate live on in a new pool."""
    told = estate.told
    same_board = pool.board.fd == estate.memory
    pool.retired_requests = told["retired"] if same_board else told["requests"]
    pool.spawns = told["spawns"]
    pool.exits = Counter(told["exits"])
    pool.watchman.slow, pool.watchman.timeouts = told["slow"], told["timeouts"]
    for each, (events, gate) in zip(told["generations"], estate.channels, strict=True):
        generation = Generation(each["number"], None, socket.socket(fileno=events), gate, each["slots"])
        generation.stage = Stage[each["stage"]]
        generation.template = each["template"]
        generation.files = tuple(each["files"])
        for facts in each["workers"]:
            _revive(pool, generation, facts)
        if generation.number == told["current"]:
            pool.current = generation
        else:
            pool.former.append(generation)
        pool.listen_to(generation)
    if pool.current is not None:
        pool.staff.begin(len(pool.current.workers))
    pool.watchman.begin()


def _revive(pool: Pool, generation: Generation, facts: dict[str, Any]) -> Worker:
    worker = pool.make_worker(generation, facts["slot"])
    worker.state = State[facts["state"]]
    for name in _WORKER:
        setattr(worker, name, facts[name])
    generation.workers[worker.slot] = worker
    limits = pool.plan.limits
    age = pool.reactor.now - worker.since
    if worker.state is State.BOOTING and limits.boot_timeout:
        worker.alarm.set(limits.boot_timeout - age)
    elif worker.state is State.SERVING and limits.max_lifetime:
        worker.alarm.set(limits.max_lifetime * (1 + 0.1 * worker.slot / pool.board.slots) - age)
    elif worker.state in (State.LEAVING, State.DYING):
        worker.alarm.set(worker.grace + 1.0 - age)
    return worker
