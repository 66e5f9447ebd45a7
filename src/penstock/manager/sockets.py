"""This file is what a supervisor opens before anything else: listeners, log files, and who its workers become."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple, final

from penstock.manager.logfile import LogFile
from penstock.manager.plan import Plan, PoolPlan
from penstock.manager.privileges import Identity, check_identity, find_identity
from penstock.manager.scoreboard import Running
from penstock.protocol.spec import Role
from penstock.server.accesslog import AccessLog
from penstock.server.homes import Home, find_home, inherited_listeners
from penstock.server.host import Listening
from penstock.server.lines import LineWriter
from penstock.server.listen import Listener, open_listeners
from penstock.server.notices import log

DEFAULT_MODE: Final = 0o660


@final
class Sockets:
    """All of it; open when made.

    Attributes:
        listeners: for each pool.
        status: of the address that shows the status.
        identities: for each pool; None to stay who we are.
        owned: the addresses are ours, and no web server's that has started us.
        access_files: those of pools that have one, by name.
        slow_log: takes the stacks of slow requests.
        pid: of the supervisor.

    Raises:
        AddressError, BindError: an address cannot be listened on; nothing stays open.
        OSError, ValueError: a file or a user is not to be had.
    """

    def __init__(self, plan: Plan, *, heard: bool) -> None:
        self.pid: Final = os.getpid()
        self.identities: Final = [_identity_of(pool) for pool in plan.pools]
        self.listeners: Final[list[list[Listener]]] = []
        self.owned = True
        self.status: Final[list[Listener]] = []
        self._heard = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3) if heard else -1
        self._slow_file = None if plan.slow_log_file is None else LogFile(plan.slow_log_file)
        self.access_files: Final = {
            pool.name: LogFile(pool.access_log_file, identity)
            for pool, identity in zip(plan.pools, self.identities, strict=True)
            if pool.access_log_file is not None
        }
        try:
            for pool in plan.pools:
                self.listeners.append(self._open(pool))
            if plan.status_bind is not None:
                self.status.extend(open_listeners(plan.status_bind))
        except BaseException:
            self.close()
            raise
        for listener in self._all():
            for warning in listener.warnings:
                log.warning("%s", warning)
            log.info("listening on %s", listener.address)
        self.slow_log: Final = LineWriter(2 if self._slow_file is None else self._slow_file.fd)

    def _open(self, pool: PoolPlan) -> list[Listener]:
        words: dict[str, Any] = dict(pool.serving)
        allow: Sequence[str] | None = words.get("allow")
        public = bool(words.get("insecure_public", False))
        if pool.bind:
            return Listening(
                pool.bind,
                words.get("socket_mode", DEFAULT_MODE),
                words.get("socket_owner"),
                words.get("socket_group"),
                allow,
                public,
            ).open()
        home = find_home(os.environ)
        if home.once:
            raise ValueError(f"pool {pool.name} has no address; give it one with bind")
        self.owned = self.owned and home is not Home.FASTCGI
        return inherited_listeners(home, os.environ, allow=allow, insecure_public=public)

    def _all(self) -> list[Listener]:
        return [listener for listeners in (*self.listeners, self.status) for listener in listeners]

    def begin_drain(self) -> None:
        """Keep newcomers away, as far as the system can."""
        for listener in self._all():
            listener.begin_drain()

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
