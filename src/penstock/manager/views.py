"""This file shows a status as text, JSON, HTML or OpenMetrics: pure functions of the document that JSON has."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import parse_qs

from penstock.manager import figures
from penstock.manager.openmetrics import CONTENT_TYPE, openmetrics
from penstock.manager.statuspage import content_security_policy, status_page

FORMS: Final = ("html", "json", "openmetrics", "text")

_ALWAYS: Final = (("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))

_COLUMNS: Final = ("PID", "GEN", "STATE", "SINCE", "REQUESTS", "MEMORY", "CPU", "REQUEST")
_LEFT: Final = {"STATE", "REQUEST"}


class View(NamedTuple):
    """A status to be sent: the headers that belong to it, and the body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def form_of(query: str) -> str:
    """The form that a query string asks for, as in `?json`; html without a word."""
    asked = parse_qs(query, keep_blank_values=True)
    return next((form for form in FORMS if form in asked), "html")


def render(form: str, status: Mapping[str, Any]) -> View:
    """A status in one of FORMS.

    Raises:
        NotInstalled: OpenMetrics needs an extra.
    """
    if form == "html":
        own = (("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", content_security_policy()))
        return View((*own, *_ALWAYS), status_page(status))
    if form == "json":
        return View((("Content-Type", "application/json"), *_ALWAYS), as_json(status).encode("ascii"))
    if form == "openmetrics":
        return View((("Content-Type", CONTENT_TYPE), *_ALWAYS), openmetrics(status))
    return View((("Content-Type", "text/plain; charset=utf-8"), *_ALWAYS), as_text(status).encode())


def as_json(status: Mapping[str, Any]) -> str:
    """The status as it is; ASCII, so that nothing in it reaches a terminal as a command."""
    return json.dumps(status, indent=2) + "\n"


def as_text(status: Mapping[str, Any]) -> str:
    """The status for a terminal."""
    return "\n".join([*_head(status), *(line for pool in status["pools"] for line in _pool(pool))]) + "\n"


def _head(status: Mapping[str, Any]) -> Iterator[str]:
    reloads = status["reloads"]
    version, up = figures.text(status["version"]), figures.duration(status["uptime"])
    yield f"penstock {version}, process {status['pid']}, up {up}, generation {status['generation']}"
    counts = (
        f"requests {figures.count(status['requests'])}",
        f"reloads {reloads['ok']} ok, {reloads['failed']} failed",
        f"spawns {figures.count(status['spawns'])}",
        f"timeouts {figures.count(status['timeouts'])}",
        f"slow {figures.count(status['slow_requests'])}",
        f"log lines lost {figures.count(status['log_lines_dropped'])}",
    )
    yield "   ".join(counts)
    if status["exits"]:
        yield f"exits {figures.exits(status)}"
    last = status["last_reload"]
    if last is not None and not last["ok"]:
        error = figures.lines(last["error"] or "no reason was given")
        yield f"the last reload failed at {figures.text(last['at'])}; the generation before it serves:"
        yield from (f"  {line}" for line in error)


def _pool(pool: Mapping[str, Any]) -> Iterator[str]:
    numbers = ", ".join(f"{number} {state}" for state, number in figures.states(pool).items() if number) or "none"
    yield ""
    yield (
        f"{figures.text(pool['name'])}  {figures.text(pool['app'])}  {figures.text(pool['state'])}"
        f"  workers {len(pool['workers'])} of {figures.wanted(pool)} ({numbers})"
        f"  queue {figures.queue(pool)}  requests {figures.count(pool['requests'])}"
    )
    yield "  " + "  ".join(map(figures.text, pool["bind"]))
    if pool["workers"]:
        yield from _table([_COLUMNS, *map(figures.worker_cells, pool["workers"])])


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (
            cell.ljust(width) if name in _LEFT else cell.rjust(width)
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        )
        yield ("  " + "  ".join(cells)).rstrip()
