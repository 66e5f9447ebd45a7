"""This file is fcgisgi: `asyncio.run(run_asgi_server(app))`, and the same for WSGI."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from penstock.compat.flup.listening import bind_text, listen
from penstock.gateways.environ import mount_point
from penstock.server.homes import find_home, settle_descriptors
from penstock.server.host import inherited_place
from penstock.server.hosting import Place, Wish, open_place
from penstock.server.lifecycle import STOP_SIGNALS
from penstock.server.notices import log
from penstock.server.options import ServerOptions
from penstock.server.serving import serve, start_log
from penstock.server.wiring import Application, make_server

__all__ = ["Server", "run_asgi_server", "run_wsgi_server"]

_THREADS = 32


class Server:
    """Serves an application beside whatever else the program's event loop has to do.

    An ASGI application runs on an event loop of its own, in another thread: what it shares with the program's own tasks
    has to be safe for that. `fcgisgi.fcgi_params` is in neither scope nor environ; the environ has every parameter.

    Args:
        app: the application. One that raises on `lifespan` is served all the same, where fcgisgi refuses it.
        is_asgi: whether it is ASGI, and not WSGI.
        force_script_name: the path prefix that it lives under.
        startup_timeout: not used: nothing is served before the application has started.
        shutdown_timeout: seconds that running requests get once the server is to stop.
        max_workers: threads of a WSGI application, 32 if not given.
    """

    def __init__(
        self,
        app: Application,
        is_asgi: bool = True,
        *,
        force_script_name: str | None = None,
        startup_timeout: float = 55.0,  # noqa: ARG002
        shutdown_timeout: float = 55.0,
        max_workers: int | None = None,
    ) -> None:
        self._app = app
        self._interface = "asgi" if is_asgi else "wsgi"
        self._mount = force_script_name
        self._threads = max_workers or _THREADS
        self._grace = shutdown_timeout
        self._server: Any = None

    async def run(self, bind_address: Any = None) -> None:
        """Serve until SIGTERM, SIGINT or SIGUSR1, or `stop`, or until the task is cancelled.

        Args:
            bind_address: a path for a unix socket, (host, port), or None for what the process was started with: as a
                plain CGI program it answers the one request, in a shell it shows how GET / is answered.

        Raises:
            CannotListen: an OSError: the address cannot be listened at.
            StartupFailed: the application's lifespan said that it cannot start.
        """
        settle_descriptors()
        if not log.hasHandlers():
            start_log("warning")
        options = self._options()
        bind = () if bind_address is None else (bind_text(bind_address),)
        place = open_place(Wish(options, bind))
        home = find_home(os.environ)
        if place is not None:
            pass
        elif bind_address is not None:
            place = Place(listen(bind_address, None, None, os.environ), options, None)
            for listener in place.listeners:
                log.info("listening on %s", listener.address)
        elif home.once:
            await asyncio.to_thread(serve, self._app, interface=self._interface, mount=self._mount, log_level="warning")
            return
        else:
            place = inherited_place(home, options)
        try:
            await self._serve(place)
        finally:
            for listener in place.listeners:
                listener.close()

    def _options(self) -> ServerOptions:
        mount = None if self._mount is None else mount_point(self._mount)
        return ServerOptions(threads=self._threads, mount=mount, graceful_timeout=self._grace)

    async def _serve(self, place: Place) -> None:
        self._server = server = make_server(
            self._app, self._interface, place.listeners, place.options, place.access_log
        )
        running = asyncio.ensure_future(asyncio.to_thread(server.run))
        with _signals(server):
            try:
                await asyncio.shield(running)
            except asyncio.CancelledError:
                self.stop()
                await running
                raise

    def stop(self) -> None:
        """End `run`, once the requests that run are answered; for any thread."""
        if self._server is not None:
            self._server.stop()


@contextmanager
def _signals(server: Any) -> Iterator[None]:
    """Obey the stop signals on the program's own loop, for the server is in another thread than the main one."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, server.lifecycle.on_stop_signal)
    try:
        yield
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
        signal.setitimer(signal.ITIMER_REAL, 0)  # the hard end, which a stop signal sets


async def run_asgi_server(app: Application, bind_address: Any = None, **kw: Any) -> None:
    """Serve an ASGI application; arguments as for `Server` and `Server.run`."""
    await Server(app, True, **kw).run(bind_address)


async def run_wsgi_server(app: Application, bind_address: Any = None, **kw: Any) -> None:
    """Serve a WSGI application; arguments as for `Server` and `Server.run`."""
    await Server(app, False, **kw).run(bind_address)
