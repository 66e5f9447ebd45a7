"""This file hands idle connections from one process to another; the web server at the other end notices nothing.

A connection without a request has no state but its socket: what arrives meanwhile waits there for whoever reads next.
So a process that leaves, or has more connections than it can serve, need not close them, and nothing can be lost.
"""

from __future__ import annotations

import os
import socket
from typing import final


@final
class Exchange:
    """Where processes leave connections for each other: a queue that all of them hold.

    Args:
        ends: descriptors of one that is there already; else it is made.
    """

    def __init__(self, ends: tuple[int, int] | None = None) -> None:
        if ends is None:
            self._giving, self._taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        else:
            self._giving, self._taking = (socket.socket(fileno=fd) for fd in ends)
        self._giving.setblocking(False)
        self._taking.setblocking(False)

    @property
    def ends(self) -> tuple[int, int]:
        """The descriptors, where to give and where to take."""
        return self._giving.fileno(), self._taking.fileno()

    def fileno(self) -> int:
        """Readable when there is a connection to take."""
        return self._taking.fileno()

    def give(self, sock: socket.socket) -> bool:
        """Leave a connection to the others; the caller closes its own descriptor of it, and shuts nothing down.

        Returns:
            False when there is no room.
        """
        try:
            socket.send_fds(self._giving, [b"\0"], [sock.fileno()])
        except OSError:
            return False
        return True

    def take(self) -> socket.socket | None:
        """A connection that somebody has left, non-blocking; None when there is none, or somebody was faster."""
        try:
            _, fds, _, _ = socket.recv_fds(self._taking, 1, 1)
        except OSError:
            return None
        for fd in fds:
            try:
                os.set_inheritable(fd, False)
                return socket.socket(fileno=fd)
            except OSError:  # not a socket: one of the workers is not ours any more
                os.close(fd)
        return None

    def close(self) -> None:
        """Close this process's ends."""
        self._giving.close()
        self._taking.close()
