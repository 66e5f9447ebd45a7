"""This file runs penstock's thread server for an old program, on the socket that the program was started with."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import Final

from penstock.gateways.request import Gateway
from penstock.server.accesslog import AccessLog
from penstock.server.homes import Home, inherited_listeners, settle_descriptors
from penstock.server.notices import log
from penstock.server.options import ServerOptions
from penstock.server.serving import start_log
from penstock.server.threads import ThreadServer

_FORMAT: Final = "%(asctime)s %(levelname)s %(message)s"


def serve_inherited(
    gateway: Gateway,
    home: Home,
    options: ServerOptions,
    values: Mapping[str, str],
    on_start: Callable[[Callable[[], None]], object],
) -> None:
    """Serve until stopped.

    Args:
        gateway: runs the program for one request.
        home: FASTCGI or SYSTEMD.
        options: how peers are treated.
        values: answers to GET_VALUES, over the server's own.
        on_start: called with what stops the server, from any thread.

    Raises:
        AddressError, BindError: as `inherited_listeners` does.
    """
    heard = settle_descriptors()
    listeners = inherited_listeners(home, os.environ)
    server = ThreadServer(gateway, listeners, options, AccessLog(1) if heard else None)
    server._values.update(values)
    try:
        for listener in listeners:
            for warning in listener.warnings:
                log.warning("%s", warning)
            log.info("listening on %s", listener.address)
        on_start(server.stop)
        server.run()
    finally:
        for listener in listeners:
            listener.close()
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
