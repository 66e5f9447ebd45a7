"""This file holds the fixtures of the tests with real programs that use flup's names."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from penstock.compat.aliases import PATH as OLD_NAMES
from tests.processes import PATIENCE, ROOT


class Program:
    """A running script; standard error is kept for `errors`."""

    def __init__(self, popen: subprocess.Popen[bytes], log) -> None:
        self.popen = popen
        self._log = log

    def wait(self) -> int:
        return self.popen.wait(PATIENCE)

    def stop(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.popen.send_signal(number)
        return self.wait()

    def read(self) -> bytes:
        """All of standard output, up to its end."""
        assert self.popen.stdout is not None
        return self.popen.communicate(timeout=PATIENCE)[0]

    def line(self) -> str:
        """The next line that it prints."""
        assert self.popen.stdout is not None
        return self.popen.stdout.readline().decode().rstrip("\n")

    def errors(self) -> str:
        """Standard error up to now."""
        self._log.seek(0)
        text: str = self._log.read().decode()
        return text


class Programs:
    """Starts scripts in which `import flup` finds the facade, and ends what still runs when the test is over."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Program] = []

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path

    def __call__(
        self,
        script: str | Path,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        stdin: Any = subprocess.DEVNULL,
    ) -> Program:
        """Start a script, given as its text or its path; `env` is all of its environment but PATH and PYTHONPATH."""
        path = self.write(f"script{len(self._started)}.fcgi", script) if isinstance(script, str) else script
        log = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its program
        popen = subprocess.Popen(
            [sys.executable, path, *arguments],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=self.folder,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": os.pathsep.join((OLD_NAMES, str(ROOT / "src"))),
                "PYTHONUNBUFFERED": "1",
                **(env or {}),
            },
        )
        self._started.append(Program(popen, log))
        return self._started[-1]

    def end(self) -> None:
        for program in self._started:
            program.popen.kill()
            program.popen.communicate()
            program._log.close()


@pytest.fixture
def programs(sock_dir: Path) -> Iterator[Programs]:
    """Starts scripts that import flup."""
    started = Programs(sock_dir)
    yield started
    started.end()


@pytest.fixture
def listener(sock_dir: Path) -> Iterator[socket.socket]:
    """A listening socket, as a web server hands it over."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(f"{sock_dir}/listener")
        sock.listen(128)
        yield sock
