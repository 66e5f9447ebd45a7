"""This file takes one generation of all pools from its first process to serving, or back out of the way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

from penstock.manager.generation import Generation, Stage
from penstock.manager.life import State
from penstock.manager.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.manager.reactor import Reactor

SETTLE: Final = 1.0
"""Seconds that workers have to stay alive, ready and not accepting yet, before they replace workers that do well."""

_MOST_DEATHS: Final = 3
"""Workers that may die on their own during the probation of their generation."""


@final
class Rollout:
    """One try to bring a generation into service; all pools together, or none.

    Args:
        number: of the generation.
        pools: where it is to serve.
        probation: seconds after the switch in which it may still be taken back.
        done: called once when it serves, with "", or when it has failed, with the reason and a traceback.
        taken_back: called when it served and had to be taken back, with the reason.
    """

    def __init__(
        self,
        number: int,
        pools: Sequence[Pool],
        reactor: Reactor,
        probation: float,
        done: Callable[[str, str], None],
        taken_back: Callable[[str], None],
    ) -> None:
        self.number: Final = number
        self.serving = False
        self.over = False
        self._pools = pools
        self._former: dict[Pool, Generation] = {}
        self._probation = probation
        self._done = done
        self._taken_back = taken_back
        self._deaths = 0
        self._alarm = reactor.alarm(self._on_alarm)

    def begin(self) -> None:
        """Boot the generation beside what serves."""
        for pool in self._pools:
            try:
                pool.begin(self.number, preload=pool.plan.preload != "no")
            except OSError as error:
                self.fail(f"{pool.plan.name}: cannot start a process: {error.strerror}")
                return

    def ready(self) -> None:
        """A pool has all the workers that it needs of this generation."""
        if self.serving or self.over or not all(_is_ready(pool) for pool in self._pools):
            return
        if any(pool.current is not None for pool in self._pools):
            self._alarm.set(min(SETTLE, self._probation))
        else:
            self._switch()

    def fail(self, error: str, traceback: str = "") -> None:
        """It cannot be; what served before goes on."""
        if self.serving or self.over:
            return
        self.over = True
        self._alarm.clear()
        for pool in self._pools:
            if pool.coming is not None:
                pool.discard(pool.coming)
        self._done(error, traceback)

    def died(self, generation: Generation) -> None:
        """A worker of a generation has died on its own."""
        if not self.serving or self.over or generation.number != self.number or not self._former:
            return
        self._deaths += 1
        if self._deaths >= _MOST_DEATHS and all(former.template for former in self._former.values()):
            self.over = True
            self._alarm.clear()
            for pool, former in self._former.items():
                pool.take_back(former)
            self._former.clear()
            self._taken_back(f"its workers kept dying ({self._deaths} in its first seconds)")

    def end(self) -> None:
        """Leave things as they are: another rollout begins, or everything stops."""
        self.over = True
        self._alarm.clear()
        for former in self._former.values():
            former.end_template()
        self._former.clear()

    def _on_alarm(self) -> None:
        if self.serving:
            self.end()
        elif all(_is_ready(pool) for pool in self._pools):
            self._switch()

    def _switch(self) -> None:
        self.serving = True
        for pool in self._pools:
            former = pool.current
            pool.switch()
            if former is not None and former.template:
                self._former[pool] = former
        if self._former and self._probation > 0:
            self._alarm.set(self._probation)
        else:
            self.end()
        self._done("", "")


def _is_ready(pool: Pool) -> bool:
    coming = pool.coming
    return coming is not None and coming.stage is Stage.BOOTING and len(coming.those(State.SERVING)) >= coming.wanted
