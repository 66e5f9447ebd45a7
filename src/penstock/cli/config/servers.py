"""This file is the table of SERVERs: what each can be told, how it quotes, and who it runs as where nobody says.

A SERVER is a row here, a template of its name, and a quoting function where its syntax is new.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from penstock.cli.config import quoting
from penstock.cli.config.quoting import Quote
from penstock.cli.config.site import DEFAULT_LISTEN, Site, SiteError

# What a row may refuse; the others are understood by all.
OPTIONS: Final = ("bind", "listen", "server_name", "static", "tls", "upstream", "full", "user")


@dataclass(frozen=True, slots=True)
class Server:
    """One row.

    Attributes:
        name: SERVER on the command line, and the template's name.
        quote: writes a value as a word of its syntax.
        user: who Debian's package runs it as.
        refuses: options that it cannot follow -> half a sentence that says why.
        quotes: more filters for its template, by name.
        spawns: whether it starts the application itself, as its own user.
        makes_sockets: whether it makes the sockets for that as its own user.
        default_bind: where penstock listens if nobody says, with {name}; "" for `penstock.sock` in the state directory.
        key_beside: whether it looks for the private key beside the certificate, and cannot be told where it is.
        drops: whether it becomes its user when root starts it.
        needs: how the file ends that APP has to be, where it has to be one.
    """

    name: str
    quote: Quote
    user: str
    refuses: Mapping[str, str] = field(default_factory=dict)
    quotes: Mapping[str, Quote] = field(default_factory=dict)
    spawns: bool = False
    makes_sockets: bool = False
    default_bind: str = ""
    key_beside: bool = False
    drops: bool = True
    needs: tuple[str, ...] = ()


_TEXT: Final = {"full": "what is written for it was never run, so there is only a snippet"}
_NO_HTTP: Final = {
    **dict.fromkeys(("listen", "server_name", "static", "tls"), "it starts penstock and speaks no HTTP"),
    "upstream": "it starts one penstock; the web server in front spreads requests",
    "full": "what is written is whole already",
}
_RUN_SOCKET: Final = "unix:/run/penstock-{name}.sock"
_LIGHTTPD: Final = {"server_name": 'it goes by the address alone here; put what is written into $HTTP["host"] yourself'}
_ONE: Final = {"upstream": "it passes requests to one address; nginx, haproxy and caddy spread them"}

_APACHE: Final[Mapping[str, Quote]] = {
    "dir": quoting.apache_directory,
    "url": quoting.apache_url,
    "rule": quoting.apache_rule,
    "script": quoting.apache_script,
    "wrapper": quoting.apache_wrapper,
}
_STARTS_IT: Final = {"bind": "it makes the sockets of the processes that it starts itself"}

_ROWS: Final = (
    Server("nginx", quoting.nginx, "www-data"),
    Server("apache-proxy-fcgi", quoting.apache, "www-data", _ONE, _APACHE),
    Server("apache-fcgid", quoting.apache, "www-data", _ONE | _STARTS_IT, _APACHE, spawns=True, needs=(".py", ".fcgi")),
    Server(
        "apache-fcgid-htaccess",
        quoting.apache,
        "www-data",
        _ONE
        | _STARTS_IT
        | dict.fromkeys(("listen", "server_name", "static", "tls", "full"), "a .htaccess cannot say it"),
        _APACHE,
        spawns=True,
        needs=(".fcgi",),
    ),
    Server("apache-fastcgi", quoting.apache, "www-data", _ONE | _TEXT, _APACHE),
    Server("lighttpd", quoting.lighttpd, "www-data", _ONE | _LIGHTTPD),
    Server(
        "lighttpd-bin-path",
        quoting.lighttpd,
        "www-data",
        _ONE | _LIGHTTPD,
        {"command_line": quoting.lighttpd_command},
        spawns=True,
        makes_sockets=True,
        default_bind="unix:/run/lighttpd/penstock-{name}.sock",
    ),
    Server("caddy", quoting.caddy, "caddy", {}, {"address": quoting.caddy_address}, drops=False),
    Server(
        "haproxy",
        quoting.haproxy,
        "haproxy",
        {"static": "it serves no files"},
        {"address": quoting.haproxy_address},
        key_beside=True,
    ),
    Server("h2o", quoting.h2o, "www-data", _ONE),
    Server("openbsd-httpd", quoting.openbsd, "www", _ONE | _TEXT, {"chroot": quoting.openbsd_chroot}),
    Server(
        "systemd",
        quoting.systemd,
        "www-data",
        _NO_HTTP,
        {"line": quoting.systemd_line},
        spawns=True,
        default_bind=_RUN_SOCKET,
    ),
    Server(
        "supervisor",
        quoting.supervisor,
        "www-data",
        _NO_HTTP,
        {"line": quoting.supervisor_line},
        spawns=True,
        default_bind=_RUN_SOCKET,
    ),
    Server("spawn-fcgi", quoting.shell, "www-data", _NO_HTTP, spawns=True, default_bind=_RUN_SOCKET),
)

SERVERS: Final[Mapping[str, Server]] = MappingProxyType({row.name: row for row in _ROWS})

ALIASES: Final[Mapping[str, str]] = MappingProxyType({"apache": "apache-proxy-fcgi"})


def find_server(name: str) -> Server:
    """The row of a name, or of an alias.

    Raises:
        SiteError: there is none; the message has the nearest name.
    """
    row = SERVERS.get(ALIASES.get(name, name))
    if row is None:
        names = [*SERVERS, *ALIASES]
        parts = [known for known in names if len(name) > 2 and name.lower() in known]
        near = parts or difflib.get_close_matches(name.lower(), names, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(SERVERS)}"
        raise SiteError(f"there is no template for {name!r}; {hint}")
    return row


def refuse_options(server: Server, site: Site) -> None:
    """Raise for the first option that was given and that this server cannot follow.

    Raises:
        SiteError: says which and why.
    """
    given = {
        "bind": bool(site.bind),
        "listen": site.listen != DEFAULT_LISTEN,
        "server_name": bool(site.server_names),
        "static": bool(site.static),
        "tls": bool(site.tls_cert or site.tls_key),
        "upstream": bool(site.upstreams),
        "full": site.full,
        "user": bool(site.user),
    }
    for option in OPTIONS:
        if given[option] and option in server.refuses:
            flag = {"tls": "tls-cert"}.get(option, option).replace("_", "-")
            raise SiteError(f"{server.name} takes no --{flag}: {server.refuses[option]}")
    beside = f"{site.tls_cert}.key"
    if server.key_beside and site.tls_cert and site.tls_key not in ("", site.tls_cert, beside):
        raise SiteError(f"--tls-key: {server.name} takes it from {beside}, or from the certificate's own file")
