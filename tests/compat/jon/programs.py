"""This file runs jonpy programs as web servers do: on a listening socket, or with one request of plain CGI."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penstock.compat.aliases import PATH as OLD_NAMES
from tests.processes import PATIENCE, ROOT
from tests.server.peers import Peer

SCRIPTS = Path(__file__).resolve().parent / "scripts"


class Program:
    """A program that runs; its standard error is kept."""

    def __init__(self, popen: subprocess.Popen[bytes], errors, listener: socket.socket) -> None:
        self.popen = popen
        self._errors = errors
        self._listener = listener

    @property
    def address(self) -> str:
        """As penstock.client takes it."""
        name = self._listener.getsockname()
        return f"unix:{name}" if self._listener.family == socket.AF_UNIX else f"127.0.0.1:{name[1]}"

    def connect(self) -> Peer:
        sock = socket.socket(self._listener.family)
        sock.settimeout(PATIENCE)
        sock.connect(self._listener.getsockname())
        return Peer(sock)

    def wait(self) -> int:
        """Wait for the end; the exit status."""
        return self.popen.wait(PATIENCE)

    def errors(self) -> str:
        """All of standard error; if the program still runs it is ended, for an answer may come before its line."""
        self.popen.send_signal(signal.SIGTERM)
        self.wait()
        self._errors.seek(0)
        return self._errors.read().decode()


class Runner:
    """Runs programs that import old names, such as `jon`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._started: list[Program] = []
        self._files: list = []

    def environ(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        paths = (OLD_NAMES, ROOT / "src", ROOT)
        return {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(map(str, paths)), **(more or {})}

    def script(self, text: str) -> Path:
        """Make a program, for which `cgi` and `fcgi` are imported already."""
        path = self.folder / "program.fcgi"
        path.write_text(f"import jon.cgi as cgi\nimport jon.fcgi as fcgi\n{text}")
        return path

    def serve(self, script: Path | str, listener: socket.socket, env: Mapping[str, str] | None = None) -> Program:
        """Start a program, or the text of one, with the listening socket on descriptor 0."""
        path = self.script(script) if isinstance(script, str) else script
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its program
        self._files.append(errors)
        popen = subprocess.Popen(
            [sys.executable, path],
            stdin=listener.fileno(),
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env=self.environ(env),
            cwd=self.folder,
        )
        program = Program(popen, errors, listener)
        self._started.append(program)
        return program

    def cgi(
        self, script: Path | str, env: Mapping[str, str] | None = None, body: bytes | None = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program for one request, whose body comes from a pipe; None is /dev/null."""
        path = self.script(script) if isinstance(script, str) else script
        source: dict[str, Any] = {"stdin": subprocess.DEVNULL} if body is None else {"input": body}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            [sys.executable, path],
            capture_output=True,
            env=self.environ(env),
            cwd=self.folder,
            timeout=PATIENCE,
            check=False,
            **source,
        )
        return done

    def end(self) -> None:
        for program in self._started:
            program.popen.kill()
            program.popen.wait()
        for file in self._files:
            file.close()
