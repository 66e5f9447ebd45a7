"""This file is the six trials: each gives one contender one kind of trouble and counts what visitors notice."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench import measure
from bench.trials import crowd
from bench.trials.arena import BROKEN, GOOD, SLOW, release
from bench.trials.crowd import Crowd, once, until

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.trials.arena import Arena, Bout
    from bench.trials.contenders import Contender

BEFORE = 0.5  # seconds of load before the trouble begins
AFTER = 1.5  # and after a reload is over
RELOAD_LIMIT = 30.0
BROKEN_SECONDS = 10.0
KILLS, KILL_EVERY = 20, 0.25
STOPPING, LEFT_FOR = 50, 5.0
STOP_LIMIT = 40.0
AGAIN_LIMIT = 10.0
ASKED = 10  # requests, to see whether a site lives


@dataclass
class Outcome:
    """What one trial of one contender showed; a figure that the trial does not have is None.

    Attributes:
        requests: asked from the moment the trouble began.
        failed: of them, by what the client saw.
        reasons: what nginx's error log says about them.
        longest_ms: the slowest request.
        reload_s: from the order until every connection was answered by new code; None if that never came.
        stale: requests answered by old code though begun after somebody had seen the new.
        killed: workers.
        alive: requests, of ten asked at the end, that were answered.
        stop_s: from the signal to the end of the master.
        left: processes left behind.
        again_s: from the new start to its first answer; None if that never came.
        again_why: what the new start said, if no answer came.
    """

    requests: int = 0
    failed: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    longest_ms: float | None = None
    reload_s: float | None = None
    stale: int | None = None
    killed: int | None = None
    alive: int | None = None
    stop_s: float | None = None
    left: int | None = None
    again_s: float | None = None
    again_why: str | None = None

    def values(self) -> dict[str, Any]:
        """The figures by name, without those that the trial does not have."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def count(self, visitors: Crowd, since: float) -> None:
        """Take over what the clients saw of requests that ended after ``since``."""
        answers = [answer for answer in visitors.answers if answer.ended > since]
        self.requests = len(answers)
        self.failed = crowd.failures(answers)
        self.longest_ms = crowd.longest_ms(answers)


def _alive(bout: Bout) -> int:
    return sum(not once(bout.port).failure for _ in range(ASKED))


def _reloaded(bout: Bout, kind: dict[str, str]) -> Outcome:
    outcome = Outcome()
    with Crowd(bout.port) as visitors:
        time.sleep(BEFORE)
        release(bout.folder, kind, "2")
        began = time.monotonic()
        bout.reload()
        if until(lambda: visitors.all_see("2"), RELOAD_LIMIT):
            outcome.reload_s = time.monotonic() - began
            time.sleep(AFTER)
    outcome.count(visitors, began)
    outcome.stale = crowd.stale(visitors.answers, "1", "2")
    return outcome


def reload(arena: Arena, bout: Bout) -> Outcome:  # noqa: ARG001 - the interface of a trial
    """A reload with new code, under load."""
    return _reloaded(bout, GOOD)


def slow(arena: Arena, bout: Bout) -> Outcome:  # noqa: ARG001
    """A reload with new code that takes 3 s to import, under load."""
    return _reloaded(bout, SLOW)


def broken(arena: Arena, bout: Bout) -> Outcome:  # noqa: ARG001
    """A reload with code that cannot be imported, under load for 10 s."""
    outcome = Outcome()
    with Crowd(bout.port) as visitors:
        time.sleep(BEFORE)
        release(bout.folder, BROKEN, "2")
        began = time.monotonic()
        bout.reload()
        time.sleep(BROKEN_SECONDS)
    outcome.count(visitors, began)
    outcome.alive = _alive(bout)
    return outcome


def kills(arena: Arena, bout: Bout) -> Outcome:  # noqa: ARG001
    """A worker killed every 250 ms for 5 s, under load."""
    outcome = Outcome()
    killed = 0
    with Crowd(bout.port) as visitors:
        time.sleep(BEFORE)
        began = time.monotonic()
        for number in range(KILLS):
            # The one that has been there longest: those that were just started may still be importing.
            for worker in sorted(bout.workers())[:1]:
                os.kill(worker, signal.SIGKILL)
                killed += 1
            time.sleep(max(0.0, began + (number + 1) * KILL_EVERY - time.monotonic()))
    outcome.count(visitors, began)
    outcome.killed = killed
    outcome.alive = _alive(bout)
    return outcome


def stop(arena: Arena, bout: Bout) -> Outcome:  # noqa: ARG001
    """A graceful stop while 50 requests of half a second run or wait."""
    outcome = Outcome()
    began = time.monotonic()
    with Crowd(bout.port, STOPPING, "/sleep", times=1) as visitors:
        time.sleep(0.3)  # all have been sent by then, and none has been answered
        told = time.monotonic()
        bout.process.send_signal(bout.contender.stop)
        if until(lambda: bout.process.poll() is not None, STOP_LIMIT):
            outcome.stop_s = time.monotonic() - told
        visitors.join()
    outcome.count(visitors, began)
    until(lambda: not measure.members(bout.process.pid), 1.0)
    outcome.left = len(measure.members(bout.process.pid))
    return outcome


def master(arena: Arena, bout: Bout) -> Outcome:
    """The master killed under load; what is left after 5 s, and whether a new start serves new code."""
    outcome = Outcome()
    with Crowd(bout.port) as visitors:
        time.sleep(BEFORE)
        began = time.monotonic()
        bout.process.kill()
        bout.process.wait()
        time.sleep(LEFT_FOR)
    outcome.count(visitors, began)
    outcome.left = len(measure.members(bout.process.pid))
    release(bout.folder, GOOD, "2")
    began = time.monotonic()
    with arena.started(bout.contender) as again:
        if until(lambda: once(again.port).version == "2", AGAIN_LIMIT):
            outcome.again_s = time.monotonic() - began
        else:
            outcome.again_why = measure.tail(again.log)
    return outcome


TRIALS: dict[str, Callable[[Arena, Bout], Outcome]] = {
    trial.__name__: trial for trial in (reload, slow, broken, kills, stop, master)
}


def run(arena: Arena, contender: Contender, name: str) -> Outcome:
    """One trial of one contender, from its start to the end of its last process; PeerFailed if it does not start."""
    with arena.bout(contender) as bout:
        before = arena.reasons()
        outcome = TRIALS[name](arena, bout)
        outcome.reasons = dict(arena.reasons() - before)
    return outcome
