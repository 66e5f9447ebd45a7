"""This file passes listeners on to a successor: by exec() in the same process, or by way of systemd's store.

What makes a unix listener ours is the lock beside its path, so that goes along, and never is free in between.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from penstock.server.address import BindError
from penstock.server.allow import read_allow_list
from penstock.server.listen import Listener, refuse_public
from penstock.server.unixsocket import SocketFile, take_lock


class Passed(NamedTuple):
    """A listener on its way; plain numbers and texts.

    Attributes:
        socket: descriptor.
        lock: descriptor of the lock of its path; -1 without one.
        identity: device and inode of the path.
        address: as the listener has it.
        drainable: it is a TCP listener that we have opened.
    """

    socket: int
    lock: int
    identity: Sequence[int]
    address: str
    drainable: bool


def pass_on(listener: Listener) -> Passed:
    """What a successor needs to go on with a listener."""
    lock, identity = (-1, ()) if listener.file is None else listener.file.hold()
    return Passed(listener.socket.fileno(), lock, identity, listener.address, listener.drainable)


def take_over(passed: Passed, allow: Sequence[str] | None, *, insecure_public: bool = False) -> Listener:
    """Go on with a listener.

    Args:
        passed: its descriptors are ours now.
        allow, insecure_public: as for `open_listeners`.

    Raises:
        AddressError: it would be open to everybody now.
    """
    sock = socket.socket(fileno=passed.socket)
    if sock.family == socket.AF_UNIX:
        file = None
        if passed.lock >= 0:
            device, inode = passed.identity
            file = SocketFile.held(os.fsdecode(sock.getsockname()), passed.lock, (device, inode))
        return Listener(sock, passed.address, file=file)
    allow_list, warnings = read_allow_list(allow, os.environ)
    if not insecure_public and allow_list is None:
        refuse_public(sock.getsockname()[0], passed.address)
    return Listener(sock, passed.address, allow=allow_list, drainable=passed.drainable, warnings=warnings)


def take_stored(number: int, address: str, allow: Sequence[str] | None, **more: Any) -> Listener:
    """Go on with a listener that somebody has kept while we were away; whoever holds the lock of its path wins.

    Args:
        number: its descriptor.
        address: as the listener has it.
        allow, more: as for `take_over`.

    Raises:
        BindError: the path is another one's now.
        AddressError: it would be open to everybody now.
        OSError: it is no socket, or its path has gone.
    """
    os.set_inheritable(number, False)
    sock = socket.socket(fileno=number)
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise BindError(f"descriptor {number} does not listen")
        lock, identity = -1, (0, 0)
        if sock.family == socket.AF_UNIX:
            path = os.fsdecode(sock.getsockname())
            if address != f"unix:{path}":
                raise BindError(f"descriptor {number} is not {address}")
            status = os.lstat(path)
            lock, identity = take_lock(path), (status.st_dev, status.st_ino)
        return take_over(Passed(sock.detach(), lock, identity, address, True), allow, **more)
    finally:
        sock.close()
