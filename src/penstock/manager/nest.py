"""This file is what a supervisor hands to the processes it makes, and how a forked process becomes something else."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from typing import NamedTuple

from penstock.manager.logfile import LogFile
from penstock.manager.plan import PoolPlan
from penstock.manager.privileges import Identity
from penstock.manager.scoreboard import Scoreboard
from penstock.server.gifts import Exchange
from penstock.server.listen import Listener


class Became(BaseException):
    """This process has been forked off: unwind to where it can run without any of its parent's frames below.

    So its end is an ordinary one: atexit functions run, and no `finally` of the parent does.
    """

    def __init__(self, run: Callable[[], int]) -> None:
        super().__init__("forked")
        self.run = run


class Nest(NamedTuple):
    """All that a template and its workers have of their supervisor.

    Attributes:
        pool: what they run.
        preload: import the application before workers are forked.
        identity: who they become; None to stay who we are.
        events: where they tell what happens; the template finds its orders there.
        gate: descriptor that can be read from once this generation may serve.
        lifeline: descriptor that can be read from once the supervisor is gone.
        listeners: of the pool.
        exchange: where its workers leave connections for each other.
        board: of the pool.
        stacks: for each slot a descriptor of a file that stacks are written into.
        access_fd: where access lines go; -1 for no access log.
        access_file: the file behind that, if it is one of ours.
        outputs: for each slot, and last for the template, where stray output goes; empty leaves it where it went.
    """

    pool: PoolPlan
    preload: bool
    identity: Identity | None
    events: socket.socket
    gate: int
    lifeline: int
    listeners: list[Listener]
    exchange: Exchange
    board: Scoreboard
    stacks: Sequence[int] = ()
    access_fd: int = -1
    outputs: Sequence[int] = ()
    access_file: LogFile | None = None
