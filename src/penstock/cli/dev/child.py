"""This file is the process that runs the application under `penstock dev`: our server, and pages for errors.

    python -m penstock.cli.dev.child APP SOCKET THREADS FD

FD is one end of a socket pair: a byte is written to it once the server listens, and when its other end closes, because
the parent is gone by whatever cause, this process ends too.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

from penstock.cli.dev.handlers import debugged_handler
from penstock.cli.dev.pages import Debugged, unloadable
from penstock.cli.finding import give_old_names
from penstock.gateways.handler import is_handler
from penstock.server.importer import AppError, Application, load
from penstock.server.serving import serve
from penstock.server.wiring import is_asynchronous, is_wsgi

_GRACE: Final = 3.0
"""Seconds for running requests; a developer waits for the end of this process."""


def main(arguments: Sequence[str]) -> None:
    """Load the application and serve it, or a page that says why it cannot be loaded."""
    app, path, threads, fd = arguments
    lifeline = socket.socket(fileno=int(fd))
    lifeline.set_inheritable(False)
    threading.Thread(target=_follow, args=(lifeline,), daemon=True).start()
    give_old_names()
    try:
        application = _debugged(load(app))
    except AppError as error:
        sys.stderr.write(error.report() + "\n")
        application = unloadable(error)
    serve(
        application,
        bind=f"unix:{path}",
        threads=int(threads),
        graceful_timeout=_GRACE,
        log_level="warning",
        on_ready=lambda _: lifeline.send(b"."),
    )


def _debugged(application: Application) -> Application:
    if isinstance(application, Mapping):
        return {role: _debugged(cast(Application, one)) for role, one in application.items()}
    if is_handler(application):
        return debugged_handler(application)
    if is_asynchronous(application):
        from penstock.cli.dev.asgi import DebuggedASGI

        return DebuggedASGI(cast(Any, application))
    return Debugged(application) if is_wsgi(application) else application


def _follow(lifeline: socket.socket) -> None:
    """Stop when the parent has."""
    try:
        lifeline.recv(1)
    except OSError:
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(0)  # Ctrl-C reaches the whole terminal, this process too
