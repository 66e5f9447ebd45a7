"""This file is flup.server.cgi: answers the one request of plain CGI."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

import os

from penstock.compat.flup.server.fcgi_base import BaseFCGIServer
from penstock.gateways.wsgi import WSGIApplication
from penstock.server.homes import find_home, settle_descriptors
from penstock.server.hosting import is_hosted

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer):
    """Runs a WSGI application for one CGI request, or for a GET / typed at a terminal.

    Args:
        application: as for `BaseFCGIServer`.
        bindAddress: not used; CherryPy passes one.
    """

    def __init__(self, application: WSGIApplication, bindAddress: object = None) -> None:  # noqa: ARG002
        BaseFCGIServer.__init__(self, application, multithreaded=False, multiprocess=True, forceCGI=True)

    def run(self) -> None:  # type: ignore[override] # flup's own: the loop it inherits from takes a socket
        """Answer the request.

        Raises:
            RuntimeError: the web server expects FastCGI.
        """
        if is_hosted():
            self._run()
            return
        settle_descriptors()
        home = find_home(os.environ)
        if not home.once:
            raise RuntimeError("a listening socket was handed over, not a CGI request; use flup.server.fcgi")
        self._answer_once(home)
