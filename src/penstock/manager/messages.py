"""This file carries short messages from templates and workers to their supervisor, and orders back to templates.

One SOCK_SEQPACKET pair a generation: a message is whole or not there, many may write to one end, and the kernel says
which process wrote (SCM_CREDENTIALS, unix(7)). What a message claims is checked for its shape and only ever looked up.
"""

from __future__ import annotations

import json
import socket
from struct import Struct
from typing import Any, Final, NamedTuple

_MOST: Final = 48 * 1024
_MOST_TEXT: Final = 16 * 1024
_LEAST: Final = 512  # the bytes that it counts; the kernel counts more of its buffer for the smallest
CREDENTIALS: Final = Struct("3i")
"""struct ucred of unix(7): pid, uid, gid."""


class Message(NamedTuple):
    """One message: the process that wrote it, what happened, what else it says, and how many bytes it counts.

    What makes no sense has the event "".
    """

    pid: int
    event: str
    content: dict[str, Any]
    size: int = 0

    def number(self, name: str, below: int) -> int:
        """An integer of the content from 0 up to `below`; -1 for anything else."""
        value = self.content.get(name)
        return value if type(value) is int and 0 <= value < below else -1

    def text(self, name: str) -> str:
        """A text of the content; "" for anything else."""
        value = self.content.get(name)
        return value if isinstance(value, str) else ""

    def texts(self, name: str, most: int = 1000) -> tuple[str, ...]:
        """A list of texts; what is none is left out."""
        value = self.content.get(name)
        return tuple(item for item in value[:most] if isinstance(item, str)) if isinstance(value, list) else ()


def make_pair() -> tuple[socket.socket, socket.socket]:
    """The supervisor's end, which does not block, and the end of the others."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    ours.setblocking(False)
    return ours, theirs


def tell(sock: socket.socket, event: str, *, wait: bool = True, **content: object) -> bool:
    """Send a message; long texts are cut in their middle.

    Args:
        wait: until there is room for it; without that nothing is sent when there is none.

    Returns:
        Whether it was sent. It is not when the other side has gone.
    """
    for name, value in content.items():
        if isinstance(value, str) and len(value) > _MOST_TEXT:
            content[name] = f"{value[: _MOST_TEXT // 2]}\n[...]\n{value[-_MOST_TEXT // 2 :]}"
    data = json.dumps({"event": event, **content}).encode("ascii")
    if len(data) > _MOST:
        data = json.dumps({"event": event}).encode("ascii")
    try:
        sock.send(data, 0 if wait else socket.MSG_DONTWAIT)
    except OSError:
        return False
    return True


def hear(sock: socket.socket) -> Message:
    """The next message at the supervisor's end.

    Raises:
        BlockingIOError: none is there.
        EOFError: everyone on the other side has gone.
    """
    data, ancillary, _, _ = sock.recvmsg(_MOST, socket.CMSG_SPACE(CREDENTIALS.size))
    if not data and not ancillary:
        raise EOFError  # An empty message has a sender, the end has none.
    pid = next(
        (
            CREDENTIALS.unpack(told[: CREDENTIALS.size])[0]
            for level, kind, told in ancillary
            if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS
        ),
        0,
    )
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):
        content = None
    size = max(_LEAST, len(data))
    event = content.get("event") if isinstance(content, dict) else None
    return Message(pid, event, content, size) if isinstance(event, str) else Message(pid, "", {}, size)
