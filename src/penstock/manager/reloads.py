"""This file decides when a generation is booted, one at a time, and remembers how that went."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, Protocol, final

from penstock.manager.control import Answer
from penstock.manager.generation import Generation
from penstock.manager.pool import Pool
from penstock.manager.reactor import Reactor
from penstock.manager.rollout import Rollout
from penstock.manager.systemd import Notifier
from penstock.server.notices import log

_SPARE: Final = 10.0


class BootFailed(Exception):
    """The first generation could not be brought into service.

    Attributes:
        traceback: of the application, or "".
    """

    def __init__(self, error: str, traceback: str) -> None:
        super().__init__(error)
        self.traceback = traceback


class House(Protocol):
    """What reloads need of their supervisor."""

    @property
    def pools(self) -> list[Pool]: ...
    @property
    def reactor(self) -> Reactor: ...
    @property
    def probation(self) -> float: ...
    def serves(self) -> None: ...


@final
class Reloads:
    """The generations of one supervisor, from the first one on.

    Args:
        take_plan: reads the configuration anew; what it raises is a failed reload, and false says that `go_on` will be
            called in another image of the supervisor, or `fail` here.
        first_over: called once the first generation serves, with "", or has failed, with the reason and a traceback.

    Attributes:
        generation: number of the one that was begun last.
        ok, failed, last: how reloads went.
    """

    def __init__(
        self,
        supervisor: House,
        notifier: Notifier,
        take_plan: Callable[[], bool],
        first_over: Callable[[str, str], None],
    ) -> None:
        self.generation = 0
        self.ok = 0
        self.failures = 0
        self.last: dict[str, Any] | None = None
        self._supervisor = supervisor
        self._notifier: Final = notifier
        self._take_plan = take_plan
        self._first_over: Callable[[str, str], None] | None = first_over
        self._rollout: Rollout | None = None
        self._again = False
        self._waiting: list[Answer] = []
        self._next_waiting: list[Answer] = []

    def figures(self) -> dict[str, Any]:
        """What another image of the supervisor goes on with."""
        return {"generation": self.generation, "ok": self.ok, "failures": self.failures, "last": self.last}

    def go_on(self, figures: dict[str, Any], waiting: list[Answer]) -> None:
        """Go on with the figures of an image before us, and with those who wait since then."""
        self.generation, self.ok = figures["generation"], figures["ok"]
        self.failures, self.last = figures["failures"], figures["last"]
        self._first_over = None
        self._waiting += waiting

    def expect(self, answer: Answer | None) -> None:
        """An upgrade has been asked for, whose end is that of a reload."""
        self._waiting += filter(None, [answer])
        self._notifier.reloading("upgrading")

    def fail(self, error: str) -> None:
        """A reload could not even begin."""
        self._over(error, "")

    def begin(self) -> None:
        """Boot another generation."""
        self.end()
        self._notifier.extend_timeout(max(pool.plan.limits.boot_timeout for pool in self._supervisor.pools) + _SPARE)
        self.generation += 1
        supervisor = self._supervisor
        self._rollout = Rollout(
            self.generation, supervisor.pools, supervisor.reactor, supervisor.probation, self._over, self._taken_back
        )
        self._rollout.begin()

    def end(self) -> None:
        """Let things be as they are: no generation is taken back any more."""
        if self._rollout is not None:
            self._rollout.end()

    def ask(self, why: str, answer: Answer | None = None) -> None:
        """Boot another generation; if one boots already, yet another after it, for that one may be too old.

        Args:
            answer: told how it went.
        """
        if self.booting:
            self._again = True
            self._next_waiting += filter(None, [answer])
            return
        self._waiting += filter(None, [answer])
        log.info("reloading: %s", why)
        self._notifier.reloading("reloading")
        try:
            fits = self._take_plan()
        except Exception as error:
            self._over(f"the configuration cannot be used: {error}", "")
            return
        if fits:
            self.begin()

    @property
    def booting(self) -> bool:
        """A generation is on its way."""
        return self._rollout is not None and not self._rollout.serving and not self._rollout.over

    # -- what happens to the generation that was begun last

    def ready(self, generation: Generation) -> None:
        """A pool has all its workers of a generation."""
        if self._rollout is not None and generation.number == self._rollout.number:
            self._rollout.ready()

    def failed(self, generation: Generation, error: str, traceback: str) -> None:
        """A pool cannot bring a generation into service."""
        if self._rollout is not None and generation.number == self._rollout.number:
            self._rollout.fail(error, traceback)

    def worker_died(self, generation: Generation) -> None:
        """A worker has died on its own."""
        if self._rollout is not None:
            self._rollout.died(generation)

    def _over(self, error: str, traceback: str) -> None:
        if self._first_over is not None:
            first_over, self._first_over = self._first_over, None
            first_over(error, traceback)
            if error:
                return
        else:
            self._note(error, traceback)
        for pool in self._supervisor.pools:
            pool.watchman.begin()
        if not error:
            self._supervisor.serves()
        self._notifier.ready(f"reload failed: {error}" if error else f"generation {self.generation} serves")
        waiting, self._waiting, self._next_waiting = self._waiting, self._next_waiting, []
        for answer in waiting:
            if error:
                answer(ok=False, error=error, traceback=traceback)
            else:
                answer(ok=True, generation=self.generation)
        if self._again:
            self._again = False
            self.ask("asked for while another generation booted")

    def _note(self, error: str, traceback: str) -> None:
        self._count(error)
        if error:
            log.error("%s", f"{traceback}reload failed, what served before goes on: {error}")
        else:
            log.info("generation %d serves", self.generation)

    def _taken_back(self, error: str) -> None:
        self._count(f"taken back: {error}")
        log.error("generation %d is taken back, the one before serves again: %s", self.generation, error)
        self._notifier.status(f"generation {self.generation} was taken back: {error}")

    def _count(self, error: str) -> None:
        self.last = {"ok": not error, "error": error, "at": time.strftime("%Y-%m-%dT%H:%M:%S%z")}
        if error:
            self.failures += 1
        else:
            self.ok += 1
