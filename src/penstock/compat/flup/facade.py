"""This file is what flup's servers have in common: what they are told, and how that becomes a server of penstock's."""

# ruff: noqa: N802, N803 - flup's names

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

from penstock.compat.flup.handling import Call, HandledRequest, HookedGateway
from penstock.compat.flup.listening import GuardedListener, bind_text, listen, socket_mode
from penstock.compat.flup.loop import Loop
from penstock.compat.flup.news import Mailbox
from penstock.compat.flup.pages import plain_page, traceback_page
from penstock.gateways.wsgi import WSGIApplication
from penstock.server.homes import settle_descriptors
from penstock.server.hosting import Place, Wish, open_place, serves_by_itself
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.options import ServerOptions
from penstock.server.serving import start_log


class Facade(Loop):
    """A server of flup's; the arguments are explained where they are given, in `flup.server.fcgi` and its siblings.

    Attributes:
        application, environ, multithreaded, multiprocess, debug: as given; they may be changed up to run().
    """

    def __init__(
        self,
        application: WSGIApplication,
        environ: Mapping[str, Any] | None,
        multithreaded: bool,
        multiprocess: bool,
        bindAddress: object,
        umask: int | None,
        debug: object,
    ) -> None:
        self.application = application
        self.environ: dict[str, Any] = dict(environ or {})
        self.multithreaded = multithreaded
        self.multiprocess = multiprocess
        self.debug = debug
        self._bindAddress = bindAddress
        self._umask = umask
        self._listeners: list[Listener] = []
        self._place: Place | None = None

    # -- sockets

    def _setupSocket(self) -> socket.socket:
        """Listen. What an override returns instead is served too."""
        settle_descriptors()
        if not log.hasHandlers():
            start_log("warning")  # flup is silent, and a web server's error log is no place for greetings
        self._place = open_place(self._wish())
        self._listeners = self._listen() if self._place is None else self._place.listeners
        return self._listeners[0].socket

    def _listen(self) -> list[Listener]:
        return listen(self._bindAddress, self._umask, self._allowed(), self._allowing_environ())

    def _wish(self) -> Wish:
        """What a host has to know, where there is one."""
        return Wish(
            self._options(self._threads()),
            () if self._bindAddress is None else (bind_text(self._bindAddress),),
            None if self._umask is None else socket_mode(self._umask),
            self._allowed(),
            one_at_a_time=not self.multithreaded or self._threads() == 1,
        )

    def _allowed(self) -> Sequence[str] | None:
        """The addresses that may connect over TCP; None leaves it to the environment."""
        return None

    def _allowing_environ(self) -> Mapping[str, str]:
        return os.environ

    def _cleanupSocket(self, sock: socket.socket) -> None:
        """Stop listening, and remove a unix socket's path."""
        for listener in self._listeners:
            listener.close()
        sock.close()

    def _isClientAllowed(self, addr: Any) -> bool:  # noqa: ARG002
        """To be overridden: whether a peer with this address may stay, beside the lists of addresses."""
        return True

    # -- hooks of a request

    def error(self, req: Any) -> None:
        """Answer a request whose handler failed, with a page on req.stdout; may be overridden."""
        failure = sys.exc_info()[1]
        page = traceback_page(failure) if self.debug and failure is not None else plain_page()
        req.stdout.write(page)

    def _answers_errors(self) -> bool:
        return bool(self.debug) or self._overrides("error")

    def _sanitizeEnv(self, environ: dict[str, Any]) -> None:
        """To be overridden: put the environ right. penstock has repaired paths and defaults before."""

    def _make_request(self, call: Call) -> HandledRequest:
        raise NotImplementedError

    def _overrides(self, name: str) -> bool:
        """Whether a program has put its own method in place of ours, in a subclass or on this very server."""
        return name in vars(self) or getattr(type(self), name) is not getattr(Facade, name)

    # -- serving

    def _options(self, threads: int) -> ServerOptions:
        return ServerOptions(threads=threads)

    def _serve(self, sock: object, mailbox: Mailbox) -> None:
        # Imported late, because a plain CGI request needs none of it.
        from penstock.compat.flup.running import Supervision
        from penstock.server.wiring import thread_server

        place = self._place
        options = self._options(self._threads() if self.multithreaded else 1) if place is None else place.options
        gateway = HookedGateway(self, multithread=options.threads > 1, multiprocess=bool(self.multiprocess))
        listeners = self._listeners_behind(sock)
        server = thread_server(gateway, listeners, options, None if place is None else place.access_log)
        run = Supervision(server, listeners, options.graceful_timeout, mailbox)
        run.run(lambda: self._keepGoing, self._mainloopPeriodic if self._overrides("_mainloopPeriodic") else None)

    def _listeners_behind(self, sock: object) -> list[Listener]:
        listeners = self._listeners
        if isinstance(sock, socket.socket) and all(listener.socket is not sock for listener in listeners):
            # A program has made a socket of its own, and knows what it does.
            listeners = [Listener(sock, "a socket of the program's own")]
        if self._overrides("_isClientAllowed"):
            # It has all that is asked of a Listener; that class itself is closed to changes.
            return [cast(Listener, GuardedListener(listener, self._isClientAllowed)) for listener in listeners]
        return listeners

    def _run(self) -> bool:
        self._begin()
        serves_by_itself()
        try:
            sock = self._setupSocket()
            try:
                return self._loop(sock)
            finally:
                self._cleanupSocket(sock)
                self.shutdown()
        finally:
            self._going = False
