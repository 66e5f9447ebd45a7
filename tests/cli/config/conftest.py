"""This file holds what the tests with real web servers share: programs, an interpreter for all, folders for all."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock.cli.config.servers import find_server
from tests.cli.config import running
from tests.interop.unprivileged import make_scratch
from tests.processes import Processes


@pytest.fixture
def program(request: pytest.FixtureRequest) -> str:
    """The program of the SERVER that a test is about; a module of it may be needed too."""
    return running.find_program(request, request.getfixturevalue("server"))


@pytest.fixture
def python(request: pytest.FixtureRequest) -> str:
    """The interpreter that the web server is to start, where it does."""
    row = find_server(request.getfixturevalue("server"))
    return str(request.getfixturevalue("open_python")) if row.spawns else sys.executable


@pytest.fixture(scope="session")
def open_python(web_python: str) -> Iterator[str]:
    """A Python with this checkout's penstock that the web server's user can run without any environment."""
    folder = make_scratch()
    yield running.make_environment(web_python, folder / "env")
    shutil.rmtree(folder)


@pytest.fixture
def scratch(processes: Processes) -> Iterator[Path]:
    """A folder that every user can enter; what runs in it ends before it goes."""
    folder = make_scratch()
    yield folder
    processes.end()
    shutil.rmtree(folder)
