"""This file is the host: it finds a place for programs that bring a server of their own; see hosting.py."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple, final

from penstock.server.address import UnixAddress, parse_address
from penstock.server.homes import Home, inherited_listeners, warn_of_strangers
from penstock.server.hosting import Place, Wish
from penstock.server.notices import log
from penstock.server.options import ServerOptions

if TYPE_CHECKING:
    from penstock.server.accesslog import AccessLog
    from penstock.server.listen import Listener

DEFAULT_BIND: Final = "unix:penstock.sock"
DEFAULT_MODE: Final = 0o660


class Listening(NamedTuple):
    """What the host was told about sockets; words as for `penstock.serve`."""

    bind: Sequence[str]
    socket_mode: int
    socket_owner: str | None
    socket_group: str | None
    allow: Sequence[str] | None
    insecure_public: bool

    def open(self) -> list[Listener]:
        """Listen at these addresses.

        Raises:
            AddressError, BindError: as `open_listeners`.
        """
        # Late, as everywhere: a request of plain CGI needs none of it.
        from penstock.server.listen import open_listeners

        return open_listeners(
            self.bind,
            socket_mode=self.socket_mode,
            socket_owner=self.socket_owner,
            socket_group=self.socket_group,
            allow=self.allow,
            insecure_public=self.insecure_public,
        )


def announce(listeners: list[Listener], on_ready: Callable[[list[Listener]], object] | None) -> None:
    """Say where somebody listens, in the log and to whoever wants to know."""
    for listener in listeners:
        for warning in listener.warnings:
            log.warning("%s", warning)
        log.info("listening on %s", listener.address)
    if on_ready is not None:
        on_ready(listeners)


def inherited_place(home: Home, options: ServerOptions, access_log: AccessLog | None = None) -> Place:
    """The place of a program that no host runs: the sockets that it was started with.

    Raises:
        AddressError, BindError: as `inherited_listeners`.
    """
    listeners = inherited_listeners(home, os.environ)
    announce(listeners, None)
    return Place(listeners, options, access_log)


def _absolute(bind: str) -> str:
    address = parse_address(bind)
    return f"unix:{os.path.abspath(address.path)}" if isinstance(address, UnixAddress) else bind


@final
class Host:
    """Serves programs that bring their own server.

    Args:
        listening: an address in it wins over the program's.
        options: for all that the program leaves open.
        home: who started this process.
        make_log: makes the access log, or None where there is none.
        on_ready: called with the listeners once they are open.

    Attributes:
        home: as above.
        used: a program has served.
    """

    def __init__(
        self,
        listening: Listening,
        options: ServerOptions,
        home: Home,
        make_log: Callable[[], AccessLog | None],
        on_ready: Callable[[list[Listener]], object] | None,
    ) -> None:
        self.used = False
        # The program may change folders, and may serve more than once.
        self._listening = listening._replace(bind=[_absolute(text) for text in listening.bind])
        self._options = options
        self.home = home
        self._make_log = make_log
        self._on_ready = on_ready
        self._default = _absolute(DEFAULT_BIND)
        self._lent: list[Listener] = []
        self._stdin = -1

    def lend(self) -> None:
        """Open the addresses of the host, if it has any, with the first on descriptor 0, as a web server hands it over.

        Whatever copy of an old server a program has in its own folder looks for it there.

        Raises:
            AddressError, BindError: as `open_listeners`.
        """
        if self._listening.bind:
            self._lent = self._listening.open()
            first = self._lent[0].socket
            self._stdin = fcntl.fcntl(0, fcntl.F_DUPFD_CLOEXEC, 3)
            first.setblocking(True)  # both descriptors share it, and such a server may well wait in accept()
            os.dup2(first.fileno(), 0)

    def open(self, wish: Wish) -> Place | None:
        """The place for a program that begins to serve.

        Returns:
            None for a single request of plain CGI, which the program answers as it would without us.

        Raises:
            AddressError, BindError: as `open_listeners`.
        """
        self.used = True
        listening = self._listening
        if listening.bind:
            listeners = self._lent or listening.open()  # a program may serve again when it was told to stop
            self._lent = []
            self._take_back()
            listeners[0].socket.setblocking(False)
        elif wish.bind:
            # The program's author has written it down, so it is obeyed; a warning tells if it is open to the world.
            listening = listening._replace(
                bind=wish.bind,
                socket_mode=listening.socket_mode if wish.socket_mode is None else wish.socket_mode,
                allow=wish.allow if listening.allow is None else listening.allow,
                insecure_public=True,
            )
            listeners = listening.open()
            warn_of_strangers(listeners, listening.allow, os.environ)
        elif self.home is Home.CGI:
            return None
        elif self.home is Home.SHELL:
            listeners = listening._replace(bind=[self._default]).open()
        else:
            listeners = inherited_listeners(
                self.home, os.environ, allow=listening.allow, insecure_public=listening.insecure_public
            )
        announce(listeners, self._on_ready)
        return Place(listeners, merged(self._options, wish), self._make_log())

    def close(self) -> None:
        """Close what nobody has taken."""
        self._take_back()
        for listener in self._lent:
            listener.close()
        self._lent = []

    def _take_back(self) -> None:
        if self._stdin >= 0:
            os.dup2(self._stdin, 0)
            os.close(self._stdin)
            self._stdin = -1


def merged(options: ServerOptions, wish: Wish) -> ServerOptions:
    """The host's options, but for what the program knows better, such as that it cannot do two things at a time."""
    own, usual = wish.options, ServerOptions()
    if wish.one_at_a_time and options.threads > 1:
        log.warning("the program wants one request at a time, so it gets one thread, not %d", options.threads)
    return replace(
        options,
        threads=1 if wish.one_at_a_time else options.threads,
        mount=own.mount if options.mount is None else options.mount,
        # Of these it has chosen what is not the default.
        roles=options.roles if own.roles == usual.roles else own.roles,
        protocol=options.protocol if own.protocol == usual.protocol else own.protocol,
        limits=own.limits,
        values=own.values,
    )
