"""This file puts the floors together: `serve()` is what `penstock.serve` and `penstock serve` both do."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

from penstock.gateways.environ import mount_point
from penstock.gateways.wsgi import WSGIApplication, WSGIGateway
from penstock.protocol.spec import Role
from penstock.server.accesslog import AccessLog
from penstock.server.intake import new_reference
from penstock.server.listen import Listener, open_listeners
from penstock.server.notices import log
from penstock.server.options import GIB, MIB, ServerOptions
from penstock.server.threads import ThreadServer

DEFAULT_BIND = "unix:penstock.sock"


def serve(
    app: WSGIApplication,
    *,
    bind: str | Sequence[str] = (),
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
    on_ready: Callable[[list[Listener]], object] | None = None,
) -> None:
    """Serve a WSGI application over FastCGI until a stop signal; `penstock serve` with the same words does the same.

    Args:
        app: the WSGI application (PEP 3333).
        bind: one or more of `unix:/path`, `host:port`, `[v6]:port`, `fd:N`; `unix:penstock.sock` when empty.
        threads: how many requests run at a time, each in a thread.
        mount: the URL prefix the application lives under, such as "/app"; None believes the web server.
        roles: FastCGI roles to serve; a request in another is answered UNKNOWN_ROLE.
        max_body: most bytes of a request body; more is a 413.
        body_memory: most bytes of a body in memory; a longer one goes to an unlinked temporary file.
        stream_body: let the application read the body while it arrives.
        io_timeout: seconds a web server may stall in the middle of a request or response.
        graceful_timeout: seconds that running requests get after the first stop signal.
        socket_mode, socket_owner, socket_group: who may connect to unix sockets.
        allow: addresses and networks that may connect over TCP; by default FCGI_WEB_SERVER_ADDRS, else loopback alone.
        insecure_public: listen on other than loopback without an allow-list.
        access_log: write a line for each request to standard output.
        access_log_format: "text" or "json".
        log_level: least level of penstock's own log on standard error: debug, info, warning or error.
        on_ready: called with the listeners once connections are accepted.

    Raises:
        AddressError, ValueError: an argument is written wrong.
        BindError: the address cannot be bound; the message says why and what helps.
    """
    if threads < 1:
        raise ValueError(f"{threads} threads cannot serve anything; say 1 or more")
    keep_standard_descriptors()
    start_log(log_level)
    access = AccessLog(1, access_log_format) if access_log else None
    options = ServerOptions(
        threads=threads,
        mount=None if mount is None else mount_point(mount),
        roles=frozenset(roles),
        max_body=max_body,
        body_memory=body_memory,
        stream_body=stream_body,
        io_timeout=io_timeout,
        graceful_timeout=graceful_timeout,
    )
    listeners = open_listeners(
        bind or DEFAULT_BIND,
        socket_mode=socket_mode,
        socket_owner=socket_owner,
        socket_group=socket_group,
        allow=allow,
        insecure_public=insecure_public,
    )
    gateway = WSGIGateway(app, multithread=threads > 1, new_reference=new_reference)
    server = ThreadServer(gateway, listeners, options, access)
    try:
        _say_where(listeners)
        if on_ready is not None:
            on_ready(listeners)
        server.run()
    finally:
        # A stop may come before the server obeys signals, as an exception; no socket's path may stay behind then.
        for listener in listeners:
            listener.close()
    log.info("stopped")


def _say_where(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        for warning in listener.warnings:
            log.warning("%s", warning)
        log.info("listening on %s", listener.address)


def keep_standard_descriptors() -> None:
    """Put /dev/null where the parent has closed descriptor 0, 1 or 2, as web servers do.

    Else a socket would get the number, and what the access log or the application prints would go to a client.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number, which is this one


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
