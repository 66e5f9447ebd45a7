"""This file is how a program that brings a server of its own is served in our way: it asks a host where and how.

An old script ends in WSGIServer(app).run(). When `penstock serve` runs that script, the call still serves, in its place
and until it is over, so that what stands around it holds: but it asks here for its listeners, its options and its log.
Importing it costs nothing, because programs do that which answer one request of plain CGI.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from penstock.server.accesslog import AccessLog
    from penstock.server.listen import Listener
    from penstock.server.options import ServerOptions


class Wish(NamedTuple):
    """What a program says to its own server about serving.

    Attributes:
        options: its options; of these mount, roles, protocol, limits and values are looked at.
        bind: the address, or several, as `penstock serve` takes them; empty where it says none.
        socket_mode: of a unix socket; None where it says nothing.
        allow: peers that may connect over TCP; None where it says nothing.
        one_at_a_time: it cannot stand two requests at the same time.
    """

    options: ServerOptions
    bind: Sequence[str] = ()
    socket_mode: int | None = None
    allow: Sequence[str] | None = None
    one_at_a_time: bool = False


class Place(NamedTuple):
    """Where and how the program is to serve.

    Attributes:
        listeners: for the program to close when it is over.
        options: the host's, with what the program alone can know.
        access_log: None for no log.
    """

    listeners: list[Listener]
    options: ServerOptions
    access_log: AccessLog | None


class Host(Protocol):
    """Whoever runs the program.

    Attributes:
        used: a program has served.
    """

    used: bool

    def open(self, wish: Wish) -> Place | None:
        """The place for a program that begins to serve; see `open_place`."""


_host: Host | None = None


def set_host(host: Host | None) -> None:
    """From here on programs are served by this host."""
    global _host
    _host = host


def is_hosted() -> bool:
    """Whether programs do not serve by themselves."""
    return _host is not None


def open_place(wish: Wish) -> Place | None:
    """Ask the host for a place.

    Returns:
        None where there is no host, or for a single request of plain CGI: the program does what it does by itself.

    Raises:
        AddressError, BindError: as `open_listeners`.
    """
    return None if _host is None else _host.open(wish)


def serves_by_itself() -> None:
    """Tell the host, if there is one, that the program serves on a socket of its own."""
    if _host is not None:
        _host.used = True
