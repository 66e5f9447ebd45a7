"""This file moves bytes both ways over one socket, so that neither side waits for the other with its hands full."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

TIMEOUT: Final = 300.0
"""Seconds without any progress after which the other side is given up; flup waits for ever."""

_RECEIVE: Final = 65536


def connect(address: Any) -> socket.socket:
    """Connect to a unix socket's path, or to (host, port).

    Raises:
        OSError: nobody answers there.
    """
    if not isinstance(address, str | os.PathLike):
        return socket.create_connection(tuple(address)[:2], TIMEOUT)
    sock = socket.socket(socket.AF_UNIX)
    try:
        sock.settimeout(TIMEOUT)
        sock.connect(os.fspath(address))
    except BaseException:
        sock.close()
        raise
    return sock


def transfer(sock: socket.socket, pieces: Iterator[bytes], take: Callable[[bytes], bool]) -> None:
    """Send pieces and receive at the same time, until what was received is enough.

    Args:
        sock: connected; not blocking afterwards.
        pieces: what to send; asked for as there is room. An empty piece sends nothing.
        take: is given what arrives, b"" at the end of it, and returns true once no more is wanted.

    Raises:
        TimeoutError: nothing moves any more.
        OSError: the connection broke.
    """
    sock.setblocking(False)
    poll = select.poll()
    poll.register(sock, select.POLLIN | select.POLLOUT)
    rest = memoryview(b"")
    sending = True
    while True:
        ready = poll.poll(TIMEOUT * 1000)
        if not ready:
            raise TimeoutError(f"the application has not moved for {TIMEOUT:g} s")
        happened = ready[0][1]
        if happened & ~select.POLLOUT:
            try:
                if take(sock.recv(_RECEIVE)):
                    return
            except BlockingIOError:
                pass
        if sending and happened & ~select.POLLIN:
            try:
                rest = rest or memoryview(next(pieces, b""))
                sending = bool(rest)
                rest = rest[sock.send(rest) :]
            except BlockingIOError:
                continue
            except OSError:
                # It reads no more, but may have answered: the answer, or the end, is to be received.
                sending = False
            if not sending:
                poll.modify(sock, select.POLLIN)
