"""This file is the base of flup's SCGI servers, and a request as their hooks see it."""

# ruff: noqa: N803, N815 - flup's names

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from penstock.compat.flup.facade import Facade
from penstock.compat.flup.handling import Call, HandledRequest
from penstock.compat.flup.listening import CannotListen
from penstock.compat.flup.requests import TimeoutException as TimeoutException
from penstock.compat.flup.server import NoDefault as NoDefault
from penstock.compat.flup.streams import StdoutWrapper as StdoutWrapper
from penstock.compat.flup.unsupported import refuse
from penstock.gateways.environ import mount_point
from penstock.gateways.wsgi import WSGIApplication
from penstock.protocol.errors import ProtocolError as ProtocolError
from penstock.server.options import ServerOptions

LoggerName: Final = "scgi-wsgi"
"""The logger of requests and of the server's start and end; unlike flup, penstock gives it no handler."""


class Request(HandledRequest):
    """One request.

    Attributes:
        environ: the parameters and the `wsgi.` keys.
        stdin, stdout: as in flup.
        logger: see LoggerName.
    """

    def __init__(self, conn: Call, environ: dict[str, Any], input: object = None, output: object = None) -> None:  # noqa: ARG002
        super().__init__(conn)
        self.environ = environ
        self.logger = logging.getLogger(LoggerName)

    def run(self) -> None:
        """Call the server's handler(), and error() if that fails."""
        environ = self.environ
        line = f"{environ.get('REQUEST_METHOD')} {environ.get('SCRIPT_NAME', '')}{environ.get('PATH_INFO', '')}"
        self.logger.info("%s", line)
        began = time.perf_counter()
        self.attempt(lambda: self.server.handler(self))
        self.logger.debug("%s done (%.3f secs)", line, time.perf_counter() - began)

    def run_application(self) -> None:
        """Call the server's WSGI application with the environ as it is now."""
        self.call_application(self.environ)


class Connection:
    """flup's own connection; penstock's are in penstock.server."""

    def __init__(self, *_: object) -> None:
        refuse("flup's Connection", "its server reads connections itself, so override handler() of WSGIServer")


class BaseSCGIServer(Facade):
    """What flup's SCGI servers share.

    Args:
        application, environ, multithreaded, multiprocess, umask, debug: as for `BaseFCGIServer`.
        scriptName: the URL's beginning that leads to the application; not given, the web server is believed. flup's
            request variable WSGI_SCRIPT_NAME is not obeyed: what a request says does not configure a server.
        bindAddress: a path for a unix socket, or (host, port).
        allowedServers: addresses of the web servers that may connect over TCP; None lets everybody.
        loggingLevel: of the logger.

    Attributes:
        requestClass: what handler() gets; subclasses may put their own here.
    """

    requestClass: ClassVar[type[Request]] = Request

    def __init__(
        self,
        application: WSGIApplication,
        scriptName: str | type[NoDefault] | None = NoDefault,
        environ: Mapping[str, Any] | None = None,
        multithreaded: bool = True,
        multiprocess: bool = False,
        bindAddress: object = ("localhost", 4000),
        umask: int | None = None,
        allowedServers: Sequence[str] | type[NoDefault] | None = NoDefault,
        loggingLevel: int = logging.INFO,
        debug: object = False,
    ) -> None:
        Facade.__init__(self, application, environ, multithreaded, multiprocess, bindAddress, umask, debug)
        self.scriptName = scriptName
        self._allowedServers = ["127.0.0.1"] if isinstance(allowedServers, type) else allowedServers
        self._appLock = threading.Lock()
        self.logger = logging.getLogger(LoggerName)
        self.logger.setLevel(loggingLevel)

    def handler(self, request: Any) -> None:
        """Answer a request; may be overridden, and then has request.environ, request.stdin and request.stdout."""
        request.run_application()

    def _make_request(self, call: Call) -> HandledRequest:
        return self.requestClass(call, call.environ)

    def _options(self, threads: int) -> ServerOptions:
        mount = mount_point(self.scriptName) if isinstance(self.scriptName, str) else None
        return ServerOptions(threads=threads, mount=mount, protocol="scgi")

    def _allowed(self) -> Sequence[str] | None:
        return self._allowedServers

    def _allowing_environ(self) -> Mapping[str, str]:
        return {}  # FCGI_WEB_SERVER_ADDRS is FastCGI's

    def _run(self) -> bool:
        name = type(self).__name__
        self.logger.info("%s starting up", name)
        try:
            asked_for_restart = super()._run()
        except CannotListen as error:
            self.logger.error("Failed to bind socket (%s), exiting", error)
            return False
        self.logger.info("%s shutting down%s", name, " (reload requested)" if asked_for_restart else "")
        return asked_for_restart
