"""This file starts `penstock serve` with workers on a sample application, and looks at what it leaves behind."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.faults.measure import Meter
from tests.interop.backend import Backend
from tests.processes import PATIENCE, PENSTOCK, Process, Processes, environment

SAMPLE = Path(__file__).with_name("sample.py")

# Files that are changed twice in a second have byte code that Python thinks is theirs.
_ENV = {"PYTHONDONTWRITEBYTECODE": "1"}
_LOOK = 0.01

Status = dict[str, Any]


def write_app(folder: Path, version: int, first: str = "", replace: tuple[str, str] = ("", "")) -> None:
    """Put the sample application there, as a deployment would: it is changed at once, or not at all.

    Args:
        version: what it answers.
        first: code that runs as it is imported.
        replace: a text of it, and what is to stand there.
    """
    text = SAMPLE.read_text().replace("VERSION = 1\n", f"VERSION = {version}\n{first}\n").replace(*replace)
    new = folder / "app.new"
    new.write_text(text)
    new.replace(folder / "app.py")


class Site(Backend):
    """A supervisor that serves the application of its folder; `tell` and `status` go by its control socket.

    Attributes:
        folder: with the application, and with the sockets.
        meter: what the supervisor costs.
    """

    def __init__(self, process: Process, folder: Path) -> None:
        process.wait_for("control socket: ")
        super().__init__(process, 1)
        self.folder = folder
        self.meter = Meter(process.pid)
        self._control = process.wait_for(r"control socket: (\S+)")[1]

    @property
    def address(self) -> str:
        return self.addresses[0]

    def tell(self, command: str, *, wait: bool = False, timeout: float = PATIENCE) -> dict[str, Any]:
        """The answer to a command."""
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(timeout)
            sock.connect(self._control)
            sock.sendall(json.dumps({"command": command, "wait": wait}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(sock.makefile("rb").readline())
            return answer

    def status(self) -> Status:
        status: Status = self.tell("status")["status"]
        return status

    def pool(self) -> Status:
        pool: Status = self.status()["pools"][0]
        return pool

    def workers(self, *states: str) -> list[int]:
        """The workers that are in one of these states, or those that have none of their own to tell: idle or busy."""
        wanted = states or ("idle", "busy")
        return [worker["pid"] for worker in self.pool()["workers"] if worker["state"] in wanted]

    def until(self, what: Callable[[Status], Any], timeout: float = PATIENCE) -> Status:
        """The first status of which that is true."""
        end = time.monotonic() + timeout
        while not what(status := self.status()):
            assert time.monotonic() < end, json.dumps(status, indent=1) + "\n" + self.process.output()
            time.sleep(_LOOK)
        return status

    def reload(self) -> None:
        """A reload that has to be a good one."""
        answer = self.tell("reload", wait=True, timeout=60)
        assert answer["ok"], answer

    def let_leave(self) -> None:
        """Wait until all have gone who were told to: one of them may take a connection before it has heard of it."""
        self.until(lambda status: not any_leaves(status))

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run `penstock WORDS` on this supervisor."""
        return subprocess.run(
            [*PENSTOCK, words[0], self.address, *words[1:]],
            env=environment(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def family(self) -> dict[int, tuple[str, int]]:
        """State and parent of all living processes that the supervisor or one of its children has started."""
        return {pid: told for pid, *told in _processes(self.pid) if told[0] != "Z"}  # type: ignore[misc]

    def template(self) -> int:
        """The newest of its templates: it is a child that is no worker."""
        workers = {worker["pid"] for worker in self.pool()["workers"]}
        children = [pid for pid, (_, parent) in self.family().items() if parent == self.pid and pid not in workers]
        return max(children)

    def zombies(self) -> list[int]:
        """Its children that have ended, and that it has not buried."""
        return [pid for pid, state, parent in _processes(self.pid) if state == "Z" and parent == self.pid]

    def check_gone(self) -> None:
        """No process is left, nor anything in the folder that a process has made."""
        assert until(lambda: not self.family()), self.family()
        left = sorted(path.name for path in self.folder.iterdir() if path.name.startswith("app.sock"))
        assert not left


def any_leaves(status: Status) -> bool:
    """Whether workers are on their way out."""
    return any(worker["state"] == "leaving" for pool in status["pools"] for worker in pool["workers"])


def until(true: Callable[[], Any], timeout: float = PATIENCE) -> bool:
    """Whether it has become true in time; for what nobody tells us."""
    end = time.monotonic() + timeout
    while not true():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK)
    return True


def _processes(session: int) -> Iterator[tuple[int, str, int]]:
    """All processes of a session: number, state, parent."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent, _, found = stat.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(found) == session:
            yield int(stat.parent.name), state, int(parent)


def start(
    processes: Processes,
    folder: Path,
    *options: str | Path,
    app: str = "app:app",
    bind: str = "",
    access_log: bool = False,
    env: dict[str, str] | None = None,
) -> Site:
    """Serve the folder's application, which is put there if there is none yet, and wait until it is served.

    Args:
        options: further options of `penstock serve`.
        app: what to serve.
        bind: address; a unix socket in the folder if it is not given.
        access_log: write one.
        env: what to add to its environment.
    """
    if not (folder / "app.py").exists():
        write_app(folder, 1)
    options = (*options, *(() if bind.startswith("unix:") or not bind else ("--control", f"{folder}/app.sock.control")))
    words = ("serve", app, "--bind", bind or f"unix:{folder}/app.sock", *options)
    if not access_log:
        words = (*words, "--no-access-log")
    return Site(processes.penstock(*words, cwd=folder, env={**_ENV, **(env or {})}), folder)


@contextmanager
def serving(processes: Processes, folder: Path, *options: str | Path, **more: Any) -> Iterator[Site]:
    """A supervisor that does not leak: at the end it has as many descriptors as at the beginning, and no zombies.

    It is stopped, if the test has not done so; it ends with 0 and leaves nothing.
    """
    site = start(processes, folder, *options, **more)
    before = site.meter.links()
    yield site
    if site.process.running:
        # A former generation is kept for the probation of its successor.
        if not until(lambda: site.meter.descriptors == len(before), 20):
            raise AssertionError(f"these were open: {sorted(before)}\nthese are: {sorted(site.meter.links())}")
        assert until(lambda: not site.zombies())
        site.process.send_signal(15)
    assert site.process.wait(60) == 0, site.process.output()
    site.check_gone()
    assert not [line for line in site.process.stderr if re.search("fault of penstock", line)], site.process.output()


def proportional(pid: int, field: str = "Pss") -> int:
    """Bytes of memory that a process has, its share of what is shared included (Pss) or without that (Private_...)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(kib) for kib in re.findall(rf"^{field}:\s+(\d+) kB", text, re.M)) * 1024


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
