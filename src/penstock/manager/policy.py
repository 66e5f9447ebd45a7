"""This file decides how many workers there should be: pure functions of counts and a clock, and what they remember."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, final

from penstock.manager.plan import Workers

_SPARE_FROM: Final = 0.05
"""Load, in workers, from which on one worker more than needed is kept ready."""

_MOST_AT_ONCE: Final = 32

_FULL: Final = 0.9
_FREE: Final = 0.6

_FIRST_DELAY: Final = 0.5
_LONGEST_DELAY: Final = 60.0

CHILDHOOD: Final = 10.0
"""Seconds after which a worker that has not served anything yet counts as sound all the same."""


@dataclass(frozen=True, slots=True)
class Load:
    """What a pool had to do since the last look.

    Attributes:
        workers: those that serve or boot.
        busy: how many of them were at work, on the average; the sum of their shares.
        pending: connections that nobody has accepted yet.
    """

    workers: int
    busy: float
    pending: int = 0


def needed(limits: Workers, load: Load) -> int:
    """How many workers this load takes: those at work, and one that is ready for the next request.

    A pool that may be empty keeps none ready while there is nothing to do.
    """
    if limits.fixed:
        return limits.least
    want = math.ceil(load.busy - _SPARE_FROM)
    if load.busy > _SPARE_FROM:
        want += 1
    elif load.busy > 0:
        want = max(want, 1)
    if load.pending:
        want = max(want, load.workers + 1)
    return max(limits.least, min(limits.most, want))


@final
class Sizer:
    """The number of workers that is wanted: it follows the load up in doubling steps and down one at a time.

    Args:
        limits: least and most.
        patience: seconds without need before a worker goes.
    """

    def __init__(self, limits: Workers, patience: float) -> None:
        self.limits = limits
        self.patience = patience
        self.target = limits.least
        self._step = 1
        self._needed_at = math.inf

    def look(self, load: Load, now: float) -> int:
        """The number of workers wanted from now on."""
        want = needed(self.limits, load)
        # Patience begins with the first look: nobody knows what was needed before.
        self._needed_at = now if want >= self.target else min(self._needed_at, now)
        if want > self.target:
            # As php-fpm does: 1, 2, 4, ... so that a burst is met, and a moment's noise forks one worker.
            self.target = min(want, self.target + self._step)
            self._step = min(self._step * 2, _MOST_AT_ONCE)
        else:
            self._step = 1
            if want < self.target and now - self._needed_at >= self.patience:
                self.target -= 1
        self.target = max(self.limits.least, min(self.limits.most, self.target))
        return self.target


@final
class Backoff:
    """How long to wait before another worker is forked, when those before it died without having served anything."""

    def __init__(self) -> None:
        self.failures = 0
        self.until = 0.0
        self._told_until = 0.0

    def failed(self, now: float) -> None:
        """A worker died in its childhood. Several that were forked together are one failure."""
        if now >= self._told_until:
            self.failures += 1
            self._told_until = self.until = now + self._delay()

    def tried(self, now: float) -> None:
        """A worker was forked to see how it does; until that is known, the next one waits as well."""
        if self.active:
            self.until = max(self.until, now + self._delay())

    def _delay(self) -> float:
        return min(_FIRST_DELAY * 2.0 ** (self.failures - 1), _LONGEST_DELAY)

    def reset(self) -> None:
        """A worker has served something, or the code has changed."""
        self.failures = 0
        self.until = self._told_until = 0.0

    @property
    def active(self) -> bool:
        return self.failures > 0


def may_fork(missing: int, booting: int, backoff: Backoff, now: float) -> int:
    """How many of the missing workers may be forked now: all of them, or after failures one at a time."""
    if not backoff.active:
        return missing
    return 1 if missing > 0 and booting == 0 and now >= backoff.until else 0


def may_recycle(workers: int) -> int:
    """How many workers may be on their way out at a time because of their age, memory or requests: a quarter."""
    return max(1, workers // 4)


class Share(NamedTuple):
    """What one worker has: connections, and how much of the time it was at work since the last look."""

    connections: int
    capacity: int
    busy: float


def fair_share(shares: Sequence[Share]) -> int:
    """How many connections a worker may keep, where some have more than they can serve and others have time; else 0.

    Web servers keep connections, and each stays where it was accepted first. A worker that closes one after an answer
    gives the next request the chance to be accepted by a worker that is free.
    """
    if not any(share.busy > _FULL and share.connections > share.capacity for share in shares):
        return 0
    if not any(share.busy < _FREE for share in shares):
        return 0
    even = sum(share.connections for share in shares) // len(shares)
    return max(even, *(share.capacity for share in shares))


def slots_for(workers: Workers) -> int:
    """How many processes a pool may have at a time: two generations, and those that are being replaced."""
    return 2 * workers.most + may_recycle(workers.most) + 1
