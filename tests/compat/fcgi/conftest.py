"""This file holds the fixtures of the tests with real programs: a runner, and sockets to hand over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.fcgi.running import OldPrograms


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[OldPrograms]:
    """Runs programs, and ends what still runs when the test is over."""
    runner = OldPrograms(tmp_path)
    yield runner
    runner.end()


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A listening TCP socket on loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener


@pytest.fixture
def unix(sock_dir: Path) -> Iterator[socket.socket]:
    """A listening unix socket."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{sock_dir}/s")
        listener.listen(1024)
        yield listener
