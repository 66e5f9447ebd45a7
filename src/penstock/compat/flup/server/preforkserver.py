"""This file is flup's server with a pool of processes, as far as programs see it."""

# ruff: noqa: N802, N803 - flup's names

from __future__ import annotations

import signal
from types import FrameType
from typing import ClassVar

from penstock.compat.flup.loop import Loop
from penstock.server.notices import log

__all__ = ["PreforkServer"]


class PreforkServer(Loop):
    """Promises an application one request at a time in its process, and keeps the promise with a single process.

    The pool is for penstock's manager of workers, which does not offer itself to facades yet: so far requests run one
    after another, and minSpare, maxSpare, maxChildren and maxRequests are checked and taken note of. SIGUSR1, which has
    flup replace its children, finds none to replace.

    Raises:
        ValueError: minSpare is below 1, or maxSpare below minSpare.
    """

    _stop_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGTERM)

    def __init__(
        self,
        minSpare: int = 1,
        maxSpare: int = 5,
        maxChildren: int = 50,
        maxRequests: int = 0,
        sockTimeout: object = 0,  # noqa: ARG002 - flup hands it to setblocking(); there is no such socket here
        jobClass: object = None,  # noqa: ARG002
        jobArgs: object = (),  # noqa: ARG002
    ) -> None:
        if minSpare < 1:
            raise ValueError(f"minSpare is {minSpare}; it is at least 1")
        if maxSpare < minSpare:
            raise ValueError(f"maxSpare is {maxSpare}, below minSpare, which is {minSpare}")
        Loop.__init__(self)
        self._minSpare = minSpare
        self._maxSpare = maxSpare
        self._maxChildren = max(maxSpare, maxChildren)
        self._maxRequests = maxRequests

    def _usr1Handler(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        log.info("SIGUSR1: there are no children to replace")

    def _installSignalHandlers(self) -> None:
        super()._installSignalHandlers()
        if self._oldSIGs:
            self._oldSIGs.append((signal.SIGUSR1, signal.getsignal(signal.SIGUSR1)))
            signal.signal(signal.SIGUSR1, self._usr1Handler)
