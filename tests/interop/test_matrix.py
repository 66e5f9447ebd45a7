"""This file runs the matrix: every case behind every web server, each from the text that `penstock config` prints.

What the table at the end of the run shows is judged here, cell by cell: the facts of the case, or a difference that
differences.toml names with its reason. A difference that is not there fails, and so does one that no longer shows.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from penstock.cli.config.servers import SERVERS
from tests.interop.matrix_case import Case
from tests.interop.matrix_columns import CELLS, COLUMNS, Applications, Column, start
from tests.interop.matrix_site import Site, Variant
from tests.interop.matrix_table import CASES, DIFFERENCES, enter, find, judge
from tests.interop.unprivileged import make_scratch
from tests.processes import Processes

_numbers = count(1)


@pytest.fixture(scope="module")
def room() -> Iterator[Path]:
    """A folder for everything that the matrix starts."""
    folder = make_scratch()
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def applications(room: Path) -> Iterator[Applications]:
    """The applications, which stay while web servers come and go."""
    processes = Processes()
    yield Applications(processes, room)
    processes.end()


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, applications: Applications, room: Path) -> Iterator[Site]:
    """A web server in one of its variants, for all the cases."""
    column: Column
    variant: Variant
    column, variant = request.param
    processes = Processes()
    folder = room / str(next(_numbers))
    word = "missing"
    try:
        found = [str(request.getfixturevalue(name)) for name in column.needs]
        word = "FAIL"
        running = start(column, variant, found, processes, applications, folder)
    except BaseException:
        for case in CASES:
            enter(case, column, word)
        processes.end()
        raise
    running.expected = frozenset(case for case in CASES if find(case, column.name, variant))
    yield running
    running.stop()
    processes.end()
    shutil.rmtree(folder, ignore_errors=True)


RUNS = [
    pytest.param(cell, case, id=f"{cell[0].name}-{cell[1]}-{case.name.replace(' ', '_')}")
    for cell in CELLS
    for case in CASES.values()
    if case.interface in ("", cell[1].interface)
]


@pytest.mark.parametrize(("site", "case"), RUNS, indirect=["site"], scope="module")
def test_a_cell_is_as_expected(request: pytest.FixtureRequest, site: Site, case: Case):
    column = next(column for column in COLUMNS if column.name == site.column)
    request.node.fixturenames = [*request.node.fixturenames, *column.needs]  # the summary counts it for these
    try:
        enter(case.name, column, judge(case, site.column, site.variant, case.run(site)))
    except BaseException:
        enter(case.name, column, "FAIL")
        raise


@pytest.mark.parametrize("difference", DIFFERENCES, ids=lambda row: f"{row.servers[0]}: {row.cases[0]}")
def test_a_difference_is_one_and_is_looked_for(difference):
    for case in difference.cases:
        assert [name for name, fact in difference.facts.items() if CASES[case].facts[name] == fact] == []
        interface = CASES[case].interface
        for server in difference.servers:
            assert [
                variant
                for column, variant in CELLS
                if column.name == server
                and difference.holds(case, server, variant)
                and interface in ("", variant.interface)
            ]
    assert difference.reason


def test_each_whole_configuration_is_run():
    assert {column.config for column in COLUMNS} == {name for name, row in SERVERS.items() if "full" not in row.refuses}
