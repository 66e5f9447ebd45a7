"""This file is gevent_fastcgi.server: a FastCGI server with a plain handler.

FastCGIServer("/run/app.sock", handler).serve_forever()
"""

# ruff: noqa: N802, N803 - names of the base classes

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any, ClassVar

from penstock.compat.flup import requests
from penstock.compat.flup.handling import Call
from penstock.compat.flup.records import FCGI_RESPONDER
from penstock.compat.flup.server.fcgi_base import BaseFCGIServer
from penstock.compat.flup.server.threadedserver import ThreadedServer
from penstock.server.notices import log

__all__ = ["FastCGIServer", "Request"]


class Request(requests.Request):
    """One request, as a handler gets it: environ, stdin, stdout, stderr, data, id and role."""

    def __init__(self, conn: Call, inputStreamClass: object = None, timeout: object = None) -> None:
        super().__init__(conn, inputStreamClass, timeout)
        self.environ = self.params
        self.id = self.requestId


class FastCGIServer(BaseFCGIServer, ThreadedServer):
    """Serves requests with a handler, in up to 32 threads. A failure is penstock's page; gevent-fastcgi's showed all.

    Args:
        listener: a path for a unix socket, (host, port), or a listening socket.
        request_handler: called with each request; what it writes to stdout is a CGI response.
        role: the role that is served.
        num_workers: not used, with a warning: there is one process. gevent-fastcgi's own fails with more than one.
        buffer_size, max_conns: not used.
        socket_mode: the mode of the unix socket.
        kwargs: backlog and what else a StreamServer takes; not used.
    """

    request_class: ClassVar[type[requests.Request]] = Request

    def __init__(
        self,
        listener: object,
        request_handler: Callable[[Any], object],
        role: int = FCGI_RESPONDER,
        num_workers: int = 1,
        buffer_size: int = 1024,  # noqa: ARG002
        max_conns: int = 1024,  # noqa: ARG002
        socket_mode: int | None = None,
        **kwargs: Any,  # noqa: ARG002
    ) -> None:
        umask = None if socket_mode is None else 0o777 & ~socket_mode
        application: Any = getattr(request_handler, "app", None)
        BaseFCGIServer.__init__(self, application, bindAddress=listener, umask=umask, roles=(role,))
        ThreadedServer.__init__(self)
        self._request_handler = request_handler
        if num_workers > 1:
            log.warning("num_workers is %d; one process serves here, start more of them for more", num_workers)

    def handler(self, req: Any) -> tuple[int, int]:
        """Answer a request with the handler."""
        self._request_handler(req)
        return 0, 0

    def serve_forever(self) -> None:
        """Serve until SIGINT, SIGTERM or SIGHUP, or `stop`.

        Raises:
            CannotListen: an OSError: the address cannot be listened at.
        """
        self._run()

    def stop(self) -> None:
        """End `serve_forever`, for any thread."""
        self._exit()

    def _setupSocket(self) -> socket.socket:
        return self._bindAddress if isinstance(self._bindAddress, socket.socket) else super()._setupSocket()

    def _mainloopPeriodic(self) -> None:
        """Nothing, once a second: so a signal that reached another thread is obeyed by then."""
