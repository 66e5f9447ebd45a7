"""This file puts the floors together: `serve()` is what `penstock.serve` and `penstock serve` both do."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from penstock.gateways.environ import mount_point
from penstock.gateways.request import Gateway
from penstock.protocol.spec import Role
from penstock.server.homes import Home, answer_once, find_home, inherited_listeners, settle_descriptors
from penstock.server.notices import log, new_reference
from penstock.server.options import GIB, MIB, ServerOptions
from penstock.server.wiring import Application, blocking_gateway, is_asgi, make_server

if TYPE_CHECKING:
    from penstock.server.listen import Listener

DEFAULT_BIND = "unix:penstock.sock"

OnReady = Callable[[list["Listener"]], object]


def serve(
    app: Application,
    *,
    bind: str | Sequence[str] = (),
    interface: str = "auto",
    threads: int = 1,
    mount: str | None = None,
    roles: Collection[Role] = (Role.RESPONDER,),
    max_body: int = GIB,
    body_memory: int = MIB,
    stream_body: bool = False,
    io_timeout: float = 60.0,
    graceful_timeout: float = 30.0,
    socket_mode: int = 0o660,
    socket_owner: str | None = None,
    socket_group: str | None = None,
    allow: Sequence[str] | None = None,
    insecure_public: bool = False,
    access_log: bool = True,
    access_log_format: str = "text",
    log_level: str = "info",
    on_ready: OnReady | None = None,
) -> None:
    """Serve an application over FastCGI until a stop signal; `penstock serve` takes the same words.

    Args:
        app: a WSGI or ASGI callable, a subclass of `penstock.Handler`, or a mapping from roles to WSGI and handlers.
        bind: one or more of `unix:/path`, `host:port`, `[v6]:port`, `fd:N`. When empty: the socket that a web server or
            systemd passed; as a CGI program, answer the one request; in a shell, show how GET / is answered.
        interface: "wsgi" or "asgi" where "auto" guesses wrong.
        on_ready: called with the listeners once they are open.
        threads, mount, ...: docs/cli.md describes each; times are in seconds, sizes in bytes.

    Raises:
        AddressError, ValueError, TypeError: an argument is written wrong, or `app` is no application.
        BindError: the address cannot be bound; the message says why and what helps.
        StartupFailed: the application's ASGI lifespan said that it cannot start.
    """
    heard = settle_descriptors()
    start_log(log_level)
    prefix = None if mount is None else mount_point(mount)
    options = ServerOptions(
        threads, prefix, frozenset(roles), max_body, body_memory, stream_body, io_timeout, graceful_timeout
    )
    home = None if bind else find_home(os.environ)
    if home is None:
        from penstock.server.listen import open_listeners

        unix: dict[str, Any] = {"socket_mode": socket_mode, "socket_owner": socket_owner, "socket_group": socket_group}
        listeners = open_listeners(bind, allow=allow, insecure_public=insecure_public, **unix)
    elif home.once:
        _answer_once(app, interface, home, options)
        return
    else:
        listeners = inherited_listeners(home, os.environ, allow=allow, insecure_public=insecure_public)
    log_style = access_log_format if access_log and heard else None
    _serve_on(listeners, app, interface, options, log_style, home, on_ready)


def _answer_once(app: Application, interface: str, home: Home, options: ServerOptions) -> None:
    gateway: Gateway
    if is_asgi(app, interface):
        from penstock.gateways.asgi_once import ASGIOnce

        gateway = ASGIOnce(app, new_reference=new_reference)  # type: ignore[arg-type]
    else:
        gateway, _ = blocking_gateway(app, multiprocess=home is Home.CGI, run_once=True)
    status = answer_once(home, app, gateway, os.environ, mount=options.mount, max_body=options.max_body)
    if status:
        sys.exit(status)


def _serve_on(
    listeners: list[Listener],
    app: Application,
    interface: str,
    options: ServerOptions,
    log_style: str | None,
    home: Home | None,
    on_ready: OnReady | None,
) -> None:
    try:
        from penstock.server.accesslog import AccessLog

        # A copy of our own: an application that closes descriptor 1 gives the number to a connection.
        access_log = None
        if log_style is not None:
            access_log = AccessLog(fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3), log_style)
        # A web server that starts an application mostly starts several.
        multiprocess = home is Home.FASTCGI
        server = make_server(app, interface, listeners, options, access_log, multiprocess=multiprocess)
        for listener in listeners:
            for warning in listener.warnings:
                log.warning("%s", warning)
            log.info("listening on %s", listener.address)
        if on_ready is not None:
            on_ready(listeners)
        server.run()
    finally:
        # A stop may come before the server obeys signals, as an exception; no socket's path may stay behind then.
        for listener in listeners:
            listener.close()
    log.info("stopped")


def start_log(level: str) -> None:
    """Send penstock's own log to standard error, unless the program has arranged for it already.

    Raises:
        ValueError: no such level.
    """
    number: Any = getattr(logging, level.upper(), None)
    if not isinstance(number, int):
        raise ValueError(f"there is no log level {level!r}; use debug, info, warning or error")
    log.setLevel(number)
    if not log.hasHandlers() and sys.stderr is not None:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(handler)
