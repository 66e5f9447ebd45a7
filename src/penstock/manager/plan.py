"""This file holds what a supervisor is asked to run, as frozen data: pools of workers and their limits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

PRELOAD: Final = ("auto", "yes", "no")

_RANGE: Final = re.compile(r"(\d{1,5})(?:\.\.(\d{1,5}))?", re.ASCII)


class Workers(NamedTuple):
    """How many workers a pool may have: a fixed number, a range that follows the load, or none while nobody asks."""

    least: int
    most: int

    @classmethod
    def parse(cls, text: str) -> Workers:
        """Read `4` (always four), `2..16` (as many as the load needs), `0..4` (none while there is nothing to do).

        Raises:
            ValueError: it is written otherwise, or makes no sense.
        """
        found = _RANGE.fullmatch(text.strip())
        if found is None:
            raise ValueError(f"{text!a} is no number of workers; write 4, or a range such as 2..16")
        least = int(found[1])
        workers = cls(least, least if found[2] is None else int(found[2]))
        if workers.least > workers.most:
            raise ValueError(f"the minimum {workers.least} is above the maximum {workers.most}; swap them")
        if workers.most < 1:
            raise ValueError("0 workers cannot serve anything; write 1 or more, or a range such as 0..4")
        return workers

    def __str__(self) -> str:
        return str(self.least) if self.least == self.most else f"{self.least}..{self.most}"

    @property
    def fixed(self) -> bool:
        return self.least == self.most


ONE: Final = Workers(1, 1)


@dataclass(frozen=True, slots=True)
class WorkerLimits:
    """What one worker may use up; times in seconds, memory in bytes, and 0 means without limit.

    Attributes:
        boot_timeout: from fork to ready, and for the import of the application before it.
        request_timeout: a request that takes longer costs the worker its life.
        slow_log: a request that takes longer has the stacks of its worker written to the slow log.
        worker_idle: how long a worker beyond the least number may have nothing to do.
        max_requests: after so many the worker is replaced.
        max_requests_jitter: up to so many more, drawn for each worker, so that they do not leave together.
        max_lifetime: after so long the worker is replaced.
        max_memory: resident bytes after which the worker is replaced.
        nofile: descriptors a worker may have open (RLIMIT_NOFILE).
        nice: added to the niceness of workers.
    """

    boot_timeout: float = 60.0
    request_timeout: float = 0.0
    slow_log: float = 0.0
    worker_idle: float = 10.0
    max_requests: int = 0
    max_requests_jitter: int = 0
    max_lifetime: float = 0.0
    max_memory: int = 0
    nofile: int = 0
    nice: int = 0

    def lifetime(self, slot: int, slots: int) -> float:
        """Seconds of life of the worker in this slot: up to a tenth more, so that they do not leave together."""
        return self.max_lifetime * (1 + 0.1 * slot / slots)


@dataclass(frozen=True, slots=True)
class PoolPlan:
    """One application and the workers that run it.

    Attributes:
        name: for logs and the status page.
        app: APP as the command line has it.
        bind: ADDRs; empty for the sockets that this process was started with.
        serving: keywords of `penstock.serve` beside `bind`.
        preload: whether the application is imported once, before workers are forked: one of PRELOAD.
        user, group: who the workers are, when started as root; None leaves that as it is.
        env: added to the environment of the workers.
        directory: where the workers run; None leaves that as it is.
        access_log_file: where access lines go; None for standard output.
    """

    name: str
    app: str
    bind: tuple[str, ...] = ()
    workers: Workers = ONE
    serving: Mapping[str, Any] = field(default_factory=dict)
    limits: WorkerLimits = WorkerLimits()
    preload: str = "auto"
    user: str | None = None
    group: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    directory: str | None = None
    access_log_file: str | None = None

    @property
    def grace(self) -> float:
        """Seconds that running requests get to finish."""
        return float(self.serving.get("graceful_timeout", 30.0))


@dataclass(frozen=True, slots=True)
class Plan:
    """All that one supervisor runs.

    Attributes:
        pid_file: where the supervisor's number is written.
        control: path of the control socket; None for the usual place.
        slow_log_file: where stacks of slow requests go; None for the log.
        probation: seconds in which a new generation whose workers keep dying is taken back.
        reload_on: files whose change is a reload.
        status_bind: ADDR of a FastCGI listener that shows the status.
    """

    pools: tuple[PoolPlan, ...]
    pid_file: str | None = None
    control: str | None = None
    slow_log_file: str | None = None
    probation: float = 10.0
    reload_on: tuple[str, ...] = ()
    status_bind: str | None = None
