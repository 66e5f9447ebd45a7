"""Samples into results: medians and spreads, the machine's facts, the JSON file and the Markdown table.

What every report of this folder has, that of the trials too, is ``Run`` and what stands around it.
"""

from __future__ import annotations

import json
import os
import platform
import re
import socket
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.load import CONNECTIONS, LOADS

if TYPE_CHECKING:
    from pathlib import Path

    from bench.checks import Check
    from bench.peers import Peer
    from bench.stage import Sample

REFERENCE = "uwsgi"


@dataclass(frozen=True)
class Figure:
    """Median, smallest and largest of one figure over the rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: list[float]) -> Figure:
        """The figure of ``values``, which is not empty."""
        return cls(statistics.median(values), min(values), max(values))


@dataclass(kw_only=True)
class Run:
    """What is to be said of any run: where and how it was, and who has no figures; versions by distribution."""

    facts: dict[str, str]
    versions: dict[str, str]
    command: str
    left_out: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def opening(self) -> list[str]:
        """The lines with the facts."""
        return [
            *(f"- {name}: {fact}" for name, fact in self.facts.items()),
            f"- Repeat it: `{scrub(self.command)}`",
        ]

    def absences(self) -> list[str]:
        """The lines about those who have no figures."""
        found = (("left out", self.left_out), ("failed", self.failed))
        return [f"- {how}: **{name}**: {scrub(why)}" for how, names in found for name, why in names.items()]

    def as_data(self) -> dict[str, Any]:
        """The same as plain data."""
        return {
            "facts": self.facts,
            "command": scrub(self.command),
            "versions": self.versions,
            "left_out": {name: scrub(why) for name, why in self.left_out.items()},
            "failed": {name: scrub(why) for name, why in self.failed.items()},
        }


@dataclass(kw_only=True)
class Results(Run):
    """All that one run found; ``samples`` by load and peer, one sample per round."""

    peers: list[Peer]
    samples: dict[str, dict[str, list[Sample]]] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)

    def figures(self, load: str) -> dict[str, dict[str, Figure]]:
        """Per peer that came through ``load``, each figure over the rounds; the cheapest in CPU first."""
        found = {}
        for name, samples in self.samples.get(load, {}).items():
            if samples and f"{name}, {load}" not in self.failed:
                rows = [sample.values() for sample in samples]
                found[name] = {key: Figure.of([row[key] for row in rows]) for key in rows[0]}
        return dict(sorted(found.items(), key=lambda item: item[1]["cpu_us"].median))

    def medians(self, load: str, key: str) -> dict[str, float]:
        """The median of one figure by peer."""
        return {name: figures[key].median for name, figures in self.figures(load).items()}


def machine(nginx_version: str) -> dict[str, str]:
    """What a reader needs to place the absolute figures; no names of hosts or folders."""
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0))
    return {
        "CPU": f"{model}, {cores} core{'s' if cores != 1 else ''} usable",
        "Kernel": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "nginx": nginx_version,
        "Load average at the start": f"{os.getloadavg()[0]:.2f}",
    }


def scrub(text: str) -> str:
    """``text`` without absolute folders and without this machine's name."""
    text = re.sub(r"(?<![\w.])/(?:[\w.+@-]+/)+", "", text)
    return text.replace(socket.gethostname(), "localhost") if len(socket.gethostname()) > 3 else text


def _row(peer: Peer, version: str, figures: dict[str, Figure], reference: float | None) -> str:
    cpu = figures["cpu_us"]
    ratio = f"{cpu.median / reference:.2f}" if reference else "n/a"
    name = f"**{peer.name}**" if peer.distribution == "penstock" else peer.name
    mark = " †" if figures["bad"].high or figures["broken"].high else ""
    cells = (
        f"{name} {version}".strip() + mark,
        peer.about,
        peer.protocol,
        f"**{cpu.median:.1f}**",
        f"{cpu.low:.1f} to {cpu.high:.1f}",
        ratio,
        f"{figures['nginx_us'].median:.1f}",
        f"{figures['requests_per_second'].median:,.0f}",
        f"{figures['p99_ms'].median:.1f}",
        f"{figures['rss_kib'].median / 1024:.1f}",
    )
    return f"| {' | '.join(cells)} |"


