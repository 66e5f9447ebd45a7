"""This file holds what `penstock config` was asked for, and makes of it what templates may use: checked and absolute.

Nothing here looks at the file system; `command.py` does that.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from penstock.gateways.environ import mount_point
from penstock.server.address import TcpAddress, UnixAddress, join_host, parse_address
from penstock.server.serving import DEFAULT_BIND

DEFAULT_LISTEN: Final = "127.0.0.1:8080"

_SUN_PATH: Final = 107

# Prefixes of URLs and names of hosts need no quotes anywhere, and no thought about who decodes what.
_match_prefix: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)*", re.ASCII).fullmatch
_match_name: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII).fullmatch
_match_user: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*", re.ASCII).fullmatch
_find_control: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029\ud800-\udfff]").search

# File names that say nothing about the application; the folder's name does.
_PLAIN_STEMS: Final = frozenset({"app", "application", "asgi", "dispatch", "index", "main", "wsgi", "__init__"})


class SiteError(ValueError):
    """An option is written wrong; the message is one sentence that says which, why, and what to write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What was asked for, as it was written.

    Attributes:
        app: APP.
        bind: where penstock listens; "" for `penstock.sock` in the state directory.
        mount: URL prefix of the application; "" and "/" are the root.
        listen: HOST:PORT of HTTP.
        server_names: host names that the web server answers to; none for all.
        static: pairs of a URL prefix and the directory that is served there.
        tls_cert, tls_key: PEM files; both or none.
        upstreams: addresses of several penstock; in place of `bind`.
        full: the whole file and not what goes into one.
        state_dir: where a full file keeps pid, logs and temporary files; "" for the current directory.
        user: who the web server runs as; None for its usual user, "" for whoever starts it.
    """

    app: str
    bind: str = ""
    mount: str = ""
    listen: str = DEFAULT_LISTEN
    server_names: Sequence[str] = ()
    static: Sequence[tuple[str, str]] = ()
    tls_cert: str = ""
    tls_key: str = ""
    upstreams: Sequence[str] = ()
    full: bool = False
    state_dir: str = ""
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """An address as templates use it: `path` of a unix socket, else "" and `host`, `port`."""

    path: str
    host: str
    port: int

    @property
    def tcp(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return join_host(self.host, self.port)

    @property
    def address(self) -> str:
        """As `penstock serve --bind` takes it."""
        return f"unix:{self.path}" if self.path else self.tcp

    @property
    def is_remote(self) -> bool:
        """Whether another machine may connect, so that penstock needs --allow."""
        if self.path or self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True


def clean_text(option: str, text: str) -> str:
    """The text itself.

    Raises:
        SiteError: it holds what would end a line or is no text.
    """
    if _find_control(text):
        raise SiteError(f"{option}: {text!a} holds a control character or no UTF-8; no configuration can have that")
    return text


def prefix(option: str, text: str) -> str:
    """A URL prefix: "/app/" is "/app", "/" is "".

    Raises:
        SiteError: it is no path, or needs quotes or decoding somewhere.
    """
    if text and not text.startswith("/"):
        raise SiteError(f"{option}: {clean_text(option, text)!r} does not begin with a slash; did you mean /{text}?")
    try:
        found = mount_point(text)
    except ValueError as error:
        raise SiteError(f"{option}: {error}") from None
    if not _match_prefix(found):
        raise SiteError(f"{option}: {text!a} holds more than letters, digits and . _ ~ - between its slashes")
    return found


def host_name(text: str) -> str:
    """A name that a web server may answer to, `*.example.org` too.

    Raises:
        SiteError: it is none.
    """
    if not _match_name(text):
        raise SiteError(f"--server-name: {text!a} is no host name; write one such as example.org")
    return text


def user_name(option: str, text: str) -> str:
    """A user or a group as configurations name them, without quotes.

    Raises:
        SiteError: it has other characters.
    """
    if text and not _match_user(text):
        raise SiteError(f"{option}: {text!a} is no name for a configuration; letters, digits and . _ - are")
    return text


def place(option: str, text: str) -> Place:
    """An address that web servers can connect to; a relative path is made absolute.

    Raises:
        SiteError: it is no address, or none that another process can use.
    """
    try:
        address = parse_address(text)
    except ValueError as error:
        raise SiteError(f"{option}: {error}") from None
    if isinstance(address, UnixAddress):
        path = os.path.abspath(clean_text(option, address.path))
        if "," in path:
            raise SiteError(f"{option}: {path!r} holds a comma, which separates addresses for penstock serve --bind")
        if len(os.fsencode(path)) > _SUN_PATH:
            raise SiteError(
                f"{option}: {path!r} is longer than the {_SUN_PATH} bytes that the path of a socket may have"
            )
        return Place(path, "", 0)
    if not isinstance(address, TcpAddress):
        raise SiteError(
            f"{option}: {text!r} is a descriptor of one process; write unix:/run/app.sock or 127.0.0.1:9000"
        )
    if not (_match_name(address.host) and "*" not in address.host) and not _is_ipv6(address.host):
        raise SiteError(f"{option}: {address.host!a} is neither an IP address nor a host name")
    if address.port == 0:
        raise SiteError(f"{option}: port 0 is another one each time; name a fixed port")
    return Place("", address.host, address.port)


def http_place(text: str) -> Place:
    """Where HTTP is listened for.

    Raises:
        SiteError: it is no HOST:PORT.
    """
    found = place("--listen", text)
    if found.path:
        raise SiteError("--listen: HTTP is listened for at HOST:PORT; write --listen 127.0.0.1:8080")
    return found


def app_name(app: str) -> str:
    """A word for the application, for names within the configuration: blog:app, /srv/blog/app.py -> blog."""
    where = app if app.endswith((".py", ".fcgi")) else app.partition(":")[0]
    parts = re.sub(r"\.(?:py|fcgi)$", "", where).split("/") if "/" in where or where.endswith((".py", ".fcgi")) else []
    words = [part for part in reversed(parts or where.split(".")[:1]) if part not in _PLAIN_STEMS]
    name = re.sub(r"[^A-Za-z0-9_]+", "_", words[0] if words else "").strip("_").lower()
    return name if name and name[0].isalpha() else "app"


def places(site: Site, default: str = "") -> list[Place]:
    """Where penstock listens: its address, or that of each of several.

    Args:
        default: the address if none was given; "" for `penstock.sock` in the state directory.

    Raises:
        SiteError: both --bind and --upstream are there, or an address is none.
    """
    if site.upstreams:
        if site.bind:
            raise SiteError("--bind and --upstream exclude each other: --upstream names where each penstock listens")
        found = [place("--upstream", text) for text in site.upstreams]
        if len(set(found)) < len(found):
            raise SiteError("--upstream: the same address is there twice")
        return found
    own = os.path.join(site.state_dir, DEFAULT_BIND.removeprefix("unix:"))
    return [place("--bind", site.bind or default or f"unix:{own}")]


def _is_ipv6(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).version == 6 and "%" not in host
    except ValueError:
        return False
