"""This file holds the numbers of flup's thread pool; penstock's server has threads of its own."""

# ruff: noqa: N802, N803 - flup's names

from __future__ import annotations

import sys
from typing import Final

from penstock.compat.flup.unsupported import refuse

__all__ = ["ThreadPool"]

MOST_THREADS: Final = 32
"""Threads where a program sets no bound of its own: their number is fixed at the start, so "no limit" has to be one."""


class ThreadPool:
    """How many threads a server may have.

    Args:
        minSpare, maxSpare: idle threads that flup keeps; taken note of, an idle thread costs next to nothing here.
        maxThreads: most threads. More requests than that wait for their turn; flup resets their connections.
    """

    def __init__(self, minSpare: int = 1, maxSpare: int = 5, maxThreads: int = sys.maxsize) -> None:
        self.minSpare = self._minSpare = minSpare
        self.maxSpare = self._maxSpare = maxSpare
        self.maxThreads = self._maxThreads = max(minSpare, maxThreads)
        self._idleCount = self._workerCount = maxSpare

    @property
    def size(self) -> int:
        """The threads that a server gets."""
        return max(1, min(self._maxThreads, MOST_THREADS if self._maxThreads == sys.maxsize else self._maxThreads))

    def addJob(self, job: object, allowQueuing: bool = True) -> bool:  # noqa: ARG002
        """Not offered."""
        refuse("flup's ThreadPool.addJob", "use concurrent.futures.ThreadPoolExecutor")

    def shutdown(self) -> None:
        """Nothing: the threads have ended with the server."""
