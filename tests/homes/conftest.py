"""This file holds the fixtures of the tests with real processes: a starter, and sockets to hand over."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.homes.children import Starter


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts the program."""
    starter = Starter()
    yield starter
    starter.end()


@pytest.fixture
def unix(sock_dir: Path) -> Iterator[socket.socket]:
    """A listening unix socket, as a web server makes one."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{sock_dir}/s")
        listener.listen(1024)
        yield listener


@pytest.fixture
def tcp() -> Iterator[socket.socket]:
    """A listening TCP socket on loopback."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield listener
