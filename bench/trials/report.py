"""This file turns outcomes into the table, the JSON file and the Markdown file of the trials."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.report import Run, scrub, write_both
from bench.trials.crowd import CONNECTIONS, PAUSE
from bench.trials.six import ASKED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.trials.contenders import Contender
    from bench.trials.six import Outcome


@dataclass(kw_only=True)
class Results(Run):
    """All that one run found; ``outcomes`` by trial and contender, one for each round."""

    contenders: list[Contender]
    outcomes: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)

    def served(self) -> list[Contender]:
        """Those who came to an outcome."""
        return [one for one in self.contenders if any(one.name in by_name for by_name in self.outcomes.values())]


def _failed(outcomes: list[Outcome]) -> str:
    count = sum(sum(outcome.failed.values()) for outcome in outcomes)
    return f"{count:,} of {sum(outcome.requests for outcome in outcomes):,}"


def _longest(outcomes: list[Outcome]) -> str:
    return f"{max(outcome.longest_ms or 0.0 for outcome in outcomes):,.0f}"


def _stale(outcomes: list[Outcome]) -> str:
    # Whoever never came to the new code showed none of the old beside it either; that is no merit.
    if any(outcome.reload_s is None for outcome in outcomes):
        return "the new never came"
    return f"{sum(outcome.stale or 0 for outcome in outcomes):,}"


def _seconds(times: list[float | None]) -> str:
    value = statistics.median(math.inf if time is None else time for time in times)
    return f"{value:.1f}" if value < math.inf else "never"


def _reload_s(outcomes: list[Outcome]) -> str:
    return _seconds([outcome.reload_s for outcome in outcomes])


def _killed(outcomes: list[Outcome]) -> str:
    return str(sum(outcome.killed or 0 for outcome in outcomes))


def _alive(outcomes: list[Outcome]) -> str:
    answered = [outcome.alive or 0 for outcome in outcomes]
    if min(answered) == ASKED:
        return "yes"
    return "in part" if max(answered) else "**no**"


def _stop_s(outcomes: list[Outcome]) -> str:
    return _seconds([outcome.stop_s for outcome in outcomes])


def _left(outcomes: list[Outcome]) -> str:
    return str(max(outcome.left or 0 for outcome in outcomes))


def _again_s(outcomes: list[Outcome]) -> str:
    times = [outcome.again_s for outcome in outcomes if outcome.again_s is not None]
    if len(times) == len(outcomes):
        return f"yes, {max(times):.1f} s"
    return f"in {len(times)} of {len(outcomes)}" if times else "**no**"


ROWS: tuple[tuple[str, str, str, Callable[[list[Outcome]], str]], ...] = (
    ("reload", "1. New code, reload", "failed requests", _failed),
    ("reload", "", "longest wait, ms", _longest),
    ("reload", "", "old code after new", _stale),
    ("reload", "", "until all see new code, s", _reload_s),
    ("slow", "2. New code that imports for 3 s, reload", "failed requests", _failed),
    ("slow", "", "longest wait, ms", _longest),
    ("slow", "", "old code after new", _stale),
    ("broken", "3. Broken code, reload, 10 s", "the site survives", _alive),
    ("broken", "", "failed requests", _failed),
    ("broken", "", "longest wait, ms", _longest),
    ("kills", "4. A worker killed each 250 ms, 5 s", "failed requests", _failed),
    ("kills", "", "workers killed", _killed),
    ("kills", "", "longest wait, ms", _longest),
    ("stop", "5. Graceful stop, 50 requests run or wait", "lost requests", _failed),
    ("stop", "", "until it has ended, s", _stop_s),
    ("master", "6. The master killed", "processes left after 5 s", _left),
    ("master", "", "failed requests in these 5 s", _failed),
    ("master", "", "a new start serves new code", _again_s),
)


def table(results: Results) -> list[str]:
    """One column for each contender, one line for each figure."""
    served = results.served()
    heads = [f"{one.name} {results.versions.get(one.distribution or '', '')}".strip() for one in served]
    lines = [f"| trial | figure | {' | '.join(heads)} |", "|---|---|" + "--:|" * len(served)]
    for trial, title, what, figure in ROWS:
        by_name = results.outcomes.get(trial, {})
        if not by_name:
            continue
        figures = {name: figure(outcomes) for name, outcomes in by_name.items() if outcomes}
        cells = [figures.get(one.name, "n/a") for one in served]
        lines.append(f"| {title} | {what} | {' | '.join(cells)} |")
    return lines


def _ways(results: Results) -> list[str]:
    lines = ["| contender | as | reload | graceful stop | command |", "|---|---|---|---|---|"]
    for one in results.served():
        command = scrub(" ".join(one.arguments("/run/s")))
        lines.append(
            f"| {one.name} | {one.about}; {one.protocol} | {one.reload_text} | {one.stop_text} | `{command}` |"
        )
    return lines


def _notes(results: Results) -> list[str]:
    lines = results.absences()
    for trial, by_name in results.outcomes.items():
        for name, outcomes in by_name.items():
            seen: Counter[str] = Counter()
            for outcome in outcomes:
                seen.update(outcome.failed)
            reasons = {outcome.again_why for outcome in outcomes if outcome.again_why}
            lines += [f"- {trial}, {name}: the new start: {scrub(why)}" for why in sorted(reasons)]
            if seen:
                lines.append(f"- {trial}, {name}: " + ", ".join(f"{count:,} {what}" for what, count in seen.items()))
    return lines or ["- nothing"]


def markdown(results: Results) -> str:
    """The whole report as Markdown."""
    load = (
        f"All stand behind one nginx, with four workers. {CONNECTIONS} connections ask all the time, GET and POST "
        f"by turns, with {PAUSE * 1000:.0f} ms of pause after each answer; a request takes 2 ms. Requests are added up "
        "over the rounds, waits and new starts are the longest of all rounds, other times are medians."
    )
    parts = [
        ["# Reloads, kills and stops", ""],
        [*results.opening(), "", load, ""],
        [*table(results), "", "## How each was run", "", *_ways(results), "", "## What failed, and how", ""],
        [*_notes(results), ""],
    ]
    return "\n".join(line for part in parts for line in part)


def as_json(results: Results) -> dict[str, Any]:
    """The whole report as plain data, every round included."""
    return {
        **results.as_data(),
        "trials": {
            trial: {name: [outcome.values() for outcome in outcomes] for name, outcomes in by_name.items()}
            for trial, by_name in results.outcomes.items()
        },
    }


def write(results: Results, folder: Path) -> None:
    """Write trials.json and trials.md into ``folder``."""
    write_both(folder, "trials", as_json(results), markdown(results))
