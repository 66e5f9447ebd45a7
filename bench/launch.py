"""Starts the peers that have no command line of their own: ``python -m bench.launch PEER APP SOCKET``.

One function per peer, each the shortest call its own documentation shows.  The peers are imported by name, when
called: only one of them need be installed.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def flup6(app: Any, socket: str) -> None:
    """flup's threaded server on a unix socket; ``debug`` is for exceptions only and costs nothing here."""
    import_module("flup.server.fcgi").WSGIServer(app, bindAddress=socket).run()


def flipflop(app: Any, socket: str) -> None:  # noqa: ARG001 - it knows no address but the inherited descriptor 0
    """flipflop on the listening socket inherited as descriptor 0."""
    import_module("flipflop").WSGIServer(app).run()


def gevent_fastcgi(app: Any, socket: str) -> None:
    """gevent-fastcgi, one worker, its own WSGI handler."""
    import_module("gevent_fastcgi.wsgi").WSGIServer(socket, app).serve_forever()


def bjoern(app: Any, socket: str) -> None:
    """bjoern, speaking HTTP on a unix socket."""
    import_module("bjoern").run(app, "unix:" + socket)


LAUNCHERS = {"flup6": flup6, "flipflop": flipflop, "gevent-fastcgi": gevent_fastcgi, "bjoern": bjoern}


def main() -> None:
    """Import ``module:attribute`` and give it to the peer named first."""
    peer, target, socket = sys.argv[1:]
    module, _, attribute = target.partition(":")
    LAUNCHERS[peer](getattr(import_module(module), attribute), socket)


if __name__ == "__main__":
    main()
