"""This file is gevent_fastcgi.wsgi: `WSGIServer(address, app).serve_forever()`."""

from __future__ import annotations

from typing import Any

from penstock.compat.gevent_fastcgi.server import FastCGIServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["WSGIRefRequestHandler", "WSGIRequestHandler", "WSGIServer"]


class WSGIRequestHandler:
    """A handler for FastCGIServer that calls a WSGI application.

    Args:
        app: the application. Its environ has text alone; gevent-fastcgi's has bytes beside it.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app

    def __call__(self, request: Any) -> None:
        """Answer a request."""
        request.run_application()


WSGIRefRequestHandler = WSGIRequestHandler


class WSGIServer(FastCGIServer):
    """Serves a WSGI application.

    Args:
        address: a path for a unix socket, (host, port), or a listening socket.
        app: the application.
        kwargs: as for FastCGIServer.
    """

    def __init__(self, address: object, app: WSGIApplication, **kwargs: Any) -> None:
        super().__init__(address, WSGIRequestHandler(app), **kwargs)
