"""This file is how a supervisor becomes another image of itself, by exec(): same process, same sockets, same children.

First a child tries whether the command line can be read and penstock be imported, as they are now; it opens nothing.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from typing import Final, Protocol, final

from penstock.manager.generation import send_signal
from penstock.manager.handover import PREFLIGHT, VARIABLE, Parcel
from penstock.manager.plan import Plan
from penstock.manager.reactor import Reactor
from penstock.server.homes import Home
from penstock.server.notices import log

_PATIENCE: Final = 60.0
_AGAIN: Final = 0.1
_MOST_WORDS: Final = 8000


class Leaver(Protocol):
    """What an upgrade needs of its supervisor."""

    @property
    def reactor(self) -> Reactor: ...

    def is_between(self) -> bool:
        """No generation is coming, and nothing stops."""

    def prepare(self) -> Callable[[], None]:
        """Open what the next image needs beside what is open; returns how to close it again."""

    def home(self) -> Home:
        """Where sockets come from."""

    def pack(self, parcel: Parcel) -> dict[str, str]:
        """Put in all that goes along; returns what has to be in the environment beside that."""

    def upgrade_failed(self, error: str) -> None:
        """All stays as it was."""


@final
class Upgrade:
    """One after the other.

    Args:
        signals: that are held back until the next image obeys them.
    """

    def __init__(self, leaver: Leaver, signals: Callable[[], Iterable[int]]) -> None:
        self._leaver = leaver
        self._signals = signals
        self._wanted = False
        self._pid = 0
        self._words = -1
        self._undo: Callable[[], None] = _nothing
        self._alarm = leaver.reactor.alarm(self._on_alarm)

    def begin(self, why: str) -> None:
        """Begin as soon as that can be; one that is under way is enough."""
        if self._pid:
            return
        self._wanted = True
        log.info("upgrading: %s", why)
        self._on_alarm()

    def _on_alarm(self) -> None:
        if self._pid:
            send_signal(self._pid, signal.SIGKILL)
        elif self._wanted and not self._leaver.is_between():
            self._alarm.set(_AGAIN)
        elif self._wanted:
            self._try()

    def _try(self) -> None:
        self._wanted = False
        try:
            self._undo = self._leaver.prepare()
        except Exception as error:
            self._leaver.upgrade_failed(str(error))
            return
        self._words = os.memfd_create("words", os.MFD_CLOEXEC)
        self._pid = os.posix_spawn(
            sys.executable,
            _arguments(),
            {**os.environ, PREFLIGHT: self._leaver.home().name},
            file_actions=[(os.POSIX_SPAWN_DUP2, self._words, number) for number in (1, 2)],
            setsigdef=[signal.SIGPIPE],
        )
        self._alarm.set(_PATIENCE)

    def ended(self, pid: int, status: int) -> bool:
        """A child has ended; false if it is none of ours."""
        if pid != self._pid or not pid:
            return False
        self._pid = 0
        self._alarm.clear()
        words = os.pread(self._words, _MOST_WORDS, 0).decode("utf-8", "replace").strip()
        os.close(self._words)
        if status:
            self._fail(f"penstock could not be started anew, so it goes on as it is: {words or 'it gave no reason'}")
        else:
            self._go()
        return True

    def _fail(self, error: str) -> None:
        undo, self._undo = self._undo, _nothing
        undo()
        self._leaver.upgrade_failed(error)

    def _go(self) -> None:
        if not self._leaver.is_between():
            self._leaver.reactor.alarm(self._go).set(_AGAIN)
            return
        parcel = Parcel()
        # They wait for the next image; without a handler yet, it would die of most of them.
        held = signal.pthread_sigmask(signal.SIG_BLOCK, self._signals())
        try:
            environ = self._leaver.pack(parcel)
            environ[VARIABLE] = parcel.seal()
            sys.stdout.flush()
            os.execve(sys.executable, _arguments(), {**os.environ, **environ})
        except OSError as error:
            parcel.unseal()
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            self._fail(f"{sys.executable} cannot be run: {error.strerror}")


def fits(before: Plan, plan: Plan) -> bool:
    """Whether a supervisor of one plan can make another come true as well."""
    return _shape(before) == _shape(plan)


def _shape(plan: Plan) -> object:
    names = ("allow", "insecure_public", "access_log")
    pools = [
        (pool.name, pool.bind, pool.user, pool.group, pool.access_log_file, [pool.serving.get(name) for name in names])
        for pool in plan.pools
    ]
    return pools, plan.pid_file, plan.control, plan.slow_log_file, plan.status_bind


def _arguments() -> list[str]:
    """What this process was started with."""
    return [sys.executable, *sys.orig_argv[1:]]


def _nothing() -> None:
    """Nothing is to be undone."""
