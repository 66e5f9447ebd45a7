"""This file is flup's server with a pool of threads, as far as programs see it."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

from penstock.compat.flup.loop import Loop
from penstock.compat.flup.server.threadpool import ThreadPool

__all__ = ["ThreadedServer"]


class ThreadedServer(Loop):
    """Runs a WSGIServer's requests in threads.

    Args:
        jobClass, jobArgs: part of flup's signature and not used.
        kw: as for `ThreadPool`.
    """

    def __init__(self, jobClass: object = None, jobArgs: object = (), **kw: int) -> None:  # noqa: ARG002
        Loop.__init__(self)
        self._threadPool = ThreadPool(**kw)

    def _threads(self) -> int:
        return self._threadPool.size
