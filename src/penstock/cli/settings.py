"""This file is the table of settings: a row becomes a flag, an environment variable and a line of the documentation.

    name "io_timeout"  ->  keyword of penstock.serve: io_timeout=60.0      flag: --io-timeout 60s
                           key in a file of settings: io_timeout           environment: PENSTOCK_IO_TIMEOUT=60s

`python -m penstock.cli.settings` prints the reference that stands in docs/cli.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from penstock.cli import values
from penstock.cli.values import Kind
from penstock.server.serving import DEFAULT_BIND, serve

_FROM_SERVE: Final = object()


@dataclass(frozen=True, slots=True)
class Setting:
    """One row.

    Attributes:
        name: the keyword of `penstock.serve`; flag, environment variable and key of a file are made of it.
        kind: how its value is written.
        group: the heading under which help texts show it.
        help: half a line for `--help`.
        doc: what else there is to know, for the documentation.
        unset: what holds when nobody says anything and the default itself does not tell.
        own_default: the default of a setting that `penstock.serve` does not have.
    """

    name: str
    kind: Kind
    group: str
    help: str
    doc: str = ""
    unset: str = ""
    own_default: object = _FROM_SERVE

    @property
    def flag(self) -> str:
        """As in --io-timeout."""
        return "--" + self.name.replace("_", "-")

    @property
    def negative_flag(self) -> str:
        """What switches a switch off; "" for other kinds."""
        return "--no-" + self.name.replace("_", "-") if self.kind is values.SWITCH else ""

    @property
    def env(self) -> str:
        """As in PENSTOCK_IO_TIMEOUT."""
        return "PENSTOCK_" + self.name.upper()

    @property
    def default(self) -> object:
        """The default, which is written once: in the signature of `serve`."""
        if self.own_default is not _FROM_SERVE:
            return self.own_default
        return (serve.__kwdefaults__ or {})[self.name]

    @property
    def usage(self) -> str:
        """The flag with its value as help texts show it; of a switch, the one that changes something."""
        if self.kind is values.SWITCH:
            return self.negative_flag if self.default else self.flag
        return f"{self.flag} {self.kind.metavar}"

    @property
    def shown_default(self) -> str:
        """The default as one would write it; "" where none is worth a word."""
        if self.unset:
            return self.unset
        default = self.default
        if self.kind is values.SWITCH or default is None:
            return ""
        if isinstance(default, Sequence) and self.kind.many:
            return ",".join(self.kind.show(item) for item in default)
        return self.kind.show(default)


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


def markdown(settings: Sequence[Setting]) -> str:
    """The reference of these settings as a table for docs/cli.md."""
    lines = ["| option | environment | default | |", "|---|---|---|---|"]
    for row in settings:
        usage = row.usage.replace("|", r"\|")
        change = f"={row.kind.show(not row.default)}" if row.kind is values.SWITCH else ""
        default = row.unset or (row.shown_default and f"`{row.shown_default}`")
        many = "May be given several times." if row.kind.many else ""
        about = " ".join(filter(None, (row.help, row.doc, many)))
        lines.append(f"| `{usage}` | `{row.env}{change}` | {default} | {about} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(f"{markdown(SETTINGS)}\n\n{markdown(DEV_SETTINGS)}\n")