HEAD = (
    f"| server | set-up | nginx speaks | CPU µs / request | spread | ratio to {REFERENCE} | nginx's own CPU µs "
    "| requests / s | p99 ms | RSS MiB |\n|---|---|---|--:|--:|--:|--:|--:|--:|--:|"
)


def _table(results: Results, load: str) -> list[str]:
    figures = results.figures(load)
    reference = figures[REFERENCE]["cpu_us"].median if REFERENCE in figures else None
    by_name = {peer.name: peer for peer in results.peers}
    rows = [
        _row(by_name[name], results.versions.get(by_name[name].distribution or "", ""), found, reference)
        for name, found in figures.items()
    ]
    return [f"### {load}: {LOADS[load].title}", "", HEAD, *rows, ""]


def _notes(results: Results) -> list[str]:
    lines = results.absences()
    for load, by_peer in results.samples.items():
        for name, samples in by_peer.items():
            good, bad, broken = (sum(getattr(one, key) for one in samples) for key in ("requests", "bad", "broken"))
            if (bad or broken) and f"{name}, {load}" not in results.failed:
                what = f"{bad} error answers and {broken} broken connections beside {good} good answers"
                lines.append(f"- failed in part (†): **{name}, {load}**: {what}")
    return ["### Left out, failed", "", *(lines or ["- nobody"]), ""]


def _bars(checks: list[Check]) -> list[str]:
    lines = ["### Bars", "", "| what | measured | bar | verdict | |", "|---|--:|--:|---|---|"]
    for check in checks:
        value = "n/a" if check.value is None else f"{check.value:.2f} {check.unit}"
        note = scrub(check.note)
        lines.append(f"| {check.about} | {value} | ≤ {check.bar:g} {check.unit} | **{check.verdict}** | {note} |")
    return [*lines, ""]


def markdown(results: Results) -> str:
    """The whole report as Markdown."""
    lines = ["# penstock and its peers behind one nginx", "", *results.opening()]
    lines += [
        "",
        "CPU µs / request: user and system time of all processes and threads of the application server, divided by the "
        f"good answers wrk counted (`wrk -t1 -c{CONNECTIONS}`). Every figure is the median of the rounds, in which "
        "each peer ran once, in a shuffled order; the spread is the smallest and the largest round. RSS is summed over "
        "the server's processes after the load. Figures differ from machine to machine; ratios hold.",
        "",
    ]
    for load in results.samples:
        lines += _table(results, load)
    lines += _bars(results.checks) + _notes(results)
    return "\n".join(lines)


def as_json(results: Results) -> dict[str, Any]:
    """The whole report as plain data, every round's sample included."""
    return {
        **results.as_data(),
        "loads": {
            load: {
                name: {
                    "figures": {key: asdict(figure) for key, figure in figures.items()},
                    "rounds": [sample.values() for sample in results.samples[load][name]],
                }
                for name, figures in results.figures(load).items()
            }
            for load in results.samples
        },
        "checks": [asdict(check) | {"verdict": check.verdict, "note": scrub(check.note)} for check in results.checks],
    }


def write(results: Results, folder: Path, picture: str) -> None:
    """Write latest.json, latest.md and latest.svg into ``folder``."""
    write_both(folder, "latest", as_json(results), markdown(results))
    (folder / "latest.svg").write_text(picture, encoding="utf-8")


def write_both(folder: Path, name: str, data: dict[str, Any], text: str) -> None:
    """Write NAME.json and NAME.md into ``folder``, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(text, encoding="utf-8")
