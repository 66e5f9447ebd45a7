"""This file is the base of flup's FastCGI servers, and holds every name that programs import from beside it."""

# ruff: noqa: N803, N815 - flup's names

from __future__ import annotations

import os
import resource
import sys
import threading
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from penstock.compat.flup import records, requests, streams
from penstock.compat.flup.facade import Facade
from penstock.compat.flup.handling import Call, HandledRequest, HookedGateway
from penstock.compat.flup.listening import CannotListen
from penstock.compat.flup.records import *  # noqa: F403 - the protocol's names, which programs import from here
from penstock.gateways.wsgi import WSGIApplication
from penstock.protocol.spec import Role
from penstock.server.address import BindError
from penstock.server.homes import Home, answer_once, find_home, inherited_listeners
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.options import ServerOptions

Request = requests.Request
CGIRequest = requests.CGIRequest
Connection = requests.Connection
MultiplexedConnection = requests.MultiplexedConnection
TimeoutException = requests.TimeoutException
InputStream = streams.InputStream
MultiplexedInputStream = streams.MultiplexedInputStream
OutputStream = streams.OutputStream
TeeOutputStream = streams.TeeOutputStream
StdoutWrapper = streams.StdoutWrapper


class BaseFCGIServer(Facade):
    """What flup's FastCGI servers share.

    Args:
        application: a WSGI application; flup's liberties hold: status, headers and body may be bytes or latin-1 text.
        environ: put into every request's environ, over what the web server sends.
        multithreaded: whether requests may run at the same time.
        multiprocess: what the application is told; changes nothing else.
        bindAddress: a path for a unix socket, (host, port), or None for what the process was started with: a listening
            socket on standard input (a web server, spawn-fcgi), sockets of systemd, one CGI request, or a terminal,
            where a GET / is answered.
        umask: for the unix socket's mode. Without one it is 0660, or 0666 where the process's own umask allows that.
        multiplexed: not used: requests of one connection always run side by side.
        debug: show a failure's traceback on the page. False unless it is asked for, as in flup from 1.0.3 on.
        roles: FCGI_RESPONDER, FCGI_AUTHORIZER and FCGI_FILTER, which of them are answered.
        forceCGI: never take standard input for a listening socket; the environment's FCGI_FORCE_CGI=Y says the same.

    Attributes:
        request_class, cgirequest_class: what handler() gets; subclasses may put their own here.
        capability: what flup answers to FCGI_GET_VALUES; penstock answers what is true of its own server.
        maxwrite, inputStreamShrinkThreshold: not used.
    """

    request_class: ClassVar[type[requests.Request]] = requests.Request
    cgirequest_class: ClassVar[type[requests.CGIRequest]] = requests.CGIRequest
    maxwrite: ClassVar = 8192
    inputStreamShrinkThreshold: ClassVar = 102400 - 8192

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
        roles: Collection[int] = (records.FCGI_RESPONDER,),
        forceCGI: bool = False,
    ) -> None:
        Facade.__init__(self, application, environ, multithreaded, multiprocess, bindAddress, umask, debug)
        self.roles = roles
        self.forceCGI = forceCGI
        self._appLock = threading.Lock()
        self._connectionClass = requests.MultiplexedConnection if multiplexed else requests.Connection
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.capability = {
            records.FCGI_MAX_CONNS: most,
            records.FCGI_MAX_REQS: most * 5 if multiplexed else most,
            records.FCGI_MPXS_CONNS: int(bool(multiplexed)),
        }

    def handler(self, req: Any) -> tuple[int, int]:
        """Answer a request; may be overridden, and then has req.params, req.stdin, req.stdout and req.stderr.

        Returns:
            Protocol status and application status. The first cannot be sent: a refusal becomes a 503 or 500.
        """
        req.run_application()
        return records.FCGI_REQUEST_COMPLETE, 0

    def _make_request(self, call: Call) -> HandledRequest:
        if call.environ["wsgi.run_once"]:
            return self.cgirequest_class(call)
        return self.request_class(call)

    def _options(self, threads: int) -> ServerOptions:
        try:
            roles = frozenset(map(Role, self.roles))
        except (TypeError, ValueError):
            raise ValueError(f"roles is {self.roles!r}; it is a tuple of FCGI_RESPONDER and its kin") from None
        return ServerOptions(threads=threads, roles=roles)

    def _listen(self) -> list[Listener]:
        if self._bindAddress is not None:
            return super()._listen()
        forced = self.forceCGI or os.environ.get("FCGI_FORCE_CGI", "N")[:1] in ("Y", "y")
        home = find_home(os.environ)
        if forced and home is Home.FASTCGI:
            log.warning("CGI is asked for, but standard input is a listening socket: serving FastCGI on it")
        if home.once:
            sys.exit(self._answer_once(home))
        try:
            return inherited_listeners(home, os.environ)
        except BindError as error:
            raise CannotListen(str(error)) from None

    def _answer_once(self, home: Home) -> int:
        gateway = HookedGateway(self, multithread=False, multiprocess=True, run_once=True)
        return answer_once(home, self.application, gateway, os.environ)
