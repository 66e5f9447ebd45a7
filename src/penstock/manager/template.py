"""This file is the template of a generation: it drops privileges, imports the application once and forks workers.

A worker comes from here whenever it is born, so it runs the code of its generation. It is forked twice, so that the
supervisor, being the subreaper, becomes its parent: that knows at once when a worker ends, and templates come and go.
"""

from __future__ import annotations

import contextlib
import gc
import json
import logging
import os
import signal
import socket
import sys
import sysconfig
import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

from penstock.manager.messages import tell
from penstock.manager.nest import Became, Nest
from penstock.manager.privileges import drop_privileges, limit_process
from penstock.manager.slotfiles import go_through
from penstock.manager.worker import run_worker, told
from penstock.server.importer import OURS, AppError, Application, load
from penstock.server.notices import log
from penstock.server.script import load_script

MOST_FILES: Final = 500
"""Files of an application that are looked at for changes."""

_FILES_AT_ONCE: Final = 50
_FOREIGN: Final = tuple(
    os.path.realpath(path) + os.sep
    for name in ("stdlib", "platstdlib", "purelib", "platlib")
    if (path := sysconfig.get_path(name))
)


def run_template(nest: Nest) -> int:
    """Be the template, or in a forked child a worker; returns the exit status of the process."""
    try:
        return _serve(nest)
    except Became as worker:
        run = worker.run
    return run()


def _serve(nest: Nest) -> int:
    try:
        _settle(nest)
    except (OSError, ValueError) as error:
        tell(nest.events, "failed", error=str(error))
        return 3
    app: Application | None = None
    script = None
    if nest.preload:
        try:
            script = load_script(nest.pool.app)
            app = None if script is not None else load(nest.pool.app)
        except AppError as error:
            tell(nest.events, "failed", error=told(error), traceback=error.traceback)
            return 3
        if script is not None:
            log.info("%s is a script, which each worker runs by itself", nest.pool.app)
        threads = _threads()
        if threads:
            # A fork copies the calling thread alone: whatever the others held stays locked for ever in the child.
            tell(nest.events, "threads", names=threads)
            return 0
    _tell_files(nest.events, _own_files() if script is None else [os.path.abspath(nest.pool.app)])
    tell(nest.events, "imported")
    # What is here now is shared with the workers for as long as nobody touches it, and the collector would.
    gc.collect()
    gc.freeze()
    while order := nest.events.recv(1024):
        _fork(nest, json.loads(order)["fork"], app)
    return 0


def _settle(nest: Nest) -> None:
    pool = nest.pool
    # A group of our own: what is typed at the terminal is for the supervisor, which tells us.
    os.setpgid(0, 0)
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    for listener in nest.listeners:
        listener.let_go()
    _name_lines(pool.name)
    go_through(nest.outputs, len(nest.outputs) - 1)
    limit_process(nofile=pool.limits.nofile, nice=pool.limits.nice)
    drop_privileges(nest.identity)
    if nest.identity is not None:
        os.environ.update(nest.identity.environ())
    os.environ.update(pool.env)
    if pool.directory is not None:
        os.chdir(pool.directory)


def _name_lines(pool: str) -> None:
    def named(record: logging.LogRecord) -> bool:
        record.msg = f"[{pool} {os.getpid()}] {record.msg}"
        return True

    log.addFilter(named)


def _fork(nest: Nest, slot: int, app: Application | None) -> None:
    # What is buffered now would be written by every child again.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    try:
        between = os.fork()
    except OSError as error:
        tell(nest.events, "unborn", slot=slot, error=f"cannot fork: {error.strerror}")
        return
    if between:
        _, status = os.waitpid(between, 0)
        if status:
            tell(nest.events, "unborn", slot=slot, error="cannot fork")
        return
    try:
        worker = os.fork()
    except OSError:
        os._exit(1)
    if worker:
        # Not the worker itself: what runs in it as it is forked may end it, or keep it for ever.
        tell(nest.events, "born", slot=slot, pid=worker)
        os._exit(0)
    raise Became(partial(run_worker, nest, slot, app))


def _threads() -> list[str]:
    """The names of other threads than this one; also of those that Python does not know."""
    names = [thread.name for thread in threading.enumerate() if thread is not threading.main_thread()]
    with contextlib.suppress(OSError):
        unknown = len(os.listdir("/proc/self/task")) - 1 - len(names)
        names += ["not Python's"] * max(0, unknown)
    return names


def _tell_files(events: socket.socket, files: Sequence[str]) -> None:
    # All at once may be more than a message takes.
    for first in range(0, min(len(files), MOST_FILES), _FILES_AT_ONCE):
        tell(events, "files", files=files[first : first + _FILES_AT_ONCE])


def _own_files() -> list[str]:
    """The files of the application: of all modules but Python's, penstock's and those of installed packages."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return list(dict.fromkeys(file for file in files if isinstance(file, str) and _is_own(file)))


def _is_own(file: str) -> bool:
    path = os.path.realpath(file)
    return os.path.isabs(file) and not path.startswith((*_FOREIGN, OURS))
