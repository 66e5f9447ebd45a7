"""This file is flup.server.fcgi: a FastCGI server with threads.

from flup.server.fcgi import WSGIServer
WSGIServer(app).run()
"""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from penstock.compat.flup.records import FCGI_RESPONDER
from penstock.compat.flup.server.fcgi_base import BaseFCGIServer
from penstock.compat.flup.server.threadedserver import ThreadedServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer, ThreadedServer):
    """Serves a WSGI application over FastCGI, with several threads.

    Args:
        application to forceCGI: as for `BaseFCGIServer`.
        kw: minSpare=1, maxSpare=5 and maxThreads. As many threads as maxThreads says are there from the start, 32 if it
            is not given; further requests wait, where flup resets their connections.
    """

    def __init__(
        self,
        application: WSGIApplication,
        environ: Mapping[str, Any] | None = None,
        multithreaded: bool = True,
        multiprocess: bool = False,
        bindAddress: object = None,
        umask: int | None = None,
        multiplexed: bool = False,
        debug: object = False,
        roles: Collection[int] = (FCGI_RESPONDER,),
        forceCGI: bool = False,
        **kw: Any,
    ) -> None:
        BaseFCGIServer.__init__(
            self,
            application,
            environ=environ,
            multithreaded=multithreaded,
            multiprocess=multiprocess,
            bindAddress=bindAddress,
            umask=umask,
            multiplexed=multiplexed,
            debug=debug,
            roles=roles,
            forceCGI=forceCGI,
        )
        ThreadedServer.__init__(self, **kw)

    def run(self) -> bool:  # type: ignore[override] # flup's own: the loops it inherits from take a socket
        """Serve until SIGINT, SIGTERM or SIGHUP, or _exit(); a single CGI request ends the process with sys.exit().

        Returns:
            Whether SIGHUP has ended it, which asks the program to start again.

        Raises:
            CannotListen: an OSError: the address cannot be listened at.
        """
        return self._run()
