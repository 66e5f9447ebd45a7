"""This file is one generation of a pool as its supervisor sees it: the template process, and the workers it forked."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Final, Protocol, final

from penstock.manager.life import TABLE, Action, Event, State
from penstock.manager.messages import make_pair
from penstock.manager.nest import Became, Nest
from penstock.manager.reactor import Alarm
from penstock.manager.template import run_template
from penstock.server.tether import CLOSE, LEAVE, STOP

_LAST_RESORT: Final = 5.0
"""Seconds after which SIGKILL is sent once more."""

_SIGNALS: Final = {Action.DISMISS: LEAVE, Action.CLOSE: CLOSE, Action.STOP: STOP, Action.KILL: signal.SIGKILL}


class Stage(Enum):
    """How far a generation is."""

    IMPORTING = "its template imports the application"
    BOOTING = "its workers boot, and do not accept yet"
    SERVING = "its workers serve"
    RETIRED = "another one has taken over"


@final
@dataclass(slots=True, eq=False)
class Worker:
    """One worker.

    Attributes:
        slot: its place on the scoreboard.
        generation: number of its generation.
        grace: seconds it gets to finish what runs.
        alarm: rings when the time of its state is over.
        pid: 0 until it has said that it is born.
        since: when it came into its state, by the monotonic clock.
        capacity: requests it runs at a time.
        used_up: why it is to be replaced, or "".
        busy: nanoseconds it had been busy when the load was last looked at.
        killed_for: why we have killed it, or "".
        group: process group of its template, once it is born.
    """

    slot: int
    generation: int
    grace: float
    alarm: Alarm
    since: float
    state: State = State.BOOTING
    pid: int = 0
    capacity: int = 1
    used_up: str = ""
    busy: int = 0
    killed_for: str = ""
    group: int = 0

    def meet(self, event: Event, now: float) -> None:
        """Let something happen to it, and send it the signal that this is a reason for."""
        before = self.state
        self.state, action = TABLE[before, event]
        if self.state is not before:
            self.since = now
            if self.state is State.LEAVING:
                self.alarm.set(self.grace + 1.0)  # it ends itself at its grace; this is for one that cannot
            else:
                self.alarm.clear()
        if action in _SIGNALS:
            if action is Action.KILL:
                self.alarm.set(_LAST_RESORT)
            send_signal(self.pid, _SIGNALS[action], self.group)


def send_signal(pid: int, number: int, group: int = 0) -> None:
    """Signal a process if it is a child of ours; its number may have come from a message, or belong to another now.

    Args:
        group: one of this process group will do as well: a newborn is another's child until that one has ended.
    """
    with contextlib.suppress(ProcessLookupError):
        if is_child(pid) or (pid > 0 and 0 < group == os.getpgid(pid)):
            os.kill(pid, number)


def is_child(pid: int) -> bool:
    """Whether this is a child of ours that has not been buried."""
    try:
        if pid > 0:
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return False
    return pid > 0


def how_it_ended(status: int) -> str:
    """How a process ended, from what waitpid() says of it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Parent(Protocol):
    """What a generation needs of the supervisor."""

    def fork(self, generation: Generation) -> int:
        """As os.fork, for the template of this generation; the child has nothing that it does not need."""


@final
@dataclass(slots=True, eq=False)
class Generation:
    """A template and its workers.

    Attributes:
        number: counts up from 1.
        nest: what template and workers have been handed; None for one that a former image of us has made.
        slots: how many slots its processes know.
        events: our end of their messages.
        template: pid of the template; 0 when it has gone.
        files: of the application, once it has been imported.
        wanted: workers that have to be ready before it takes over.
    """

    number: int
    nest: Nest | None
    events: socket.socket
    gate: int
    slots: int
    stage: Stage = Stage.IMPORTING
    template: int = 0
    files: tuple[str, ...] = ()
    wanted: int = 1
    workers: dict[int, Worker] = field(default_factory=dict)

    @classmethod
    def make(cls, number: int, slots: int, nest_of: Callable[[socket.socket, int], Nest]) -> Generation:
        """A generation with its channel and its gate, and no process yet.

        Args:
            nest_of: makes the nest of the others' end of the channel, and the end of the gate that they wait at.
        """
        ours, theirs = make_pair()
        waits, opens = os.pipe()
        return cls(number, nest_of(theirs, waits), ours, opens, slots)

    def start(self, parent: Parent) -> None:
        """Fork the template.

        Raises:
            OSError: the system has no room for another process.
        """
        try:
            pid = parent.fork(self)
        except OSError:
            self._leave_to_others()
            raise
        if pid == 0:
            nest = self.nest
            assert nest is not None
            raise Became(lambda: run_template(nest))
        self.template = pid
        self._leave_to_others()

    def _leave_to_others(self) -> None:
        # What only the others hold of these ends with them.
        assert self.nest is not None
        self.nest.events.close()
        os.close(self.nest.gate)

    def order(self, worker: Worker) -> bool:
        """Ask the template for a worker; false if it cannot hear."""
        if not self.template:
            return False  # the workers hold the other end open, and none of them would answer
        try:
            self.events.send(b'{"fork": %d}' % worker.slot)
        except OSError:
            return False
        self.workers[worker.slot] = worker
        return True

    def open_gate(self) -> None:
        """Let its workers accept, those that come later too."""
        self.stage = Stage.SERVING
        if self.gate >= 0:
            os.close(self.gate)
            self.gate = -1

    def those(self, *states: State) -> list[Worker]:
        """Its workers in any of these states."""
        return [worker for worker in self.workers.values() if worker.state in states]

    def end_template(self) -> None:
        """No more workers are wanted: the template ends as it hears nothing more."""
        self.stage = Stage.RETIRED
        with contextlib.suppress(OSError):
            self.events.shutdown(socket.SHUT_WR)
        # While it imports it does not listen; and a signal may be one that the application has taken for itself.
        send_signal(self.template, signal.SIGTERM)

    def close(self) -> None:
        """Give the descriptors back."""
        self.events.close()
        if self.gate >= 0:
            os.close(self.gate)
            self.gate = -1
