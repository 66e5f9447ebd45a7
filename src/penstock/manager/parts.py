"""This file says what the parts of the manager need of each other, so that none has to know another whole."""

from __future__ import annotations

import socket
from typing import Protocol

from penstock.manager.generation import Generation, Parent, Worker
from penstock.manager.life import Event
from penstock.manager.nest import Nest
from penstock.manager.plan import PoolPlan
from penstock.manager.policy import Backoff
from penstock.manager.privileges import Identity
from penstock.manager.reactor import Reactor
from penstock.manager.scoreboard import Running, Scoreboard
from penstock.manager.slotfiles import SlotFiles
from penstock.server.gifts import Exchange
from penstock.server.listen import Listener


class Crew(Protocol):
    """A pool, as those see it who look after its workers."""

    plan: PoolPlan
    current: Generation | None
    coming: Generation | None
    stopping: bool

    @property
    def owner(self) -> Owner: ...
    @property
    def backoff(self) -> Backoff: ...
    @property
    def board(self) -> Scoreboard: ...
    @property
    def files(self) -> SlotFiles: ...
    @property
    def exchange(self) -> Exchange: ...
    @property
    def listeners(self) -> list[Listener]: ...
    @property
    def identity(self) -> Identity | None: ...

    def workers(self) -> list[Worker]:
        """All that live."""

    def fork(self, generation: Generation) -> bool:
        """Have a worker forked; false if that cannot be."""

    def meet(self, worker: Worker, event: Event) -> None:
        """Let something happen to a worker."""

    def reconcile(self) -> None:
        """Bring the number of workers to what is wanted."""

    def died(self, generation: Generation, worker: Worker, how: str) -> None:
        """A worker's process has ended."""

    def begin(self, number: int, *, preload: bool) -> None:
        """Boot a generation beside the one that serves."""

    def discard(self, generation: Generation) -> None:
        """Be done with a generation."""

    def fill(self) -> None:
        """Fork what the coming generation needs to take over."""

    def wanted_at_boot(self) -> int:
        """How many workers of the coming generation have to be ready before it takes over."""


class Owner(Parent, Protocol):
    """What a pool needs of its supervisor."""

    @property
    def reactor(self) -> Reactor:
        """The loop."""

    def nest(self, pool: Crew, events: socket.socket, gate: int, *, preload: bool) -> Nest:
        """What a new generation is handed."""

    def generation_ready(self, generation: Generation) -> None:
        """A generation that waits for its turn has all its workers."""

    def generation_failed(self, pool: Crew, generation: Generation, error: str, traceback: str = "") -> None:
        """A generation cannot be what it was to be."""

    def cut_off(self, pool: Crew, worker: Worker, request: Running, status: int) -> None:
        """A request has ended together with its worker; nobody else writes it down."""

    def slow_log(self, text: str) -> None:
        """Write down how a slow request stands."""

    def reload(self, why: str) -> None:
        """Another generation is needed."""

    def worker_gone(self, generation: Generation, *, told: bool) -> None:
        """A worker has ended, because it was told to or on its own; perhaps it was the last one."""
