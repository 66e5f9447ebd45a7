"""This file asks a served filter with `penstock request`, both as programs: no web server of today asks filters."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.processes import PENSTOCK, Processes

FILTER = """
import penstock


class Tell(penstock.Handler):
    def process(self, request):
        changed = f"{request.data_last_modified:%Y-%m-%d %H:%M:%S}"
        body, data = request.stdin.read(), request.data.read()
        request.set_header("Content-Type", "text/plain")
        request.write(f"{request.path} {body!r} {request.data_length} {changed}\\n")
        request.write(data.upper())


app = {penstock.Role.FILTER: Tell}
"""


@pytest.fixture(params=["body first", "streamed"])
def address(request: pytest.FixtureRequest, processes: Processes, sock_dir: Path) -> str:
    """Where the filter listens."""
    program = sock_dir / "tell.py"
    program.write_text(FILTER)
    options = ["--stream-body"] if request.param == "streamed" else []
    served = processes.penstock("serve", program, "--bind", f"unix:{sock_dir}/filter", *options)
    return served.wait_for(r"listening on (\S+)")[1]


@pytest.mark.parametrize("size", [0, 5, 300_000])
def test_a_filter_gets_the_body_and_then_the_file(address: str, processes: Processes, sock_dir: Path, size: int):
    file = sock_dir / "page.txt"
    file.write_bytes((b"0123456789abcdef\n" * (size // 17 + 1))[:size])
    os.utime(file, (0, datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()))
    words = (*PENSTOCK, "request", address, "/page.txt", "-d", "a=1", "--role", "filter", "--filter-data", f"@{file}")
    asked = processes.start(*words)
    assert asked.wait() == 0, asked.output()
    first, *lines = asked.stdout
    assert first == f"/page.txt b'a=1' {size} 2026-03-01 12:00:00"
    assert lines == file.read_text().upper().splitlines()


def test_a_responder_is_not_served_there(address: str, processes: Processes):
    asked = processes.penstock("request", address, "/")
    assert asked.wait() == 5
    asked.wait_for("UNKNOWN_ROLE")
