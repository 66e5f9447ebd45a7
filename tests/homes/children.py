"""This file starts the sample program with chosen descriptors and environment, as web servers and managers do."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.processes import PATIENCE, ROOT

HERE = Path(__file__).resolve().parent
PROGRAM = (sys.executable, str(HERE / "program.py"))
PATH_ALONE = {"PATH": "/usr/bin:/bin"}
NOTHING = -1  # closed


class Child:
    """A process with chosen descriptors.

    Attributes:
        popen: its handle.
    """

    def __init__(self, popen: subprocess.Popen[bytes], errors) -> None:
        self.popen = popen
        self._errors = errors

    @property
    def pid(self) -> int:
        return self.popen.pid

    def wait(self) -> int:
        return self.popen.wait(PATIENCE)

    def stop(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.popen.send_signal(number)
        return self.wait()

    def read_errors(self) -> str:
        """All of standard error up to now."""
        self._errors.seek(0)
        return self._errors.read().decode()


class Starter:
    """Starts the program and ends what still runs when the test is over."""

    def __init__(self) -> None:
        self._started: list[Child] = []

    def __call__(
        self,
        *arguments: str | Path,
        fds: Mapping[int, int],
        env: Mapping[str, str] = PATH_ALONE,
        listen: int | None = None,
    ) -> Child:
        """Start it.

        Args:
            arguments: of the program.
            fds: number in the child -> our descriptor, or NOTHING for one that is closed there. What of 0, 1 and 2 is
                not named is /dev/null, and standard error is kept for `read_errors`.
            env: all of its environment.
            listen: what LISTEN_FDS says; LISTEN_PID is right then.
        """
        errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its child
        plan = {
            "fds": {number: fd for number, fd in fds.items() if fd != NOTHING},
            "closed": [number for number, fd in fds.items() if fd == NOTHING],
            "env": dict(env),
        }
        if listen is not None:
            plan["listen"] = str(listen)
        popen = subprocess.Popen(
            [sys.executable, "-I", HERE / "handover.py", json.dumps(plan), *PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[fd for fd in fds.values() if fd > 2],
            cwd=ROOT,
        )
        child = Child(popen, errors)
        self._started.append(child)
        return child

    def end(self) -> None:
        for child in self._started:
            child.popen.kill()
            child.popen.wait()
            child.read_errors()
            child._errors.close()


def address_of(listener: socket.socket) -> str:
    """Where a client finds it."""
    name = listener.getsockname()
    return f"unix:{name}" if listener.family == socket.AF_UNIX else f"127.0.0.1:{name[1]}"


def read_all(fd: int) -> bytes:
    """Everything up to the end; the descriptor is closed then."""
    with os.fdopen(fd, "rb") as file:
        return file.read()


def cgi_environ(path: str = "/", method: str = "GET", **more: str) -> dict[str, str]:
    """What Apache's mod_cgi gives a program; `more` as in Content_Length="3"."""
    return (
        PATH_ALONE
        | {
            "GATEWAY_INTERFACE": "CGI/1.1",
            "SERVER_SOFTWARE": "Apache/2.4.71 (Unix)",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "example.test",
            "SERVER_PORT": "80",
            "REMOTE_ADDR": "192.0.2.7",
            "REQUEST_METHOD": method,
            "REQUEST_URI": f"/cgi-bin/program.cgi{path}",
            "SCRIPT_NAME": "/cgi-bin/program.cgi",
            "PATH_INFO": path,
            "QUERY_STRING": "",
        }
        | {name.upper(): value for name, value in more.items()}
    )
