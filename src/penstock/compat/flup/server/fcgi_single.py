"""This file is flup.server.fcgi_single: a FastCGI server with a single thread."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from penstock.compat.flup.records import FCGI_RESPONDER
from penstock.compat.flup.server.fcgi_base import BaseFCGIServer
from penstock.compat.flup.server.singleserver import SingleServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["WSGIServer"]


class WSGIServer(BaseFCGIServer, SingleServer):
    """Serves a WSGI application over FastCGI, one request after another; many connections may be open all the same.

    Args:
        application to forceCGI: as for `BaseFCGIServer`.
        kw: not used.
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
        **kw: Any,
    ) -> None:
        BaseFCGIServer.__init__(
            self,
            application,
            environ=environ,
            multithreaded=False,
            multiprocess=False,
            bindAddress=bindAddress,
            umask=umask,
            multiplexed=multiplexed,
            debug=debug,
            roles=roles,
            forceCGI=forceCGI,
        )
        SingleServer.__init__(self, **kw)

    def run(self) -> bool:  # type: ignore[override] # flup's own: the loops it inherits from take a socket
        """As `flup.server.fcgi.WSGIServer.run`."""
        return self._run()
