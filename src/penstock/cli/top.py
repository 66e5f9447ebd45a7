"""This file is `penstock top`: the workers as a table that stays up to date, until q or Ctrl-C."""

from __future__ import annotations

import contextlib
import select
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

from penstock.cli.failure import USAGE, Failure
from penstock.cli.status import fetch
from penstock.cli.target import TargetCommand
from penstock.manager import figures

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_INTERVAL: Final = 1.0
_COLOURS: Final = {"busy": "bold blue", "idle": "green", "booting": "yellow", "leaving": "dim"}


class Rates:
    """Requests per second of each process, from one status to the next."""

    def __init__(self) -> None:
        self._before: dict[int, int] = {}
        self._at = 0.0

    def update(self, status: Mapping[str, Any], now: float) -> dict[int, float]:
        """Rates since the last call, by process; empty the first time.

        Args:
            now: seconds of a clock that does not jump.
        """
        counts = {worker["pid"]: worker["requests"] for pool in status["pools"] for worker in pool["workers"]}
        passed = now - self._at
        rates = {
            pid: max(0, number - self._before[pid]) / passed
            for pid, number in counts.items()
            if pid in self._before and passed > 0
        }
        self._before, self._at = counts, now
        return rates


def run(target: str | None) -> None:
    """Show the workers until the user has seen enough.

    Raises:
        Failure: this is no terminal, or nobody answers.
    """
    if not sys.stdout.isatty():
        raise Failure(USAGE, "penstock top needs a terminal; penstock status --watch writes anywhere")
    from rich.live import Live

    rates = Rates()
    with _key_pressed() as wait_for_q, Live(screen=True, auto_refresh=False) as live:
        while True:
            status = fetch(target)
            live.update(picture(status, rates.update(status, time.monotonic())), refresh=True)
            if wait_for_q(_INTERVAL):
                return


@contextlib.contextmanager
def _key_pressed() -> Iterator[Callable[[float], bool]]:
    """Gives a function that waits some seconds and says whether q was pressed meanwhile."""
    import termios
    import tty

    if not sys.stdin.isatty():
        yield _wait_without_keys
        return
    before = termios.tcgetattr(sys.stdin)

    def wait(seconds: float) -> bool:
        readable, _, _ = select.select([sys.stdin], [], [], seconds)
        return bool(readable) and sys.stdin.read(1) in ("q", "Q", "")

    try:
        tty.setcbreak(sys.stdin)
        yield wait
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _wait_without_keys(seconds: float) -> bool:
    time.sleep(seconds)
    return False


def picture(status: Mapping[str, Any], rates: Mapping[int, float]) -> RenderableType:
    """All of it as rich draws it."""
    from rich.console import Group
    from rich.text import Text

    reloads = status["reloads"]
    head = Text.assemble(
        ("penstock ", "bold"),
        f"{figures.text(status['version'])}  process {status['pid']}  up {figures.duration(status['uptime'])}"
        f"  generation {status['generation']}  requests {figures.count(status['requests'])}"
        f"  {sum(rates.values()):.0f}/s  reloads {reloads['ok']}",
        (f" +{reloads['failed']} failed" if reloads["failed"] else "", "red"),
        f"  timeouts {status['timeouts']}  slow {status['slow_requests']}",
    )
    return Group(head, *(_table(pool, rates) for pool in status["pools"]), Text("q ends", style="dim"))


def _table(pool: Mapping[str, Any], rates: Mapping[int, float]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    title = Text.assemble(
        (figures.text(pool["name"]), "bold"),
        f"  {figures.text(pool['app'])}  {figures.text(pool['state'])}"
        f"  workers {len(pool['workers'])} of {figures.wanted(pool)}  queue {figures.queue(pool)}",
    )
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, expand=True, title_style="")
    for name in ("PID", "GEN", "STATE", "SINCE", "REQUESTS", "/S", "MEMORY", "CPU"):
        table.add_column(name, justify="left" if name == "STATE" else "right", no_wrap=True)
    table.add_column("REQUEST", ratio=1, no_wrap=True, overflow="ellipsis")
    for worker in pool["workers"]:
        pid, generation, state, since, requests, memory, cpu, request = figures.worker_cells(worker)
        rate = rates.get(worker["pid"])
        table.add_row(
            *(pid, generation, Text(state, style=_COLOURS.get(state, "")), since, requests),
            figures.UNKNOWN if rate is None else f"{rate:.0f}",
            *(memory, cpu, Text(request)),  # as Text, for [red] in a request is no markup
        )
    return table


command: Final = TargetCommand(
    "top",
    callback=run,
    help="Show the workers of a supervisor as a table that stays up to date.",
    exits="0 ended by q or Ctrl-C, 2 wrong usage, 5 the target did not answer",
)
