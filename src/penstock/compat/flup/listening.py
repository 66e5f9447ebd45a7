"""This file turns flup's bindAddress, umask and lists of allowed peers into penstock's listeners."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, final

from penstock.server.address import BindError, join_host
from penstock.server.listen import Listener, open_listeners
from penstock.server.notices import log

_MODE: Final = 0o660
_EVERYBODY: Final = 0o666


class CannotListen(OSError):
    """The address cannot be listened at; an OSError, because that is what programs expect of a socket."""


def bind_text(address: object) -> str:
    """A bindAddress as penstock writes addresses.

    Args:
        address: a path for a unix socket, or (host, port) with more behind it for IPv6.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(address, str | os.PathLike):
        path = os.fspath(address)
        if path:
            return f"unix:{path}"
    elif isinstance(address, tuple | list) and len(address) >= 2:
        host, port = address[0], address[1]
        if isinstance(host, str) and isinstance(port, int):
            return join_host(host or "0.0.0.0", port)
    raise ValueError(f"bindAddress is {address!r}; it is a path for a unix socket, or (host, port)")


def socket_mode(umask: int | None) -> int:
    """The mode of a unix socket: what `umask` leaves of 0777, as bind() does.

    Without one it is 0660, and 0666 where the process has a umask that lets others write: scripts were started that way
    on purpose, for the web server is another user.
    """
    if umask is not None:
        return 0o777 & ~int(umask)
    before = os.umask(0o077)
    os.umask(before)
    return _MODE if before & 0o002 else _EVERYBODY


def listen(
    address: object, umask: int | None, allow: Sequence[str] | None, environ: Mapping[str, str]
) -> list[Listener]:
    """Listen at a bindAddress.

    The script's author has written it down, so it is obeyed even where it is open to the world; a warning tells.

    Args:
        address, umask: as flup takes them.
        allow: IP addresses of the peers that TCP listeners accept; None leaves it to `environ`.
        environ: where FCGI_WEB_SERVER_ADDRS may be.

    Raises:
        ValueError: an argument is written wrong.
        CannotListen: this machine cannot listen there.
    """
    bind = bind_text(address)
    try:
        listeners = open_listeners(
            [bind], socket_mode=socket_mode(umask), allow=allow, environ=environ, insecure_public=True
        )
    except BindError as error:
        raise CannotListen(str(error)) from None
    guarded = allow is not None or "FCGI_WEB_SERVER_ADDRS" in environ
    for listener in listeners:
        if not guarded and not listener.is_unix and not _is_loopback(listener.socket.getsockname()[0]):
            log.warning(
                "everyone who reaches %s can send requests, for there is no password;"
                " name the web servers' addresses in FCGI_WEB_SERVER_ADDRS",
                listener.address,
            )
        for warning in listener.warnings:
            log.warning("%s", warning)
    return listeners


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


@final
class GuardedSocket:
    """A listening socket whose peers a program's own _isClientAllowed() judges; to be used like the one behind it.

    Args:
        sock: the one behind it.
        allowed: gets what accept() returned as the peer's address.
    """

    def __init__(self, sock: socket.socket, allowed: Callable[[Any], object]) -> None:
        self._sock = sock
        self._allowed = allowed

    def accept(self) -> tuple[socket.socket, Any]:
        """Accept a connection.

        Raises:
            ConnectionAbortedError: the peer has been sent away; as if it had left by itself.
        """
        sock, peer = self._sock.accept()
        try:
            welcome = bool(self._allowed(peer))
        except Exception:
            log.exception("_isClientAllowed() failed, so the peer is refused")
            welcome = False
        if not welcome:
            sock.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, "the program does not want this peer")
        return sock, peer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sock, name)


@final
class GuardedListener:
    """A listener with a guarded socket; to be used as `Listener` is."""

    def __init__(self, listener: Listener, allowed: Callable[[Any], object]) -> None:
        self.socket = GuardedSocket(listener.socket, allowed)
        self.address = listener.address
        self.is_unix = listener.is_unix
        self.others_accept = listener.others_accept
        self.warnings = listener.warnings
        self.allows = listener.allows
        self.begin_drain = listener.begin_drain
        self.close = listener.close
