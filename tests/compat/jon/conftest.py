"""This file holds the fixture of the tests with real programs: a runner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compat.jon.programs import Runner


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Runner]:
    """Runs programs, and ends what still runs when the test is over."""
    runner = Runner(tmp_path)
    yield runner
    runner.end()
