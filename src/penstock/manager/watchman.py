"""This file watches for requests that take too long: their stacks go to the slow log, and the hard limit ends them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, final

from penstock.manager import figures
from penstock.manager.generation import Worker, send_signal
from penstock.manager.life import Event, State
from penstock.manager.parts import Crew
from penstock.manager.scoreboard import Running
from penstock.manager.worker import SHOW_STACKS
from penstock.server.accesslog import escape
from penstock.server.importer import OURS
from penstock.server.notices import log

_WRITES: Final = 0.5
"""Seconds a worker gets to write its stacks: a few milliseconds, but on a busy machine its turn has to come."""

_SHORTEST: Final = 0.02
"""Seconds between two looks, at least."""

_WORKING: Final = (State.SERVING, State.LEAVING)


@final
class Watchman:
    """The limits of a pool's requests. Without any it never wakes up.

    Args:
        write: takes the slow log's text.

    Attributes:
        slow: requests over the soft limit, since the beginning.
        timeouts: requests over the hard one.
    """

    def __init__(self, pool: Crew, write: Callable[[str], None]) -> None:
        self.slow = 0
        self.timeouts = 0
        self._pool = pool
        self._write = write
        self._reactor = pool.owner.reactor
        self._alarm = self._reactor.alarm(self._look)
        self._told: dict[int, set[int]] = {}

    def begin(self) -> None:
        """Begin to watch, by the limits of the pool's plan."""
        limits = [limit for limit in self._limits() if limit]
        self._alarm.set(min(limits)) if limits else self._alarm.clear()

    def _limits(self) -> tuple[float, float]:
        limits = self._pool.plan.limits
        return limits.slow_log, limits.request_timeout

    def _look(self) -> None:
        """Look at all that runs, and come back when the first of it, or of what may begin now, can be too long."""
        soft, hard = self._limits()
        if not soft and not hard:
            return  # a reload has taken them away
        now = time.monotonic_ns()
        wait = min(limit for limit in (soft, hard) if limit)
        for worker in self._pool.workers():
            if worker.killed_for:
                continue  # it is about to be killed
            told = self._told.get(worker.slot, set())
            running = self._pool.board.read(worker.slot).running if worker.state in _WORKING else ()
            self._told[worker.slot] = told & {request.began for request in running}
            for request in running:
                age = (now - request.began) / 1e9
                if hard and age >= hard:
                    self._condemn(worker, request, age)
                    break
                if soft and age >= soft and request.began not in told:
                    self.slow += 1
                    self._told[worker.slot].add(request.began)
                    self._show_stacks(worker, request, age)
                for limit in (soft, hard):
                    if limit > age:
                        wait = min(wait, limit - age)
        # What a worker says of its requests may be anything, and must not keep the supervisor busy.
        self._alarm.set(max(wait + 0.001, _SHORTEST))

    def _show_stacks(self, worker: Worker, request: Running, age: float) -> None:
        files = self._pool.files
        files.take_stacks(worker.slot)
        send_signal(worker.pid, SHOW_STACKS)
        title = f'{self._pool.plan.name}: worker {worker.pid} runs "{escape(request.line)}" for {age:.1f} s'

        def report() -> None:
            text = without_us(files.take_stacks(worker.slot))
            self._write(f"{title}\n{text or '(no stacks: the process does not run)'}\n")

        self._reactor.alarm(report).set(_WRITES)

    def _condemn(self, worker: Worker, request: Running, age: float) -> None:
        self.timeouts += 1
        worker.killed_for = f'"{escape(request.line)}" took {age:.1f} s'
        self._show_stacks(worker, request, age)
        log.error("%s: killing worker %d: %s", self._pool.plan.name, worker.pid, worker.killed_for)

        def kill() -> None:
            running = self._pool.board.read(worker.slot).running if worker.state in _WORKING else ()
            if any(other.began == request.began for other in running):
                self._pool.meet(worker, Event.CONDEMN)
            else:
                worker.killed_for = ""  # it has ended at the last moment, and another one is not to pay for it

        # It shows its stacks first; its replacement need not wait for that.
        worker.used_up = worker.killed_for
        self._reactor.alarm(kill).set(_WRITES / 2)
        self._pool.reconcile()


def without_us(stacks: str) -> str:
    """Stacks as faulthandler writes them, each cut off where the application was called by penstock."""
    kept: list[str] = []
    below = False
    for line in figures.lines(stacks):
        ours = line.startswith(f'  File "{OURS}')
        if line.startswith("  File ") and (below or (ours and kept and not kept[-1].endswith(":"))):
            below = True
            continue
        below = False
        kept.append(line)
    return "\n".join(kept)
