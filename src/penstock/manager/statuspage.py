"""This file draws the status page: one HTML document without scripts, images or anything from elsewhere.

Request lines and error messages are a stranger's words. They are escaped where they are put in, and the policy that
goes with the page lets a browser apply one style sheet and run nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from typing import Any, Final

from penstock.manager import figures

_REFRESH: Final = 5
"""Seconds after which a browser asks again."""

_MOST_LAMPS: Final = 200

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #16232d; --soft: #5b6d78; --paper: #f4f7f8; --card: #fff; --line: #d5dfe4;
  --busy: #1769aa; --idle: #2e8b57; --booting: #b7791f; --leaving: #6b7a84; --red: #b3261e }
@media (prefers-color-scheme: dark) {
  :root { --ink: #dbe7ec; --soft: #93a7b2; --paper: #0f171c; --card: #17232a; --line: #2a3b45;
    --busy: #5aaeea; --idle: #5cc98d; --booting: #e3b04b; --leaving: #8fa0aa; --red: #ff8a80 }
}
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif }
main { max-width: 72rem; margin: 2.5rem auto; padding: 0 1.25rem }
h1 { font-size: 1.4rem; margin: 0 }
h1 small, h2 small { font-weight: 400; color: var(--soft); font-size: .9rem; margin-left: .6rem }
h2 { font-size: 1.1rem; margin: 0 }
code, pre { font: .85rem/1.5 ui-monospace, monospace; overflow-wrap: anywhere }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(7.5rem, 1fr)); gap: .75rem; margin: 1.25rem 0 }
dl div, section, .failed { background: var(--card); border: 1px solid var(--line); border-radius: .6rem }
dl div { padding: .55rem .9rem }
dt { color: var(--soft); font-size: .8rem }
dd { margin: 0; font-size: 1.25rem; font-variant-numeric: tabular-nums }
section, .failed { padding: 1rem 1.1rem; margin: 1rem 0 }
section p { margin: .15rem 0; color: var(--soft) }
.failed { border-color: var(--red) }
.failed p { margin: 0; color: var(--red); font-weight: 600 }
.failed pre { margin: .6rem 0 0; white-space: pre-wrap }
.lamps { display: flex; flex-wrap: wrap; gap: 4px; margin: .8rem 0 }
.lamps i { width: 14px; height: 14px; border-radius: 4px; border: 1px solid var(--line) }
i.busy { background: var(--busy) } i.idle { background: var(--idle) }
i.booting { background: var(--booting) } i.leaving { background: var(--leaving) }
b.busy { color: var(--busy) } b.idle { color: var(--idle) } b.booting { color: var(--booting) }
b.leaving { color: var(--leaving) } b.alarm { color: var(--red) }
.wide { overflow-x: auto }
table { border-collapse: collapse; width: 100%; font-size: .9rem; font-variant-numeric: tabular-nums }
th, td { text-align: right; padding: .3rem .7rem; border-top: 1px solid var(--line); white-space: nowrap }
th { color: var(--soft); font-weight: 400; border-top: 0 }
td:last-child, th:last-child { text-align: left; white-space: normal; width: 45%; min-width: 12rem }
td:nth-child(3), th:nth-child(3) { text-align: left }
footer { color: var(--soft); font-size: .85rem; margin: 1.5rem 0 }
a { color: inherit }
"""

_HEADINGS: Final = ("process", "generation", "state", "since", "requests", "memory", "CPU", "request")


