"""This file holds the fixtures of the tests that run old scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.scripts.spawning import Spawner


@pytest.fixture
def spawner(sock_dir: Path) -> Iterator[Spawner]:
    """Starts scripts, and ends what still runs when the test is over."""
    started = Spawner(sock_dir)
    yield started
    started.end()
