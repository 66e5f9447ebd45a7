"""This file is a web server that a test has started, whichever it is: where it is, its clients, and when it serves."""

from __future__ import annotations

import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from tests.processes import PATIENCE, Process


@dataclass(frozen=True)
class WebServer:
    """A running web server.

    Attributes:
        process: the program; what would stand in its error log is on its standard error.
        port: where it listens on 127.0.0.1.
        folder: its files; `folder / "htdocs"` is the document root.
    """

    process: Process
    port: int
    folder: Path

    def connect(self) -> HTTPConnection:
        """A client; nothing is sent yet."""
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)


def wait_until_served(process: Process, port: int) -> None:
    """Return once somebody listens on the port: for those that log to a file, and say it nowhere else.

    Raises:
        AssertionError: the program has ended, or the time is up; the message has all that it said.
    """
    for _ in range(int(PATIENCE * 100)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        with suppress(subprocess.TimeoutExpired):
            raise AssertionError(f"it ended with {process.wait(0.01)}:\n{process.output()}")
    raise AssertionError(f"nobody listens on port {port}:\n{process.output()}")
