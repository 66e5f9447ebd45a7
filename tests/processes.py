"""This file starts programs for tests: what they print is waited for as an event, and none outlives its test."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PENSTOCK = (sys.executable, "-P", "-c", "import sys; from penstock.cli.main import main; sys.exit(main())")
PATIENCE = 20.0  # seconds to wait for an event that is sure to come; a test that waits for all of it has failed

# Below the ports that the system gives to clients, and to whoever asks for any: such a one may be gone a moment later.
_PORTS = range(10_000, 32_000)
_turns = itertools.count(os.getpid() * 1009)  # each run of the tests begins elsewhere, for several may go on at a time


def find_binary(name: str) -> str | None:
    """Where a program is, also in the folders that only root's PATH has on Debian."""
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/local/sbin", "/usr/sbin", "/sbin"))
    return shutil.which(name, path=path)


def find_free_port() -> int:
    """A TCP port on 127.0.0.1 that nobody listens on, and that nobody is given who does not name it."""
    while True:
        port = _PORTS[next(_turns) % len(_PORTS)]
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Process:
    """One running program; `stdout` and `stderr` are the lines it has printed so far, without their ends."""

    def __init__(
        self,
        argv: Sequence[str | Path],
        cwd: str | Path | None = None,
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ):
        # In a session of its own, a signal to its group reaches its children, and the terminal's Ctrl-C does not.
        self._popen = subprocess.Popen(
            [str(part) for part in argv],
            cwd=cwd,
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.pid = self._popen.pid
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._news = threading.Condition()
        self._open_ends = 2
        pairs = ((self._popen.stdout, self.stdout), (self._popen.stderr, self.stderr))
        self._readers = [threading.Thread(target=self._read, args=pair, daemon=True) for pair in pairs]
        for reader in self._readers:
            reader.start()

    def _read(self, pipe, lines: list[str]) -> None:
        with pipe:
            for line in pipe:
                with self._news:
                    lines.append(line.decode("utf-8", "replace").rstrip("\r\n"))
                    self._news.notify_all()
        with self._news:
            self._open_ends -= 1
            self._news.notify_all()

    def wait_for(self, pattern: str, count: int = 1, timeout: float = PATIENCE) -> re.Match[str]:
        """Wait for the `count`-th line on stdout or stderr in which `pattern` is found.

        Raises:
            AssertionError: with all the output, when the time is up or the program has closed its output without it.
        """
        found: list[re.Match[str]] = []

        def arrived() -> bool:
            found[:] = [match for line in self.stdout + self.stderr if (match := re.search(pattern, line))]
            return len(found) >= count or self._open_ends == 0

        with self._news:
            self._news.wait_for(arrived, timeout)
        assert len(found) >= count, f"{pattern!r} was found {len(found)} times, not {count}:\n{self.output()}"
        return found[count - 1]

    def wait(self, timeout: float = PATIENCE) -> int:
        """Wait for the end and return the exit code, negative for a signal; all output has been read by then."""
        code = self._popen.wait(timeout)
        for reader in self._readers:
            reader.join(timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal to the program alone."""
        self._popen.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, timeout: float = PATIENCE) -> int:
        """Ask the program to end, wait until it has, and return its exit code."""
        self.send_signal(number)
        return self.wait(timeout)

    def kill(self) -> None:
        """End the program and everything it started in its session, whatever state they are in."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self._popen.wait()
        for reader in self._readers:
            reader.join(PATIENCE)

    @property
    def running(self) -> bool:
        return self._popen.poll() is None

    def output(self) -> str:
        """Everything printed so far, for a message."""
        return "\n".join(("stdout:", *self.stdout, "stderr:", *self.stderr))


class Processes:
    """Starts programs and ends, together with the test, those that still run."""

    def __init__(self) -> None:
        self._started: list[Process] = []

    def start(
        self,
        *argv: str | Path,
        cwd: str | Path | None = None,
        env: dict[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> Process:
        """Start a program; `env` is added to the environment of the tests, `pass_fds` are left open to it."""
        process = Process(argv, cwd, env, pass_fds)
        self._started.append(process)
        return process

    def penstock(self, *args: str | Path, cwd: str | Path | None = None, env: dict[str, str] | None = None) -> Process:
        """Start `penstock ARGS` from this checkout, in the checkout's own folder if `cwd` is not given."""
        return self.start(*PENSTOCK, *args, cwd=cwd or ROOT, env=env)

    def end(self) -> None:
        while self._started:
            self._started.pop().kill()


def environment(extra: dict[str, str] | None = None) -> dict[str, str]:
    """The environment of a program under test: this checkout's source first, none of the user's penstock settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
    env["PYTHONPATH"] = os.pathsep.join((str(ROOT / "src"), *filter(None, [env.get("PYTHONPATH")])))
    return env | (extra or {})


def adopt_orphans() -> None:
    """Make a process whose parent has died our child, so that `children` still finds it. Linux only; else nothing."""
    pr_set_child_subreaper = 36  # <linux/prctl.h>
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(pr_set_child_subreaper, 1, 0, 0, 0)


def children() -> Iterator[str]:
    """The command lines of our child processes that are alive."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
            command = (stat.parent / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue  # it has ended while we looked
        # The resource tracker belongs to multiprocessing, which ends it together with this process.
        if int(parent) == os.getpid() and state != "Z" and "multiprocessing.resource_tracker" not in command:
            yield f"{stat.parent.name}: {command}"
