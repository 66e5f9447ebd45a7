"""Processes and what they cost: started in a session of their own, accounted from /proc, killed to the last one."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

TICK = os.sysconf("SC_CLK_TCK")
SESSION, UTIME, CUTIME = 3, 11, 13  # places in /proc/PID/stat after the command's closing parenthesis


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="latin-1")
    except OSError:
        return None
    return text[text.rindex(")") + 2 :].split()


def members(session: int) -> dict[int, list[str]]:
    """Every process of ``session`` that is not yet a zombie, with its stat fields.

    A session, not a tree of parents: a worker whose parent died is still counted, and still killed.
    """
    found = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))) and int(stat[SESSION]) == session and stat[0] not in "ZX":
            found[int(entry)] = stat
    return found


def cpu_seconds(session: int) -> float:
    """User and system time of all processes and threads of ``session``, with that of children already reaped."""
    ticks = 0
    for stat in members(session).values():
        ticks += sum(map(int, stat[UTIME : CUTIME + 2]))
    return ticks / TICK


def _kib(pid: int, file: str, key: str) -> int:
    try:
        text = Path(f"/proc/{pid}/{file}").read_text(encoding="ascii")
    except OSError:
        return 0
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) if found else 0


def rss_kib(session: int) -> int:
    """Resident memory, summed over the processes of ``session``: pages they share count once for each."""
    return sum(_kib(pid, "status", "VmRSS") for pid in members(session))


def peak_rss_kib(session: int) -> int:
    """The highest resident memory each process ever had, summed."""
    return sum(_kib(pid, "status", "VmHWM") for pid in members(session))


def pss_kib(session: int) -> int:
    """Proportional memory, summed: a page shared by n processes of this machine counts 1/n."""
    return sum(_kib(pid, "smaps_rollup", "Pss") for pid in members(session))


def kill(session: int) -> None:
    """Kill every process of ``session`` and return when none is left (or, after 5 s, give up loudly)."""
    deadline = time.monotonic() + 5
    while left := members(session):
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        if time.monotonic() > deadline:
            raise RuntimeError(f"processes {sorted(left)} do not die")
        time.sleep(0.005)


@contextmanager
def running(
    command: list[str], environment: dict[str, str], folder: Path, log: Path, stdin: int | IO[bytes] | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` in a new session while the block runs, output to ``log``; the session's id is the process's."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            kill(process.pid)
            process.wait()


def tail(log: Path) -> str:
    """The last line of ``log`` that says something, or a sentence that there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "it left no message")
