"""This file is the table of settings: a row becomes a flag, an environment variable and a line of the documentation.

    name "io_timeout"  ->  keyword of penstock.serve: io_timeout=60.0      flag: --io-timeout 60s
                           key in a file of settings: io_timeout           environment: PENSTOCK_IO_TIMEOUT=60s

`python -m penstock.cli.settings` prints the reference that stands in docs/cli.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

from penstock.cli import values
from penstock.cli.manager_settings import MANAGER_SETTINGS
from penstock.cli.setting import Setting, markdown
from penstock.server.serving import DEFAULT_BIND

LISTEN: Final = "Listening"
REQUESTS: Final = "Requests"
LIMITS: Final = "Limits"
LOGS: Final = "Logs"

SETTINGS: Final[Sequence[Setting]] = (
    Setting(
        "bind",
        values.ADDRESSES,
        LISTEN,
        "Where to listen: unix:/run/app.sock, 127.0.0.1:9000, [::1]:9000, fd:3.",
        "`fd:N` takes over a listening socket that the parent process opened.",
        unset=f"the socket that a web server or systemd passed, else {DEFAULT_BIND}",
    ),
    Setting("socket_mode", values.MODE, LISTEN, "Permission bits of unix sockets."),
    Setting(
        "socket_owner",
        values.USER,
        LISTEN,
        "User that unix sockets are given to.",
        "A name or a number; only root may give a socket away.",
    ),
    Setting(
        "socket_group",
        values.GROUP,
        LISTEN,
        "Group that unix sockets are given to.",
        "A name or a number. With mode 0660, the group of the web server is all it needs: `--socket-group www-data`.",
    ),
    Setting(
        "allow",
        values.PEERS,
        LISTEN,
        "Peers that may connect over TCP: addresses and networks.",
        "FastCGI knows no password, so this list is the only lock a TCP port has.",
        unset="FCGI_WEB_SERVER_ADDRS, or loopback",
    ),
    Setting(
        "insecure_public",
        values.SWITCH,
        LISTEN,
        "Listen beyond loopback even without a list of peers.",
        "For machines whose firewall guards the port.",
    ),
    Setting(
        "protocol",
        values.choice("fastcgi", "scgi"),
        LISTEN,
        "What is spoken with the web server.",
        "SCGI has no kept connections, no roles, and no way to tell a response that was broken off from a short one.",
    ),
    Setting(
        "interface",
        values.choice("auto", "wsgi", "asgi"),
        REQUESTS,
        "How the application is called.",
        "`auto` takes what gives a coroutine for ASGI and everything else for WSGI, unless it is a `Handler`.",
    ),
    Setting(
        "threads",
        values.COUNT,
        REQUESTS,
        "How many requests run at a time.",
        "Idle connections cost no thread. With more than one, the application has to be thread-safe."
        " ASGI applications run on an event loop in one thread, whatever this says.",
    ),
    Setting(
        "mount",
        values.MOUNT,
        REQUESTS,
        "URL prefix the application lives under, such as /app.",
        "It decides SCRIPT_NAME and PATH_INFO. Without it the web server is believed, with its known quirks repaired.",
    ),
    Setting(
        "roles",
        values.ROLES,
        REQUESTS,
        "FastCGI roles to serve: responder, authorizer, filter.",
        "The application finds the role of a request in `FCGI_ROLE`; other roles are answered UNKNOWN_ROLE.",
    ),
    Setting(
        "stream_body",
        values.SWITCH,
        REQUESTS,
        "Let the application read the request body while it arrives.",
        "Otherwise the whole body is received first, so that a slow uploader holds no thread.",
    ),
    Setting("max_body", values.SIZE, LIMITS, "Most bytes of a request body; more is a 413."),
    Setting(
        "body_memory",
        values.SIZE,
        LIMITS,
        "Most bytes of a body held in memory.",
        "A longer one goes to an unlinked temporary file.",
    ),
    Setting(
        "io_timeout",
        values.DURATION,
        LIMITS,
        "How long a web server may stall in mid-request.",
        "Counts while a request is being received or a response sent; idle connections are kept for ever.",
    ),
    Setting(
        "graceful_timeout",
        values.DURATION,
        LIMITS,
        "How long running requests get after a stop signal.",
        "A second signal ends the process at once.",
    ),
    Setting(
        "max_queue_age",
        values.DURATION_OR_OFF,
        LIMITS,
        "How long a request may have waited; an older one is a 503.",
        "Its age comes from the parameter REQUEST_START: in nginx `fastcgi_param REQUEST_START $msec;`."
        " Without that no request is too old.",
    ),
    Setting("access_log", values.SWITCH, LOGS, "Write no line per request to standard output."),
    Setting("access_log_format", values.choice("text", "json"), LOGS, "How the lines of the access log are written."),
    Setting(
        "log_level",
        values.choice("debug", "info", "warning", "error"),
        LOGS,
        "Least level of the log on standard error.",
        "`debug` shows every record, with `<` for those that came in and `>` for those that went out.",
    ),
)
"""Everything `penstock.serve` can be told, and so `penstock serve`."""

DEV_SETTINGS: Final[Sequence[Setting]] = (
    Setting(
        "http",
        values.HTTP,
        LISTEN,
        "Where the browser finds it.",
        "Beyond loopback, tracebacks are still shown to browsers on this machine alone.",
        own_default="127.0.0.1:8000",
    ),
    *(setting for setting in SETTINGS if setting.name == "threads"),
)
"""What `penstock dev` can be told."""


if __name__ == "__main__":
    for table in (SETTINGS, MANAGER_SETTINGS, DEV_SETTINGS):
        sys.stdout.write(f"{markdown(table)}\n\n")
