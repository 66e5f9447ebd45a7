"""This file starts penstock as users do, for tests that stand outside of it, and the gate where its requests wait."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from itertools import count
from pathlib import Path

from penstock.client import Client
from tests.processes import PATIENCE, PENSTOCK, ROOT, Process, Processes

SAMPLE = ROOT / "tests" / "interop" / "sample.py"
VALIDATED = str(SAMPLE)
PLAIN = f"{SAMPLE}:plain"

_numbers = count(1)


class Gate:
    """Where requests of the sample application wait: each connects, and goes on once the gate is open.

    Use it as a context manager; it opens at the end, so that nobody waits for ever.
    """

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / f"gate{next(_numbers)}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        self._listener.listen(512)
        self._listener.settimeout(PATIENCE)
        self._waiting = ExitStack()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()
        self._listener.close()

    def arrivals(self, number: int = 1) -> None:
        """Wait until that many more requests stand at the gate."""
        for _ in range(number):
            self._waiting.enter_context(self._listener.accept()[0])

    def open(self) -> None:
        """Let those on that have been waited for."""
        self._waiting.close()


class Backend:
    """A running `penstock serve`.

    Attributes:
        process: the program.
        addresses: where it listens, as it says itself.
    """

    def __init__(self, process: Process, listeners: int) -> None:
        self.process = process
        process.wait_for("penstock .* serves ")
        self.addresses: list[str] = [
            process.wait_for(r"listening on (\S+)", count=number + 1)[1] for number in range(listeners)
        ]
        self._tracebacks = 0

    @property
    def pid(self) -> int:
        return self.process.pid

    def client(self, address: str | None = None) -> Client:
        """A client of the first address, or of the given one."""
        return Client(address or self.addresses[0], timeout=PATIENCE)

    def connect(self, address: str | None = None) -> socket.socket:
        """A connection to the first address, or to the given one."""
        place = address or self.addresses[0]
        if place.startswith("unix:"):
            sock = socket.socket(socket.AF_UNIX)
            try:
                sock.connect(place.removeprefix("unix:"))  # without a time limit it waits when the queue is full
            except OSError:
                sock.close()
                raise
            sock.settimeout(PATIENCE)
            return sock
        host, _, port = place.rpartition(":")
        return socket.create_connection((host, int(port)), PATIENCE)

    def read_log(self) -> list[str]:
        """All of standard error up to now: what a request writes there now stands behind everything else."""
        mark = f"mark {next(_numbers)} of the test"
        with self.client() as client:
            assert client.request("GET", f"/say?name={mark}").status == 200
        self.process.wait_for(mark)
        return list(self.process.stderr)

    def check_sound(self, tracebacks: int = 0) -> None:
        """It still serves, and has logged so many tracebacks since the last check; no iterable was left unclosed."""
        log = self.read_log()
        found = sum("Traceback" in line for line in log)
        new, self._tracebacks = found - self._tracebacks, found
        assert new == tracebacks, "\n".join(log[-60:])
        assert not [line for line in log if re.search("without being closed|fault of penstock", line)]


def start(
    processes: Processes,
    *options: str | Path,
    bind: tuple[str, ...],
    app: str = VALIDATED,
    wrapper: tuple[str, ...] = (),
    env: dict[str, str] | None = None,
) -> Backend:
    """Serve an application and wait until it listens.

    Args:
        options: further options of `penstock serve`.
        bind: the addresses; a TCP port may be 0.
        app: what to serve.
        wrapper: a program and its arguments that becomes what follows it, such as one that lowers a limit.
        env: what to add to its environment.
    """
    binds = [word for address in bind for word in ("--bind", address)]
    process = processes.start(*wrapper, *PENSTOCK, "serve", app, *binds, *options, cwd=ROOT, env=env)
    return Backend(process, len(bind))
