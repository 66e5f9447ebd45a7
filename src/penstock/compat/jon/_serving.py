"""This file runs penstock's thread server for an old program, on the socket that the program was started with."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from penstock.gateways.request import Gateway
from penstock.server.accesslog import AccessLog
from penstock.server.homes import Home, settle_descriptors
from penstock.server.host import inherited_place
from penstock.server.hosting import Place
from penstock.server.notices import log
from penstock.server.options import ServerOptions
from penstock.server.serving import start_log
from penstock.server.wiring import thread_server

_FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"


def serve_inherited(
    gateway: Gateway,
    home: Home,
    options: ServerOptions,
    on_start: Callable[[Callable[[], None]], object],
    place: Place | None = None,
) -> None:
    """Serve until stopped.

    Args:
        gateway: runs the program for one request.
        home: FASTCGI or SYSTEMD.
        options: how peers are treated.
        on_start: called with what stops the server, from any thread.
        place: where to serve, and how, if that is not for the program to say.

    Raises:
        AddressError, BindError: as `inherited_listeners` does.
    """
    heard = settle_descriptors()
    hosted = place is not None
    if place is None:
        place = inherited_place(home, options, AccessLog(1) if heard else None)
    server = thread_server(gateway, place.listeners, place.options, place.access_log)
    try:
        on_start(server.stop)
        server.run()
    finally:
        for listener in place.listeners:
            listener.close()
    if not hosted:
        log.info("stopped")


def open_log(records: bool, filename: str | None) -> None:
    """Begin penstock's log on standard error, and in a file too where one is named.

    Args:
        records: show every record.
        filename: appended to.
    """
    start_log("debug" if records else "info")
    if filename is not None:
        handler = logging.FileHandler(filename, encoding="utf-8", errors="backslashreplace")
        handler.setFormatter(logging.Formatter(_FORMAT))
        log.addHandler(handler)
