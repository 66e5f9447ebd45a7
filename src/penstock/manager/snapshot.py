"""This file writes down how everything is at one moment: the status that docs/workers.md describes key by key."""

from __future__ import annotations

import os
import resource
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

from penstock import __version__
from penstock.manager.generation import Stage, Worker
from penstock.manager.life import State
from penstock.manager.listenqueue import queue_length
from penstock.manager.pool import Pool
from penstock.manager.reloads import Reloads

_PAGE = resource.getpagesize()
_TICKS = os.sysconf("SC_CLK_TCK")


def snapshot(began: float, pools: Sequence[Pool], reloads: Reloads) -> dict[str, Any]:
    """The status as plain data, fit for JSON.

    Args:
        began: when the supervisor was started, by the monotonic clock.
    """
    exits: Counter[str] = Counter()
    for pool in pools:
        exits.update(pool.exits)
    return {
        "version": __version__,
        "pid": os.getpid(),
        "uptime": round(time.monotonic() - began, 3),
        "generation": reloads.generation,
        "reloads": {"ok": reloads.ok, "failed": reloads.failures},
        "last_reload": reloads.last,
        "requests": sum(pool.requests for pool in pools),
        "pools": [_pool(pool) for pool in pools],
        "log_lines_dropped": sum(pool.files.lost for pool in pools),
        "spawns": sum(pool.spawns for pool in pools),
        "exits": dict(exits),
        "slow_requests": sum(pool.watchman.slow for pool in pools),
        "timeouts": sum(pool.watchman.timeouts for pool in pools),
    }


def _pool(pool: Pool) -> dict[str, Any]:
    lengths = [length for listener in pool.listeners if (length := queue_length(listener.socket)) is not None]
    known = len(lengths) == len(pool.listeners)
    return {
        "name": pool.plan.name,
        "app": pool.plan.app,
        "bind": [listener.address for listener in pool.listeners],
        "queue": {
            "pending": sum(length.pending for length in lengths) if known else None,
            "limit": sum(length.limit for length in lengths) if known else None,
        },
        "min": pool.plan.workers.least,
        "max": pool.plan.workers.most,
        "requests": pool.requests,
        "state": _state(pool),
        "generation": pool.current.number if pool.current else 0,
        "workers": [_worker(pool, worker) for worker in pool.workers()],
    }


def _state(pool: Pool) -> str:
    if pool.stopping:
        return "stopping"
    if pool.staff.backoff.active:
        return "backing off"
    return "serving" if pool.current and pool.current.stage is Stage.SERVING else "starting"


def _worker(pool: Pool, worker: Worker) -> dict[str, Any]:
    score = pool.board.read(worker.slot)
    now = time.monotonic()
    longest = score.running[0] if score.running else None
    state = "leaving" if worker.state in (State.LEAVING, State.DYING) else worker.state.value
    if worker.state is State.SERVING:
        state = "busy" if longest else "idle"
    rss, cpu = _usage(worker.pid)
    return {
        "pid": worker.pid,
        "generation": worker.generation,
        "state": state,
        "requests": score.requests,
        "request": longest.line if longest else None,
        "since": round(max(0.0, now - (longest.began / 1e9 if longest else worker.since)), 3),
        "active": len(score.running),
        "rss": rss,
        "cpu": cpu,
    }


def _usage(pid: int) -> tuple[int, float]:
    """Resident bytes and seconds of processor time of a process; zeros for one that has gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()
        return int(fields[21]) * _PAGE, (int(fields[11]) + int(fields[12])) / _TICKS
    except (OSError, IndexError, ValueError):
        return 0, 0.0
