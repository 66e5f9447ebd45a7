"""This file judges what the cases found by differences.toml, and prints the matrix as a table at the end of the run."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.interop import matrix_requests, matrix_responses
from tests.interop.matrix_case import Case, Facts
from tests.interop.matrix_columns import COLUMNS, Column
from tests.interop.matrix_site import Variant

CASES: dict[str, Case] = {**matrix_requests.case, **matrix_responses.case}

FILE = Path(__file__).with_name("differences.toml")


@dataclass(frozen=True, kw_only=True)
class Difference:
    """What a web server does in its own way.

    Attributes:
        servers: the columns it holds for.
        cases: the rows it holds for.
        facts: those that are other ones than the case has; {mount} stands for the prefix.
        reason: why; a sentence that the table prints.
        only: the variants it holds for, by any of their three words; empty for all.
        sometimes: it may show or not, by chance.
    """

    servers: tuple[str, ...]
    cases: tuple[str, ...]
    facts: Facts
    reason: str
    only: tuple[str, ...] = ()
    sometimes: bool = False

    def holds(self, case: str, column: str, variant: Variant) -> bool:
        words = str(variant).split("-")
        return case in self.cases and column in self.servers and (not self.only or set(self.only) <= set(words))


def load() -> list[Difference]:
    """The table of differences, in its order."""
    rows = tomllib.loads(FILE.read_text(encoding="utf-8"))["difference"]
    return [Difference(**{name: _frozen(value) for name, value in row.items()}) for row in rows]


def _frozen(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


DIFFERENCES = load()


def find(case: str, column: str, variant: Variant) -> list[Difference]:
    return [difference for difference in DIFFERENCES if difference.holds(case, column, variant)]


def judge(case: Case, column: str, variant: Variant, found: Facts) -> list[Difference]:
    """The expected differences that show.

    Raises:
        AssertionError: the facts are neither those of the case nor those of its expected differences.
    """
    known = find(case.name, column, variant)
    certain = [difference for difference in known if not difference.sometimes]
    choices = [certain, *([*certain, chance] for chance in known if chance.sometimes)]
    for shown in choices:
        if found == expect(case, variant, shown):
            return shown
    expected = expect(case, variant, certain)
    lines = [
        f"  {name}: {found.get(name)!r}, not {expected.get(name)!r}"
        + (" as in differences.toml" if expected.get(name) != expect(case, variant, [])[name] else "")
        for name in expected
        if found.get(name) != expected.get(name)
    ]
    raise AssertionError("\n".join((f"{column} ({variant}), {case.name}:", *lines)))


def expect(case: Case, variant: Variant, differences: list[Difference]) -> Facts:
    """The facts of a case with those that differ."""
    facts = dict(case.facts)
    for difference in differences:
        facts |= difference.facts
    return {name: _at(value, variant.mount) for name, value in facts.items()}


def _at(value: Any, mount: str) -> Any:
    return value.replace("{mount}", mount) if isinstance(value, str) else value


# The outcomes, by case and column; a list, for a column is run in several variants.
_outcomes: dict[tuple[str, str], list[str | list[Difference]]] = {}


def enter(case: str, column: Column, outcome: str | list[Difference]) -> None:
    """Note a cell: "FAIL", "missing", or the differences that showed."""
    _outcomes.setdefault((case, column.name), []).append(outcome)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _outcomes:
        terminalreporter.section("interop")
        for line in lines():
            terminalreporter.write_line(line)


def lines() -> Iterator[str]:
    """The table: a row for each case, a column for each web server, and the reasons below."""
    columns = [column.name for column in COLUMNS if any(name == column.name for _, name in _outcomes)]
    notes: list[str] = []
    width = max(map(len, CASES))
    yield "penstock behind web servers that run from what `penstock config` prints: fcgid and proxy_fcgi are modules of"
    yield "Apache, bin-path is lighttpd that starts penstock itself, mpxs is HAProxy with mpxs-conns and get-values"
    yield ""
    yield " " * width + "".join(f"  {name}" for name in columns)
    for case in CASES:
        row = (
            cell(_outcomes.get((case, name), []), notes).center(len(name)).rstrip().ljust(len(name)) for name in columns
        )
        yield (case.ljust(width) + "".join(f"  {text}" for text in row)).rstrip()
    for number, note in enumerate(notes, 1):
        yield f"({number}) {note}"


def cell(outcomes: list[str | list[Difference]], notes: list[str]) -> str:
    """A cell's text: "ok", or the numbers of the reasons; those that are new are added to the notes."""
    for word in ("FAIL", "missing"):
        if word in outcomes:
            return word
    reasons = [note.reason for outcome in outcomes if not isinstance(outcome, str) for note in outcome]
    notes.extend(reason for reason in dict.fromkeys(reasons) if reason not in notes)
    numbers = sorted({notes.index(reason) + 1 for reason in reasons})
    return "".join(f"({number})" for number in numbers) or ("ok" if outcomes else "")
