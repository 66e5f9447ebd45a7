"""This file collects the figures that the fault tests measure and prints them as one table at the end of the run."""

from __future__ import annotations

import os
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.measure import FULL

Figure = Callable[[str, str], None]

figures_key = pytest.StashKey[list[tuple[str, str]]]()

# Memory, CPU time and descriptors of a process are read from /proc, which only Linux has.
if not Path("/proc/self/status").exists():
    collect_ignore_glob = ["test_*.py"]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[figures_key] = []


@pytest.fixture
def figure(request: pytest.FixtureRequest) -> Figure:
    """Keeps a measured figure for the table: what it is, and its value with its unit."""

    def note(what: str, value: str) -> None:
        request.config.stash[figures_key].append((what, value))
        request.node.user_properties.append((what, value))

    return note


@pytest.fixture(scope="session", autouse=True)
def many_descriptors() -> None:
    """As many open files as the system lets us have; what the tests start inherits the limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    rows = config.stash[figures_key]
    if not rows:
        return
    load = f"{os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    terminalreporter.section(f"figures ({'full' if FULL else 'shortened'} tests, load {load})")
    width = max(len(what) for what, _ in rows)
    for what, value in rows:
        terminalreporter.write_line(f"{what:{width}}  {value}")
