"""This file accepts one connection at a listener, or says why nobody came in."""

from __future__ import annotations

import errno
import socket
from enum import Enum
from typing import Final

from penstock.server.listen import Listener
from penstock.server.notices import Notices

PAUSE: Final = 0.25
"""Seconds without accepting once that fails, mostly for want of descriptors; trying at once again would spin."""

_LEFT: Final = frozenset(
    {
        errno.ECONNABORTED,
        # Linux passes on what happened to the connection before it was accepted (accept(2)).
        *(errno.ENETDOWN, errno.EPROTO, errno.ENOPROTOOPT, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH),
        errno.EPERM,  # a firewall said no
    }
)


class Nobody(Enum):
    """Why nobody came in."""

    WAITS = "the queue is empty"
    ENTERS = "accepting fails"
    STAYS = "the one who came was turned away, or has left"


def accept(listener: Listener, notices: Notices, failing: str) -> socket.socket | Nobody:
    """Accept one connection that may stay, without waiting for it.

    Args:
        failing: what is told of the next attempt when this one fails.
    """
    try:
        sock, peer = listener.socket.accept()
    except BlockingIOError:
        return Nobody.WAITS
    except OSError as error:
        if error.errno in _LEFT:
            return Nobody.STAYS
        notices.warn(f"{listener.address}: cannot accept: {error.strerror}{failing}")
        return Nobody.ENTERS
    if not listener.allows(peer):
        sock.close()
        notices.warn(f"{listener.address}: a connection from {peer[0]} was refused: not in the allow-list")
        return Nobody.STAYS
    if sock.gettimeout() is not None:
        # The application has called socket.setdefaulttimeout(), and no read of ours may wait for that.
        sock.setblocking(False)
    return sock
