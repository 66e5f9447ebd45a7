"""This file is what a supervisor opens before anything else: listeners, log files, and who its workers become."""

from __future__ import annotations

import fcntl
import os
import time
from typing import Final, NamedTuple, final

from penstock.manager.handover import STORED, Handover, Parcel
from penstock.manager.logfile import LogFile
from penstock.manager.places import Places, escape
from penstock.manager.plan import Plan, PoolPlan
from penstock.manager.privileges import Identity, check_identity, find_identity
from penstock.manager.scoreboard import Running
from penstock.manager.systemd import Notifier
from penstock.protocol.spec import Role
from penstock.server.accesslog import AccessLog
from penstock.server.lines import LineWriter
from penstock.server.listen import Listener


@final
class Sockets:
    """All of it; open when made.

    Args:
        heard: standard output is a place for access lines.
        handover: where listeners may be that are open already.

    Attributes:
        listeners: for each pool.
        status: of the address that shows the status.
        identities: for each pool; None to stay who we are.
        places: the same by address.
        leaving: those that this plan has no use for, until what serves there has been replaced.
        stored: systemd keeps them for our successor.
        access_files: those of pools that have one, by name.
        slow_log: takes the stacks of slow requests.
        pid: of the supervisor.

    Raises:
        AddressError, BindError: an address cannot be listened on; nothing stays open.
        OSError, ValueError: a file or a user is not to be had.
    """

    def __init__(self, plan: Plan, *, heard: bool, handover: Handover | None = None) -> None:
        self.pid: Final = os.getpid()
        self.identities: Final = [_identity_of(pool) for pool in plan.pools]
        self.places: Final = Places()
        self.leaving: list[Listener] = []
        self.stored = False
        self._heard = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3) if heard else -1
        self._slow_file = None if plan.slow_log_file is None else LogFile(plan.slow_log_file)
        self.access_files: Final = {
            pool.name: LogFile(pool.access_log_file, identity)
            for pool, identity in zip(plan.pools, self.identities, strict=True)
            if pool.access_log_file is not None and pool.serving.get("access_log", True)
        }
        if handover is None:
            self.places.unpack_stored()
        else:
            self.places.unpack(handover)
        try:
            self.listeners: Final = [self.places.of_pool(pool) for pool in plan.pools]
            self.status: Final = [] if plan.status_bind is None else self.places.of_status(plan.status_bind)
            self.leaving = self.places.rest()
        except BaseException:
            self.close()
            raise
        self.slow_log: Final = LineWriter(2 if self._slow_file is None else self._slow_file.fd)

    @property
    def owned(self) -> bool:
        """The addresses are ours, and no web server's that has started us."""
        return self.places.owned

    def begin_drain(self) -> None:
        """Keep newcomers away, as far as the system can; but not those whom systemd keeps for our successor."""
        for listener in self._all():
            if not self.stored:
                listener.begin_drain()
            elif listener.file is not None:
                listener.file.keep()

    def leave_to_workers(self) -> None:
        """As all stop: let who comes be refused once no worker accepts any more, in place of waiting until all end.

        What systemd keeps stays open anyway, and its lock is ours until our end.
        """
        if not self.stored:
            for listener in self._all():
                if listener not in self.status:
                    listener.close()

    def pack(self, parcel: Parcel) -> None:
        """Hand the listeners over."""
        self.places.pack(parcel, self.leaving)

    def store(self, notifier: Notifier) -> None:
        """Have systemd keep what is open, if it does such things."""
        self.stored = self.places.store(notifier)

    def end_leaving(self, notifier: Notifier) -> None:
        """Close what only generations needed that have been replaced."""
        for listener in self.leaving:
            listener.close()
            notifier.remove_fds(STORED + escape(listener.address))
        self.leaving = []

    def _all(self) -> list[Listener]:
        return [*self.places.all(), *self.leaving]

    def access_fd(self, pool: PoolPlan) -> int:
        """Where access lines of a pool go; -1 for nowhere."""
        if not pool.serving.get("access_log", True):
            return -1
        file = self.access_files.get(pool.name)
        return self._heard if file is None else file.fd

    def write_access(self, pool: PoolPlan, running: Running, status: int, reference: str) -> None:
        """Write the access line of a request whose worker could not."""
        fd = self.access_fd(pool)
        if fd < 0:
            return
        method, _, target = running.line.partition(" ")
        request = _CutOff({"REQUEST_METHOD": method, "REQUEST_URI": target}, status, reference)
        access_log = AccessLog(fd, pool.serving.get("access_log_format", "text"))
        access_log.write(request, (time.monotonic_ns() - running.began) / 1e9)

    def reopen_logs(self) -> None:
        """Go on in new files where the old ones have been renamed."""
        for file in filter(None, (self._slow_file, *self.access_files.values())):
            file.reopen()

    def let_go(self, pool: PoolPlan) -> None:
        """In a forked child of this pool: close the log files of the supervisor and of others."""
        for listener in self.leaving:
            listener.close()
        others = (file for name, file in self.access_files.items() if name != pool.name)
        for file in filter(None, (self._slow_file, *others)):
            file.close()

    def close(self) -> None:
        """Close everything, and take the paths away that are ours."""
        for listener in self._all():
            listener.close()
        for file in filter(None, (self._slow_file, *self.access_files.values())):
            file.close()


class _CutOff(NamedTuple):
    """A request that ended with its worker, as the access log wants it."""

    params: dict[str, str]
    status: int
    reference: str
    role: Role = Role.RESPONDER
    body_length: int = 0


def _identity_of(pool: PoolPlan) -> Identity | None:
    identity = find_identity(pool.user, pool.group)
    check_identity(identity)
    return identity
