"""This file puts the floors together: `serve()` is what `penstock.serve` and `penstock serve` both do."""

from __future__ import annotations

import fcntl
import logging
import os
import sys
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from penstock.gateways.request import Gateway
from penstock.protocol.spec import Role
from penstock.server.homes import Home, answer_once, find_home, inherited_listeners, settle_descriptors
from penstock.server.host import DEFAULT_BIND, DEFAULT_MODE, Host, Listening, announce
from penstock.server.hosting import Wish, is_hosted, open_place, set_host
from penstock.server.journal import JournalFormatter, is_journal
from penstock.server.notices import log, new_reference
from penstock.server.options import GIB, MIB, ServerOptions
from penstock.server.script import Script
from penstock.server.wiring import Application, blocking_gateway, is_asgi, make_server

if TYPE_CHECKING:
    from penstock.server.accesslog import AccessLog
    from penstock.server.listen import Listener

__all__ = ["DEFAULT_BIND", "serve", "start_log"]

OnReady = Callable[[list["Listener"]], object]
MakeLog = Callable[[], "AccessLog | None"]


def serve(
    app: Application | Script,
    *,
    bind: str | Sequence[str] = (),
    interface: str = "auto",
    threads: int = 1,
    protocol: str = "fastcgi",
    mount: str | None = None,
    roles: Collection[Role] = (Role.RESPONDER,),
    max_body: int = GIB,
    body_memory: int = MIB,
    stream_body: bool = False,
    io_timeout: float = 60.0,
    graceful_timeout: float = 30.0,
    max_queue_age: float = 0.0,
    socket_mode: int = DEFAULT_MODE,
    socket_owner: str | None = None,
    socket_group: str | None = None,
    allow: Sequence[str] | None = None,
    insecure_public: bool = False,
    access_log: bool = True,
    access_log_format: str = "text",
    log_level: str = "info",
    on_ready: OnReady | None = None,
) -> None:
    """Serve an application over FastCGI, or SCGI, until a stop signal; `penstock serve` takes the same words.

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
    options = ServerOptions.of(
        threads=threads,
        protocol=protocol,
        mount=mount,
        roles=roles,
        max_body=max_body,
        body_memory=body_memory,
        stream_body=stream_body,
        io_timeout=io_timeout,
        graceful_timeout=graceful_timeout,
        max_queue_age=max_queue_age,
    )
    binds = (bind,) if isinstance(bind, str) else bind
    listening = Listening(binds, socket_mode, socket_owner, socket_group, allow, insecure_public)
    log_style = access_log_format if access_log and heard else None
    _serve(app, interface, options, listening, partial(_make_log, log_style), on_ready)


def _serve(
    app: Application | Script,
    interface: str,
    options: ServerOptions,
    listening: Listening,
    make_log: MakeLog,
    on_ready: OnReady | None,
) -> None:
    home = None if listening.bind else find_home(os.environ)
    if isinstance(app, Script):
        _serve_script(app, interface, Host(listening, options, find_home(os.environ), make_log, on_ready), options)
        return
    if is_hosted():
        _serve_hosted(app, interface, options, listening)
        return
    if home is None:
        listeners = listening.open()
    elif home.once:
        _answer_once(app, interface, home, options)
        return
    else:
        listeners = inherited_listeners(
            home, os.environ, allow=listening.allow, insecure_public=listening.insecure_public
        )
    try:
        # A web server that starts an application mostly starts several.
        multiprocess = home is Home.FASTCGI
        server = make_server(app, interface, listeners, options, make_log(), multiprocess=multiprocess)
        announce(listeners, on_ready)
        server.run()
    finally:
        # A stop may come before the server obeys signals, as an exception; no socket's path may stay behind then.
        for listener in listeners:
            listener.close()
    log.info("stopped")


def _serve_script(script: Script, interface: str, host: Host, options: ServerOptions) -> None:
    """Run a script, which serves there by itself; or serve the application that it has."""
    set_host(host)
    end = None
    try:
        host.lend()
        app = script.run(host)
        if app is not None:
            _serve_hosted(app, interface, options, None)
    except SystemExit as error:
        end = error
    finally:
        set_host(None)
        host.close()
    if host.home is not Home.CGI:  # one answer is no news
        log.info("stopped")
    if end is not None:
        raise end


def _serve_hosted(app: Application, interface: str, options: ServerOptions, listening: Listening | None) -> None:
    """Serve an application of the script that `penstock serve` runs; it may have called `penstock.serve` itself."""
    is_asgi(app, interface)  # says at once that it is no application
    wish = Wish(options)
    if listening is not None:
        mode = None if listening.socket_mode == DEFAULT_MODE else listening.socket_mode
        wish = Wish(options, listening.bind, mode, listening.allow)
    place = open_place(wish)
    if place is None:
        _answer_once(app, interface, Home.CGI, options)
        return
    try:
        make_server(app, interface, place.listeners, place.options, place.access_log).run()
    finally:
        for listener in place.listeners:
            listener.close()


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


def _make_log(style: str | None) -> AccessLog | None:
    if style is None:
        return None
    from penstock.server.accesslog import AccessLog

    # A copy of our own: an application that closes descriptor 1 gives the number to a connection.
    return AccessLog(fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, 3), style)


def start_log(level: object) -> None:
    """Send penstock's own log to standard error, unless the program has arranged for it already.

    Raises:
        ValueError: no such level.
    """
    number: Any = getattr(logging, level.upper(), None) if isinstance(level, str) else None
    if not isinstance(number, int):
        raise ValueError(f"there is no log level {level!r}; use debug, info, warning or error")
    log.setLevel(number)
    if not log.hasHandlers() and sys.stderr is not None:
        from penstock.server.lines import stderr_handler

        handler = stderr_handler()
        told = JournalFormatter() if is_journal() else logging.Formatter("%(asctime)s %(levelname)s %(message)s")
        handler.setFormatter(told)
        log.addHandler(handler)
