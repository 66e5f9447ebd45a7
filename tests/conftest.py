"""This file holds the fixtures that all tests share, and the summary that names what ran and what could not."""

from __future__ import annotations

import collections
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from tests.interop.apache import find_module
from tests.interop.unprivileged import find_interpreter
from tests.processes import Processes, adopt_orphans, children, find_binary, find_free_port

IN_CI = os.environ.get("CI") == "true"

# Web servers that tests stand behind. Each has a fixture of its name; a test that asks for the fixture, be it through
# another one, is counted for it in the summary.
WEB_SERVERS = ("nginx", "apache2", "mod_fcgid", "lighttpd", "spawn_fcgi", "caddy", "haproxy", "h2o")

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
        leave_out(f"{name} is not installed")
    return path


def leave_out(reason: str) -> NoReturn:
    """Skip the test for what this machine lacks, but fail under CI=true, where nothing may be left out."""
    (pytest.fail if IN_CI else pytest.skip)(reason)


@pytest.fixture(scope="session")
def nginx() -> str:
    """The path of the nginx program."""
    return require_binary("nginx")


@pytest.fixture(scope="session")
def apache2() -> str:
    """The path of the Apache httpd program, as Debian names it."""
    return require_binary("apache2")


@pytest.fixture(scope="session")
def mod_fcgid(apache2: str) -> Path:
    """The file of Apache's module mod_fcgid, which is a package of its own."""
    module = find_module("fcgid")
    if module is None:
        leave_out("mod_fcgid of Apache is not installed")
    return module


@pytest.fixture(scope="session")
def web_python() -> str:
    """The path of a Python that programs started by a web server can run with, as the user that it is."""
    interpreter = find_interpreter()
    if interpreter is None:
        leave_out("the web server's user can run no Python 3.11 or later, or cannot read this checkout")
    return interpreter


@pytest.fixture(scope="session")
def lighttpd() -> str:
    """The path of the lighttpd program."""
    return require_binary("lighttpd")


@pytest.fixture(scope="session")
def spawn_fcgi() -> str:
    """The path of the spawn-fcgi program."""
    return require_binary("spawn-fcgi")


@pytest.fixture(scope="session")
def caddy() -> str:
    """The path of the Caddy program."""
    return require_binary("caddy")


@pytest.fixture(scope="session")
def haproxy() -> str:
    """The path of the HAProxy program."""
    return require_binary("haproxy")


@pytest.fixture(scope="session")
def h2o() -> str:
    """The path of the h2o program."""
    return require_binary("h2o")


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
        what = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
        terminalreporter.write_line(f"{_version(name)}: {what}")


def _version(name: str) -> str:
    """What a web server says of itself: "nginx version: nginx/1.22.1" -> "nginx/1.22.1"."""
    if name == "mod_fcgid":
        module = find_module("fcgid")
        found = re.search(rb"mod_fcgid/[\d.]+", module.read_bytes()) if module else None
        return found[0].decode() if found else f"{name} IS MISSING"
    program = name.replace("_", "-")
    path = find_binary(program)
    if path is None:
        return f"{program} IS MISSING"
    said = subprocess.run([path, "version" if name == "caddy" else "-v"], capture_output=True, text=True, check=False)
    line = (said.stdout or said.stderr).partition("\n")[0].rpartition(": ")[2].partition(" - ")[0]
    return line if line[:1].isalpha() else f"{program} {line}"
