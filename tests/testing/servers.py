"""This file runs the project's own transports in this process, for the promises that each of them has to keep."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

from penstock.gateways.request import Gateway
from penstock.server.listen import open_listeners
from penstock.server.options import ServerOptions
from penstock.server.poller import Poller
from penstock.server.threads import ThreadServer
from penstock.testing.transport import Connect, Serving


def serving_threads(folder: Path, options: ServerOptions, poller: Poller | None = None) -> Serving:
    """The thread server, listening on a unix socket."""

    @contextlib.contextmanager
    def serving(gateway: Gateway) -> Iterator[Connect]:
        path = str(folder / "app.sock")
        listeners = open_listeners(f"unix:{path}")
        server = ThreadServer(gateway, listeners, options, poller=poller)
        thread = threading.Thread(target=server.run)
        thread.start()

        def connect() -> socket.socket:
            sock = socket.socket(socket.AF_UNIX)
            sock.connect(path)
            return sock

        try:
            yield connect
        finally:
            server.stop()
            thread.join()

    return serving
