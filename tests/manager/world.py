"""This file is a pool's world without processes: the test moves its clock, and plays the template and the workers."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.manager.generation import Generation, Worker
from penstock.manager.messages import Message
from penstock.manager.nest import Nest
from penstock.manager.parts import Crew
from penstock.manager.plan import PoolPlan, WorkerLimits, Workers
from penstock.manager.pool import Pool
from penstock.manager.reactor import Reactor
from penstock.manager.reports import template_said, worker_said
from penstock.manager.scoreboard import Running

TEMPLATE = 1_000_000_000
"""Far above every real process number: none of these is a process, so no signal reaches anybody."""


class World:
    """The owner of one pool; what the pool asks of it is written down.

    Attributes:
        pool: the pool.
        told: what the owner was told, as tuples.
    """

    def __init__(self, pool: PoolPlan) -> None:
        self.reactor = Reactor()
        self.time = 1000.0
        self.reactor._timers.clock = lambda: self.time
        self.told: list[tuple[Any, ...]] = []
        self.slow: list[str] = []
        self.refused = False
        self._templates = 0
        self._orders: dict[Generation, socket.socket] = {}
        self._theirs: socket.socket | None = None
        self._born = 0
        self.pool = Pool(pool, [], None, self)

    # -- the owner

    def nest(self, pool: Crew, events: socket.socket, gate: int, *, preload: bool) -> Nest:
        self._theirs = events.dup()
        self._theirs.setblocking(False)
        return Nest(pool.plan, preload, None, events, gate, -1, [], pool.exchange, pool.board)

    def fork(self, generation: Generation) -> int:
        if self.refused:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        assert self._theirs is not None
        self._orders[generation] = self._theirs
        self._theirs = None
        self._templates += 1
        return TEMPLATE + self._templates

    def generation_ready(self, generation: Generation) -> None:
        self.told.append(("ready", generation.number))

    def generation_failed(self, pool: Crew, generation: Generation, error: str, traceback: str = "") -> None:
        self.told.append(("failed", error))

    def cut_off(self, pool: Crew, worker: Worker, request: Running, status: int) -> None:
        self.told.append(("cut off", request.line, status))

    def slow_log(self, text: str) -> None:
        self.slow.append(text)

    def reload(self, why: str) -> None:
        self.told.append(("reload", why))

    def worker_gone(self, generation: Generation, *, told: bool) -> None:
        self.told.append(("gone", told))

    # -- what a test does

    @property
    def coming(self) -> Generation:
        """The generation that boots."""
        assert self.pool.coming is not None
        return self.pool.coming

    @property
    def current(self) -> Generation:
        """The generation that serves."""
        assert self.pool.current is not None
        return self.pool.current

    def advance(self, seconds: float) -> None:
        """Let the time pass, and everything ring that is due meanwhile, each at its own time."""
        end = self.time + seconds
        while (earliest := self.reactor._timers.earliest()) <= end:
            self.time = max(self.time, earliest)
            for alarm in self.reactor._timers.due():
                alarm.on_deadline()
        self.time = end

    def orders(self, generation: Generation) -> list[int]:
        """The slots for which workers have been ordered since the last call."""
        found: list[int] = []
        while True:
            try:
                order = self._orders[generation].recv(1024)
            except BlockingIOError:
                return found
            if not order:
                return found
            found.append(json.loads(order)["fork"])

    def template(self, generation: Generation, event: str, /, **content: Any) -> None:
        """The template says something."""
        template_said(self.pool, generation, Message(generation.template, event, content))

    def worker(self, generation: Generation, pid: int, event: str, /, **content: Any) -> None:
        """Another process says something."""
        worker_said(self.pool, generation, Message(pid, event, content))

    def bear(self, generation: Generation) -> list[Worker]:
        """Let all be born that have been ordered."""
        born = []
        for slot in self.orders(generation):
            self._born += 1
            worker = generation.workers[slot]
            worker.pid = TEMPLATE + 1000 + self._born
            born.append(worker)
        return born

    def boot(self, generation: Generation) -> list[Worker]:
        """Let all that have been ordered be born and ready."""
        born = self.bear(generation)
        for worker in born:
            self.worker(generation, worker.pid, "ready", slot=worker.slot, capacity=1)
        return born

    def come(self, number: int = 1) -> Generation:
        """A generation is begun and imports its application."""
        self.pool.begin(number, preload=True)
        generation = self.coming
        self.template(generation, "imported")
        return generation

    def serve(self, number: int = 1) -> Generation:
        """A generation serves."""
        generation = self.come(number)
        self.boot(generation)
        self.pool.switch()
        return generation

    def end(self, pid: int, status: int = 0) -> bool:
        """A process ends: an exit status, or minus a signal."""
        return self.pool.ended(pid, -status if status < 0 else status << 8)

    def write(self, worker: Worker, requests: int = 1) -> None:
        """The worker of a slot serves some requests."""
        lanes = self.pool.board.lanes(worker.slot)
        for _ in range(requests):
            lanes.end(lanes.begin({"REQUEST_METHOD": "GET", "REQUEST_URI": "/"}))

    def close(self) -> None:
        for generation in self.pool.generations():
            generation.close()
        for sock in self._orders.values():
            sock.close()
        if self._theirs is not None:
            self._theirs.close()
        self.pool.files.close()
        self.pool.exchange.close()
        self.reactor.close()


@contextmanager
def world(workers: str = "2", **limits: Any) -> Iterator[World]:
    """A pool with so many workers and these limits."""
    made = World(PoolPlan("main", "app:app", workers=Workers.parse(workers), limits=WorkerLimits(**limits)))
    try:
        yield made
    finally:
        made.close()


@contextmanager
def child(group: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for its end, in a process group of its own or in that of another."""
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "import sys; sys.stdout.write('x'); sys.stdout.close(); sys.stdin.read()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=group if group is not None else 0,
    )
    try:
        assert process.stdout is not None
        process.stdout.read(1)
        yield process
    finally:
        with process:
            if process.poll() is None:
                os.kill(process.pid, signal.SIGKILL)
