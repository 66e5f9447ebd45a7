"""This file is flup.server.fcgi_fork: a FastCGI server whose processes run one request at a time.

There is one such process so far, see `PreforkServer`; an application that has to have a process for itself gets it.
"""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from penstock.compat.flup.records import FCGI_RESPONDER
from penstock.compat.flup.server.fcgi_base import BaseFCGIServer
from penstock.compat.flup.server.preforkserver import PreforkServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer, PreforkServer):
    """Serves a WSGI application over FastCGI; one request at a time, until the pool of processes is there.

    Args:
        application to forceCGI: as for `BaseFCGIServer`.
        timeout: seconds for a request; not enforced yet.
        kw: minSpare, maxSpare, maxChildren, maxRequests and sockTimeout, as for `PreforkServer`.

    Raises:
        ValueError: minSpare is below 1, or maxSpare below minSpare.
    """

    def __init__(
        self,
        application: WSGIApplication,
        environ: Mapping[str, Any] | None = None,
        bindAddress: object = None,
        umask: int | None = None,
        multiplexed: bool = False,
        debug: object = False,
        roles: Collection[int] = (FCGI_RESPONDER,),
        forceCGI: bool = False,
        timeout: int | None = None,
        **kw: Any,
    ) -> None:
        BaseFCGIServer.__init__(
            self,
            application,
            environ=environ,
            multithreaded=False,
            multiprocess=True,
            bindAddress=bindAddress,
            umask=umask,
            multiplexed=multiplexed,
            debug=debug,
            roles=roles,
            forceCGI=forceCGI,
        )
        self._timeout = timeout
        for name in ("multithreaded", "multiprocess"):
            kw.pop(name, None)  # flup lets them pass, for programs that build either of its servers
        PreforkServer.__init__(self, **kw)

    def run(self) -> bool:  # type: ignore[override] # flup's own: the loops it inherits from take a socket
        """As `flup.server.fcgi.WSGIServer.run`."""
        return self._run()
