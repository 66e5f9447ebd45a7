"""This file is flup.server.scgi_fork: an SCGI server whose processes run one request at a time; see `PreforkServer`."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from penstock.compat.flup.server import NoDefault
from penstock.compat.flup.server.preforkserver import PreforkServer
from penstock.compat.flup.server.scgi_base import BaseSCGIServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["WSGIServer"]


class WSGIServer(BaseSCGIServer, PreforkServer):
    """Serves a WSGI application over SCGI; one request at a time, until the pool of processes is there.

    Args:
        application to debug: as for `BaseSCGIServer`.
        timeout: seconds for a request; not enforced yet.
        kw: minSpare, maxSpare, maxChildren, maxRequests and sockTimeout, as for `PreforkServer`.

    Raises:
        ValueError: minSpare is below 1, or maxSpare below minSpare.
    """

    def __init__(
        self,
        application: WSGIApplication,
        scriptName: str | type[NoDefault] | None = NoDefault,
        environ: Mapping[str, Any] | None = None,
        bindAddress: object = ("localhost", 4000),
        umask: int | None = None,
        allowedServers: Sequence[str] | None = None,
        loggingLevel: int = logging.INFO,
        debug: object = False,
        timeout: int | None = None,
        **kw: Any,
    ) -> None:
        BaseSCGIServer.__init__(
            self,
            application,
            scriptName=scriptName,
            environ=environ,
            multithreaded=False,
            multiprocess=True,
            bindAddress=bindAddress,
            umask=umask,
            allowedServers=allowedServers,
            loggingLevel=loggingLevel,
            debug=debug,
        )
        self._timeout = timeout
        for name in ("multithreaded", "multiprocess"):
            kw.pop(name, None)  # flup lets them pass, for programs that build either of its servers
        PreforkServer.__init__(self, **kw)

    def run(self) -> bool:  # type: ignore[override] # flup's own: the loops it inherits from take a socket
        """As `flup.server.scgi.WSGIServer.run`."""
        return self._run()
