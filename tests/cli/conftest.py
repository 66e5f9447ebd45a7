"""This file holds what the tests of the command line share: a folder with an application, ways to run `penstock`."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.supervisors import FakeSupervisor
from tests.processes import PATIENCE, PENSTOCK, Process, Processes, environment

HELLO = """\
def app(environ, start_response):
    body = f"hello from {environ['PATH_INFO']}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""

Run = Callable[..., subprocess.CompletedProcess[bytes]]
Serve = Callable[..., tuple[Process, str]]


@pytest.fixture
def blog(sock_dir: Path) -> Path:
    """A short folder with an application in it, `blog:app`."""
    (sock_dir / "blog.py").write_text(HELLO)
    return sock_dir


@pytest.fixture
def penstock(blog: Path) -> Run:
    """Runs `penstock ARGS` in the folder until it ends."""

    def run(
        *args: str | Path, stdin: bytes = b"", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [*PENSTOCK, *map(str, args)],
            cwd=blog,
            env=environment(env),
            input=stdin,
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )

    return run


@pytest.fixture
def serve(processes: Processes, blog: Path) -> Serve:
    """Starts `penstock serve ARGS` in the folder and waits until it listens; gives the process and its address."""

    def start(
        *args: str, app: str = "blog:app", bind: str | None = None, env: dict[str, str] | None = None
    ) -> tuple[Process, str]:
        address = bind or f"unix:{blog}/app.sock"
        process = processes.penstock("serve", app, "--bind", address, *args, cwd=blog, env=env)
        return process, process.wait_for(r"listening on (\S+)")[1]

    return start


@pytest.fixture
def supervisor(sock_dir: Path) -> Iterator[FakeSupervisor]:
    """Something that speaks the control protocol on `app.sock.control` of the folder."""
    fake = FakeSupervisor(sock_dir / "app.sock.control")
    yield fake
    fake.close()
