"""This file reads what a process costs from /proc, and says how large a fault test is to be."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TypeVar

from tests.faults.peer import Peer
from tests.interop.backend import Backend

FULL = os.environ.get("FULL") == "1"
"""`make faults` runs the tests at the size that the figures are promised for, `make test` in short."""

KIB = 1024
MIB = 1024 * KIB

_TICK = 1 / os.sysconf("SC_CLK_TCK")
T = TypeVar("T")


def scaled(short: T, full: T) -> T:
    """The size of a test: `full` under FULL=1, else `short`."""
    return full if FULL else short


class Meter:
    """What one process costs."""

    def __init__(self, pid: int) -> None:
        self._proc = Path("/proc") / str(pid)

    def _memory(self, field: str) -> int:
        found = re.search(rf"{field}:\s+(\d+) kB", (self._proc / "status").read_text())
        assert found
        return int(found[1]) * KIB

    @property
    def rss(self) -> int:
        """Bytes of memory it has now."""
        return self._memory("VmRSS")

    @property
    def peak(self) -> int:
        """Most bytes of memory it has had since `forget_peak`, or since it began."""
        return self._memory("VmHWM")

    def forget_peak(self) -> None:
        (self._proc / "clear_refs").write_text("5")

    @property
    def cpu(self) -> float:
        """Seconds of CPU time it has taken; counted in hundredths."""
        fields = (self._proc / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK

    @property
    def descriptors(self) -> int:
        """Open files and sockets."""
        return len(os.listdir(self._proc / "fd"))

    def link(self, number: int) -> str:
        """What a descriptor is."""
        return os.readlink(self._proc / "fd" / str(number))

    def links(self) -> list[str]:
        """What its descriptors are."""
        return [self.link(int(number)) for number in os.listdir(self._proc / "fd")]


def settle(backend: Backend, meter: Meter, descriptors: int) -> None:
    """Ask until the server has seen that all clients are gone: it has no more descriptors than before they came."""
    for _ in range(1000):
        with Peer(backend) as peer:  # it waits its turn, where the queue of connections is full
            peer.ask("/hello")
            if meter.descriptors <= descriptors + 1:
                return
    raise AssertionError(f"{meter.descriptors} descriptors are open, and {descriptors} were: {meter.links()}")
