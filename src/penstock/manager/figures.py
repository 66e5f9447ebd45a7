"""This file writes the figures of a status the way people read them: times, sizes, counts, texts of strangers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from penstock.server.address import shown

WORKER_STATES: Final = ("busy", "idle", "booting", "leaving")

UNKNOWN: Final = "-"

_LONGEST_TEXT: Final = 2000


def duration(seconds: float | None) -> str:
    """0.25 -> "0.2s", 75 -> "1m15s", 7500 -> "2h05m", 180000 -> "2d02h"; "-" for None."""
    if seconds is None:
        return UNKNOWN
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02}m"
    return f"{whole // 86400}d{whole // 3600 % 24:02}h"


def size(number: int | None) -> str:
    """35651584 -> "34.0 MiB"; "-" for None."""
    if number is None:
        return UNKNOWN
    amount, unit = float(number), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1024:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.0f} B" if unit == "B" else f"{amount:.1f} {unit}"


def count(number: int | None) -> str:
    """12345 -> "12,345"; "-" for None."""
    return UNKNOWN if number is None else f"{number:,}"


def text(words: object) -> str:
    """What a client or an application wrote, fit for a terminal: nothing in it moves a cursor or turns a line round."""
    if words is None:
        return ""
    whole = str(words)
    return shown(whole if len(whole) <= _LONGEST_TEXT else whole[:_LONGEST_TEXT] + "...")


def lines(words: object) -> list[str]:
    """A text of several lines, such as a traceback, each line as `text` has it."""
    return [text(line.expandtabs()) for line in str(words).splitlines()]


def states(pool: Mapping[str, Any]) -> dict[str, int]:
    """How many workers of a pool are in which state; those of WORKER_STATES are always there."""
    found = Counter(text(worker["state"]) for worker in pool["workers"])
    return {**dict.fromkeys(WORKER_STATES, 0), **found}


def worker_cells(worker: Mapping[str, Any]) -> tuple[str, ...]:
    """A row of a table: process, generation, state, since when, requests, memory, processor time, request."""
    return (
        text(worker["pid"]),
        text(worker["generation"]),
        text(worker["state"]),
        duration(worker["since"]),
        count(worker["requests"]),
        size(worker["rss"]),
        duration(worker["cpu"]),
        text(worker["request"]),
    )


def wanted(pool: Mapping[str, Any]) -> str:
    """How many workers a pool may have: "4" or "2..16"."""
    least, most = pool["min"], pool["max"]
    return str(most) if least == most else f"{least}..{most}"


def queue(pool: Mapping[str, Any]) -> str:
    """The connections that wait for a worker: "3 of 2048"."""
    pending, limit = pool["queue"]["pending"], pool["queue"]["limit"]
    if pending is None:
        return UNKNOWN
    return count(pending) if limit is None else f"{count(pending)} of {count(limit)}"


def exits(status: Mapping[str, Any]) -> str:
    """How workers ended: "0 (12), SIGKILL (1)"; "none" if none has."""
    ends = sorted(status["exits"].items())
    return ", ".join(f"{text(cause)} ({count(number)})" for cause, number in ends) or "none"
