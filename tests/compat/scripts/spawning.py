"""This file starts scripts as a web server does, with its listening socket on descriptor 0."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from penstock.client import Client
from penstock.compat.aliases import PATH
from tests.processes import PATIENCE

SCRIPTS = Path(__file__).resolve().parent


class Running:
    """A script at work.

    Attributes:
        popen: its handle.
        address: where it is found.
    """

    def __init__(self, popen: subprocess.Popen[bytes], errors, address: str) -> None:
        self.popen = popen
        self.address = address
        self._errors = errors

    def client(self) -> Client:
        return Client(self.address, timeout=PATIENCE)

    def stop(self, number: int) -> int:
        """Send a signal and return the exit status."""
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)

    def errors(self) -> str:
        """Standard error up to now."""
        self._errors.seek(0)
        text: str = self._errors.read().decode()
        return text


class Spawner:
    """Starts scripts from copies, so that what they leave behind is left there, and ends what still runs.

    Attributes:
        folder: where the copies are, and the socket.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Running] = []

    def copy(self, name: str) -> Path:
        """The script "jon/hello.fcgi" with its neighbours."""
        place = self.folder / name.partition("/")[0]
        if not place.exists():
            shutil.copytree(SCRIPTS / place.name, place, ignore=shutil.ignore_patterns("__pycache__"))
        return self.folder / name

    def spawn(self, name: str, env: Mapping[str, str] | None = None, python: str = sys.executable) -> Running:
        """Start a script as a web server does: in its folder, with the folder of the old names on PYTHONPATH."""
        script = self.copy(name)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(f"{self.folder}/listener")
            listener.listen(128)
            errors = tempfile.TemporaryFile()  # noqa: SIM115 - it lives as long as its program
            popen = subprocess.Popen(
                [python, str(script)],
                stdin=listener.fileno(),
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=script.parent,
                env={"PATH": "/usr/bin:/bin", "PYTHONPATH": PATH, **(env or {})},
            )
        running = Running(popen, errors, f"unix:{self.folder}/listener")
        self._running.append(running)
        return running

    def end(self) -> None:
        for running in self._running:
            running.popen.kill()
            running.popen.communicate()
            running._errors.close()
