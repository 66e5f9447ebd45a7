"""This file holds the fixtures that all tests share, and the summary that names what ran and what could not."""

from __future__ import annotations

import collections
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.processes import Processes, adopt_orphans, children, find_binary, find_free_port

IN_CI = os.environ.get("CI") == "true"

# Web servers that tests stand behind. Each has a fixture of its name; a test that asks for the fixture, be it through
# another one, is counted for it in the summary.
WEB_SERVERS = ("nginx",)

# No deadlines: the machine may be busy. A property that hangs is ended by the time limit of its test.
settings.register_profile("default", max_examples=100, deadline=None)
# In CI the examples are the same each time: the change is judged there. `make fuzz` is for finding new ones.
settings.register_profile("ci", max_examples=300, deadline=None, derandomize=True)
settings.register_profile(
    "fuzz", max_examples=10_000, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if IN_CI else "default"))

outcomes_key = pytest.StashKey[dict[str, collections.Counter[str]]]()


def require_binary(name: str) -> str:
    """The path of a program. Without it the test is skipped, but fails under CI=true, where nothing may be left out."""
    path = find_binary(name)
    if path is None:
        (pytest.fail if IN_CI else pytest.skip)(f"{name} is not installed")
    return path


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of the nginx program."""
    return require_binary("nginx")


@pytest.fixture
def sock_dir() -> Iterator[Path]:
    """A fresh folder with a path short enough for unix sockets, whose limit of 107 bytes `tmp_path` soon exceeds."""
    folder = tempfile.mkdtemp(prefix="ps", dir="/tmp")
    yield Path(folder)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on."""
    return find_free_port()


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Starts programs, and ends them with all their children when the test is over."""
    started = Processes()
    yield started
    started.end()


def pytest_configure(config: pytest.Config) -> None:
    outcomes: dict[str, collections.Counter[str]] = {name: collections.Counter() for name in WEB_SERVERS}
    config.stash[outcomes_key] = outcomes


def pytest_sessionstart() -> None:
    adopt_orphans()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    report: pytest.TestReport = yield
    if report.when == "call" or report.outcome != "passed":
        for name in set(WEB_SERVERS).intersection(getattr(item, "fixturenames", ())):
            item.config.stash[outcomes_key][name][report.outcome] += 1
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    left = list(children())
    if left:
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line("\nprocesses were left behind:", red=True)
            for line in left:
                reporter.write_line(f"  {line}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    asked_for = {name: counts for name, counts in config.stash[outcomes_key].items() if counts}
    if not asked_for:
        return
    terminalreporter.section("web servers")
    for name, counts in asked_for.items():
        path = find_binary(name)
        what = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        terminalreporter.write_line(f"{_version(path) if path else f'{name} IS MISSING'}: {what}")


def _version(path: str) -> str:
    """What the program says of itself: "nginx version: nginx/1.22.1" -> "nginx/1.22.1"."""
    said = subprocess.run([path, "-v"], capture_output=True, text=True, check=False)
    return (said.stderr or said.stdout).partition("\n")[0].rpartition(": ")[2]
