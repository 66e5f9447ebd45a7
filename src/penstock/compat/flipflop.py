"""This file is flipflop, the small fork of flup: `from flipflop import WSGIServer; WSGIServer(app).run()`.

It has one argument and no more; everything else it takes from what the process was started with.
"""

# ruff: noqa: N802, N803 - names of the base classes

from __future__ import annotations

from typing import Any, ClassVar

from penstock.compat.flup import requests
from penstock.compat.flup.handling import Call
from penstock.compat.flup.records import *  # noqa: F403 - the protocol's names, which programs import from here
from penstock.compat.flup.server.fcgi_base import BaseFCGIServer, Connection, InputStream, OutputStream, TeeOutputStream
from penstock.compat.flup.server.threadedserver import ThreadedServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["Connection", "InputStream", "OutputStream", "Request", "TeeOutputStream", "WSGIServer"]

__version__ = "1.0"
"""The flipflop that is meant."""


class Request(requests.Request):
    """One request, as `WSGIServer.handler` gets it: flup's, with `request_id` for its requestId."""

    def __init__(self, conn: Call, inputStreamClass: object = None, timeout: object = None) -> None:
        super().__init__(conn, inputStreamClass, timeout)
        self.request_id = self.requestId


class WSGIServer(BaseFCGIServer, ThreadedServer):
    """Serves a WSGI application on the socket that this process was started with.

    Where flipflop fails with "Socket operation on non-socket", this answers: one request of plain CGI, the sockets of
    systemd, and in a shell it shows how GET / is answered.

    Args:
        application: a WSGI application; status, headers and body may be bytes or latin-1 text.

    Attributes:
        environ: a dictionary that is put into every request's environ, empty unless a program fills it.
        capability: what flipflop answers to FCGI_GET_VALUES; penstock answers what is true of its own server.
        maxwrite: not used.
    """

    request_class: ClassVar[type[requests.Request]] = Request

    def __init__(self, application: WSGIApplication) -> None:
        BaseFCGIServer.__init__(self, application)
        ThreadedServer.__init__(self)

    def _mainloopPeriodic(self) -> None:
        """To be overridden: called about once a second. So a signal that reached another thread is obeyed by then."""

    def run(self) -> bool:  # type: ignore[override] # flipflop's own: the loops it inherits from take a socket
        """Serve until SIGINT, SIGTERM or SIGHUP; a single CGI request ends the process with sys.exit().

        Returns:
            Whether SIGHUP has ended it, which asks the program to start again.
        """
        return self._run()

    @property
    def _keep_going(self) -> bool:
        return self._keepGoing

    @_keep_going.setter
    def _keep_going(self, value: Any) -> None:
        self._keepGoing = value
