"""This file runs scripts such as `dispatch.fcgi` in workers, where they serve on the sockets of their pool."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import replace
from typing import Final, final

from penstock.server.accesslog import AccessLog
from penstock.server.host import merged
from penstock.server.hosting import Place, Wish, set_host
from penstock.server.importer import AppError, Application
from penstock.server.listen import Listener
from penstock.server.options import ServerOptions
from penstock.server.script import Script
from penstock.server.tether import Tether

_OWN: Final = "a server of its own, which knows nothing of workers: run it without --workers"


@final
class WorkerHost:
    """Has a script serve on the worker's listeners, once: when that is over, so is the worker.

    Args:
        options: of the pool, without a tether.
        tether: its capacity is set to what the script can do at a time.

    Attributes:
        used: the script has served, here or on a socket of its own.
        opened: it has served here.
    """

    def __init__(
        self, listeners: Sequence[Listener], options: ServerOptions, access_log: AccessLog | None, tether: Tether
    ) -> None:
        self.used = False
        self.opened = False
        self._listeners = listeners
        self._options = options
        self._access_log = access_log
        self._tether = tether

    def open(self, wish: Wish) -> Place:
        """The place for a script that begins to serve."""
        if self.opened:
            raise SystemExit(0)
        self.used = self.opened = True
        options = merged(self._options, wish)
        self._tether.capacity = options.threads
        return Place([*self._listeners], replace(options, tether=self._tether), self._access_log)


def run_script(script: Script, host: WorkerHost) -> Application | None:
    """Run a script until it has served.

    Returns:
        The application of one that does not serve by itself, else None.

    Raises:
        AppError: it failed, or cannot be a worker.
    """
    set_host(host)
    try:
        app = script.run(host)
    except SystemExit:
        app = None
    except AppError as error:
        cause = error.__cause__
        if isinstance(cause, OSError) and cause.errno == errno.ENOTSOCK:
            error.hint = f"it brings {_OWN}"
        raise
    finally:
        set_host(None)
    if app is None and not host.opened:
        raise AppError(f"{script.place} has {_OWN}")
    return app
