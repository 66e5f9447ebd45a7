"""This file is a worker: the server of one process, on sockets that its supervisor has opened, tied to that."""

from __future__ import annotations

import faulthandler
import itertools
import random
import resource
import signal
import sys
import traceback
from collections.abc import Mapping
from dataclasses import replace
from typing import Final, final

from penstock.gateways.request import StartupFailed
from penstock.manager.messages import tell
from penstock.manager.nest import Nest
from penstock.manager.scoreboard import ASYNC_LANES
from penstock.manager.scripts import WorkerHost, run_script
from penstock.manager.slotfiles import go_through
from penstock.server.accesslog import AccessLog
from penstock.server.importer import AppError, Application, load
from penstock.server.options import ServerOptions
from penstock.server.script import load_script
from penstock.server.tether import Tether
from penstock.server.wiring import NotAnApplication, is_asgi, make_server

SHOW_STACKS: Final = signal.SIGUSR2
"""Write the stacks of all threads into the file of this worker's slot."""

BOOT_FAILED: Final = 3

_OPTIONS: Final = (
    *("threads", "protocol", "mount", "roles", "max_body", "body_memory", "stream_body", "io_timeout"),
    "graceful_timeout",
    "max_queue_age",
)
_PAGE: Final = resource.getpagesize()
_MAXRSS_UNIT: Final = 1 if sys.platform == "darwin" else 1024


def run_worker(nest: Nest, slot: int, app: Application | None) -> int:
    """Serve until told to end; returns the exit status of the process."""
    go_through(nest.outputs, slot)
    if nest.stacks:
        # By a handler in C, so it works while a thread holds the interpreter or waits in a system call.
        faulthandler.register(SHOW_STACKS, file=nest.stacks[slot], all_threads=True, chain=False)
    try:
        serve(nest, app, WorkerTether(nest, slot))
    except AppError as error:
        tell(nest.events, "failed", slot=slot, error=told(error), traceback=error.traceback)
        return BOOT_FAILED
    except (StartupFailed, NotAnApplication, ValueError) as error:
        tell(nest.events, "failed", slot=slot, error=f"{nest.pool.app} did not start: {error}", traceback="")
        return BOOT_FAILED
    except Exception as error:
        text = "".join(traceback.format_exception(error))
        tell(nest.events, "failed", slot=slot, error=f"{type(error).__name__}: {error}", traceback=text)
        return BOOT_FAILED
    return 0


def told(error: AppError) -> str:
    """What a message says of an application that could not be loaded."""
    return "; ".join(filter(None, (error.message, error.hint)))


def serve(nest: Nest, app: Application | None, tether: WorkerTether) -> None:
    """Serve as `penstock.serve` would with the same words, tied to the supervisor.

    Args:
        app: None if it has not been imported yet.
    """
    words = dict(nest.pool.serving)
    # What the template has may be the file as it was when that was forked.
    tether.reopen()
    style = words.get("access_log_format", "text")
    access_log = AccessLog(nest.access_fd, style) if nest.access_fd >= 0 else None
    options = ServerOptions.of(**{name: words[name] for name in _OPTIONS if name in words})
    script = load_script(nest.pool.app) if app is None else None
    if script is not None:
        app = run_script(script, WorkerHost(nest.listeners, options, access_log, tether))
        if app is None:
            return
    elif app is None:
        app = load(nest.pool.app)
    interface = words.get("interface", "auto")
    tether.capacity = ASYNC_LANES if is_asgi(app, interface) else options.threads
    options = replace(options, tether=tether)
    make_server(app, interface, nest.listeners, options, access_log, multiprocess=True).run()


@final
class WorkerTether(Tether):
    """Keeps this worker's slot of the scoreboard, and says when the worker has used up what it may."""

    def __init__(self, nest: Nest, slot: int) -> None:
        super().__init__(nest.gate, nest.lifeline, nest.exchange)
        limits = nest.pool.limits
        self._lanes = nest.board.lanes(slot)
        self._events = nest.events
        self._slot = slot
        self._access_file = nest.access_file
        self._most_memory = limits.max_memory
        self._most_requests = 0
        if limits.max_requests:
            self._most_requests = limits.max_requests + random.randint(0, limits.max_requests_jitter)
        self._limited = bool(self._most_requests or self._most_memory)
        self._requests = itertools.count(1)
        self._told = False

    def ready(self) -> None:
        tell(self._events, "ready", slot=self._slot, capacity=self.capacity)

    def reopen(self) -> None:
        if self._access_file is not None:
            self._access_file.reopen()

    def most_connections(self, now: int) -> int:
        return self._lanes.most_connections(now)

    def began(self, params: Mapping[str, str]) -> tuple[int, int]:
        return self._lanes.begin(params)

    def ended(self, ticket: tuple[int, int]) -> None:
        self._lanes.end(ticket)
        if self._limited and not self._told:
            why = self._used_up(next(self._requests))
            if why:
                self._told = tell(self._events, "used up", wait=False, slot=self._slot, why=why)

    def _used_up(self, requests: int) -> str:
        if self._most_requests and requests >= self._most_requests:
            return f"{requests} requests"
        # The peak is a system call away, what is in use now has to be read from a file: so that comes second.
        if self._most_memory and resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _MAXRSS_UNIT >= self._most_memory:
            used = resident()
            if used >= self._most_memory:
                return f"{used / 1048576:.0f} MiB of memory"
        return ""


def resident() -> int:
    """Bytes of memory that this process has in use (RSS); 0 where that cannot be told."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE
    except (OSError, IndexError, ValueError):
        return 0
