"""This file is flup.server.scgi: an SCGI server with threads."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.compat.flup.server import NoDefault
from penstock.compat.flup.server.scgi_base import BaseSCGIServer
from penstock.compat.flup.server.threadedserver import ThreadedServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["WSGIServer"]


class WSGIServer(BaseSCGIServer, ThreadedServer):
    """Serves a WSGI application over SCGI, with several threads.

    Args:
        application to debug: as for `BaseSCGIServer`.
        kw: minSpare, maxSpare and maxThreads, as for `flup.server.fcgi.WSGIServer`.
    """

    def __init__(
        self,
        application: WSGIApplication,
        scriptName: str | type[NoDefault] | None = NoDefault,
        environ: Mapping[str, Any] | None = None,
        multithreaded: bool = True,
        multiprocess: bool = False,
        bindAddress: object = ("localhost", 4000),
        umask: int | None = None,
        allowedServers: Sequence[str] | None = None,
        loggingLevel: int = logging.INFO,
        debug: object = False,
        **kw: Any,
    ) -> None:
        BaseSCGIServer.__init__(
            self,
            application,
            scriptName=scriptName,
            environ=environ,
            multithreaded=multithreaded,
            multiprocess=multiprocess,
            bindAddress=bindAddress,
            umask=umask,
            allowedServers=allowedServers,
            loggingLevel=loggingLevel,
            debug=debug,
        )
        ThreadedServer.__init__(self, **kw)

    def run(self) -> bool:  # type: ignore[override] # flup's own: the loops it inherits from take a socket
        """Serve until SIGINT, SIGTERM or SIGHUP, or _exit().

        Returns:
            Whether SIGHUP has ended it; False also where the address cannot be listened at, which is logged.
        """
        return self._run()
