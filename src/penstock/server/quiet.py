"""This file ends kept connections without losing what a peer may just be sending on them."""

from __future__ import annotations

import contextlib
import socket
import sys


def has_input(sock: socket.socket) -> bool:
    """Something has arrived that nobody has read yet."""
    try:
        return bool(sock.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK))
    except OSError:
        return False


def end_with_answer(sock: socket.socket) -> bool:
    """Have the end of a TCP connection arrive together with the last bytes of the answer before it.

    Who reads a whole answer and no end takes the connection for kept, and may use it again at once. A socket that is
    corked (tcp(7)) holds its last bytes back until its end, or for 0.2 s.

    Returns:
        False where there is no such thing.
    """
    if sys.platform != "linux" or sock.family == socket.AF_UNIX:
        return False
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    return True


def nothing_comes(sock: socket.socket) -> bool:
    """Nothing has arrived, so that the connection may be closed.

    What a web server sends between our look and our close would be lost, without it knowing whether we have seen it. On
    Linux a unix socket can be shut for reading: from then on the peer's send() fails at once (EPIPE), by which it knows
    that nothing of the request has arrived, and sends it elsewhere. TCP has no such thing.
    """
    if has_input(sock):
        return False
    if sys.platform == "linux" and sock.family == socket.AF_UNIX:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RD)
        return not has_input(sock)
    return True