@cache
def content_security_policy() -> str:
    """The header of that name: a browser may apply the page's style sheet, known by its hash, and nothing else."""
    from base64 import b64encode
    from hashlib import sha256

    digest = b64encode(sha256(_STYLE.encode()).digest()).decode("ascii")
    return (
        f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def status_page(status: Mapping[str, Any]) -> bytes:
    """The whole page."""
    title = f"penstock: {len(status['pools'])} pools" if len(status["pools"]) != 1 else "penstock"
    parts = (
        '<!doctype html>\n<html lang="en">\n<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="refresh" content="{_REFRESH}">',
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n<main>",
        *_head(status),
        *(part for pool in status["pools"] for part in _pool(pool)),
        '<footer>The same as <a href="?json">JSON</a>, <a href="?text">text</a>,'
        ' <a href="?openmetrics">OpenMetrics</a>.</footer>\n</main>\n</html>\n',
    )
    return "\n".join(parts).encode("utf-8", "backslashreplace")


def _text(words: object) -> str:
    return escape(figures.text(words))


def _head(status: Mapping[str, Any]) -> Iterator[str]:
    up = figures.duration(status["uptime"])
    yield (
        f"<header><h1>penstock <small>{_text(status['version'])}, process {_text(status['pid'])}, up {up}</small></h1>"
    )
    reloads = status["reloads"]
    tiles = (
        ("requests", figures.count(status["requests"])),
        ("generation", figures.count(status["generation"])),
        (
            "reloads",
            f"{figures.count(reloads['ok'])}" + (f" + {reloads['failed']} failed" if reloads["failed"] else ""),
        ),
        ("workers started", figures.count(status["spawns"])),
        ("slow requests", figures.count(status["slow_requests"])),
        ("timeouts", figures.count(status["timeouts"])),
        ("log lines lost", figures.count(status["log_lines_dropped"])),
    )
    yield "<dl>" + "".join(f"<div><dt>{name}</dt><dd>{escape(value)}</dd></div>" for name, value in tiles) + "</dl>"
    if status["exits"]:
        yield f"<p>Workers have ended with: {escape(figures.exits(status))}</p>"
    yield "</header>"
    last = status["last_reload"]
    if last is not None and not last["ok"]:
        error = "\n".join(figures.lines(last["error"] or "no reason was given"))
        yield (
            f'<div class="failed"><p>The last reload failed at {_text(last["at"])};'
            f" the generation before it serves.</p><pre>{escape(error)}</pre></div>"
        )


def _pool(pool: Mapping[str, Any]) -> Iterator[str]:
    places = " ".join(f"<code>{_text(place)}</code>" for place in pool["bind"])
    mood = "idle" if pool["state"] == "serving" else "booting" if pool["state"] == "starting" else "alarm"
    numbers = ", ".join(f"{number} {escape(state)}" for state, number in figures.states(pool).items() if number)
    yield f'<section><h2>{_text(pool["name"])} <small><b class="{mood}">{_text(pool["state"])}</b></small></h2>'
    yield f"<p><code>{_text(pool['app'])}</code> at {places}</p>"
    yield f'<div class="lamps" aria-hidden="true">{_lamps(pool)}</div>'
    yield (
        f"<p>{len(pool['workers'])} workers of {figures.wanted(pool)}{f': {numbers}' if numbers else ''}"
        f" &middot; queue {figures.queue(pool)} &middot; {figures.count(pool['requests'])} requests</p>"
    )
    if pool["workers"]:
        yield '<div class="wide"><table>'
        yield "<tr>" + "".join(f'<th scope="col">{name}</th>' for name in _HEADINGS) + "</tr>"
        yield from map(_worker, pool["workers"])
        yield "</table></div>"
    yield "</section>"


def _lamps(pool: Mapping[str, Any]) -> str:
    """A lamp for each worker, and a dark one for each that there may be besides."""
    lit = [f'<i class="{_class(worker)}"></i>' for worker in pool["workers"]]
    return "".join([*lit, *["<i></i>"] * (pool["max"] - len(lit))][:_MOST_LAMPS])


def _class(worker: Mapping[str, Any]) -> str:
    return worker["state"] if worker["state"] in figures.WORKER_STATES else "leaving"


def _worker(worker: Mapping[str, Any]) -> str:
    pid, generation, state, *numbers, request = map(escape, figures.worker_cells(worker))
    cells = (pid, generation, f'<b class="{_class(worker)}">{state}</b>', *numbers, f"<code>{request}</code>")
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>"
