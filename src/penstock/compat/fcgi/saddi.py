"""This file is Allan Saddi's single-file fcgi.py, which Trac, web2py and many shared hosts carried along.

from fcgi import WSGIServer
WSGIServer(app).run()
"""

# ruff: noqa: N802, N803 - Saddi's names

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NoReturn

from penstock.compat.flup.server.fcgi_base import BaseFCGIServer
from penstock.compat.flup.server.threadedserver import ThreadedServer
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["Server", "WSGIServer"]

Handler = Callable[[Any], tuple[int, int]]


def _no_application(_environ: Mapping[str, Any], _start_response: object) -> NoReturn:
    raise NotImplementedError("this Server has no handler: give it one, Server(handler), or override handler(req)")


class Server(BaseFCGIServer, ThreadedServer):
    """Serves requests with a plain handler, in up to 32 threads; Saddi's had one for each connection, without a bound.

    Where a request fails, the answer is penstock's page with status 500 and the log has the traceback; Saddi's showed
    the traceback, with status 200. What a program puts in place of `error(req)`, in a subclass or by replacing
    `Server.error`, is called instead.

    Args:
        handler: called with each request, which has params, stdin, stdout, stderr and data; returns protocol status and
            application status. None where a subclass has a `handler` of its own.
        maxwrite: not used: records are as large as they can be.
        bindAddress: a path for a unix socket, (host, port), or None for what the process was started with: a listening
            socket on standard input, sockets of systemd, one CGI request, or a terminal, where GET / is answered.
        umask: for the unix socket's mode, as flup takes it.
        multiplexed: not used: requests of one connection always run side by side.
    """

    def __init__(
        self,
        handler: Handler | None = None,
        maxwrite: int = 8192,
        bindAddress: object = None,
        umask: int | None = None,
        multiplexed: bool = False,
    ) -> None:
        self._init(_no_application, None, True, maxwrite, bindAddress, umask, multiplexed)
        if handler is not None:
            self.handler = handler  # type: ignore[method-assign, assignment] # Saddi's way of being told

    def _init(
        self,
        application: WSGIApplication,
        environ: Mapping[str, Any] | None,
        multithreaded: bool,
        maxwrite: int,
        bindAddress: object,
        umask: int | None,
        multiplexed: bool,
    ) -> None:
        BaseFCGIServer.__init__(
            self,
            application,
            environ=environ,
            multithreaded=multithreaded,
            multiprocess=True,  # so Saddi's tells every application, whoever started it
            bindAddress=bindAddress,
            umask=umask,
            multiplexed=multiplexed,
        )
        ThreadedServer.__init__(self)
        self.maxwrite = maxwrite  # type: ignore[misc] # an argument here, an attribute of the class in flup

    def _mainloopPeriodic(self) -> None:
        """To be overridden: called about once a second. So a signal that reached another thread is obeyed by then."""

    def run(self, timeout: float = 1.0) -> bool:  # type: ignore[override] # noqa: ARG002 - flup's loops take a socket
        """Serve until SIGINT, SIGTERM or SIGHUP, or _exit(); a single CGI request ends the process with sys.exit().

        Args:
            timeout: not used, for nothing is polled.

        Returns:
            Whether SIGHUP has ended it, which asks the program to start again.

        Raises:
            CannotListen: an OSError: the address cannot be listened at.
        """
        return self._run()


class WSGIServer(Server):
    """Serves a WSGI application; `wsgi.multiprocess` is always true, as it was.

    Args:
        application: a WSGI application; status, headers and body may be bytes or latin-1 text.
        environ: put into every request's environ, over what the web server sends.
        multithreaded: whether requests may run at the same time.
        kw: maxwrite, bindAddress, umask and multiplexed, as for `Server`; `handler` is dropped.

    Raises:
        TypeError: another keyword.
    """

    def __init__(
        self,
        application: WSGIApplication,
        environ: Mapping[str, Any] | None = None,
        multithreaded: bool = True,
        **kw: Any,
    ) -> None:
        kw.pop("handler", None)
        _check_keywords(kw)
        self._init(
            application,
            environ,
            multithreaded,
            kw.get("maxwrite", 8192),
            kw.get("bindAddress"),
            kw.get("umask"),
            kw.get("multiplexed", False),
        )


def _check_keywords(names: Iterable[str]) -> None:
    known = ("maxwrite", "bindAddress", "umask", "multiplexed")
    for name in names:
        if name not in known:
            raise TypeError(
                f"fcgi.WSGIServer takes {', '.join(known)}, and no {name}; flup.server.fcgi.WSGIServer may take it"
            )
