"""This file tells systemd how the supervisor is: sd_notify(3), one datagram a message, never blocking.

Where nobody listens (NOTIFY_SOCKET is not set, or its owner is gone) every call does nothing. What the owner is too
busy to take is kept and sent before the next message, so a READY=1 is late but not lost; what is said again soon is not
kept.
"""

from __future__ import annotations

import array
import os
import socket
import time
from collections import deque
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from typing import Final, final

_VARIABLES: Final = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
_MOST_UNSENT: Final = 16
_MOST_FDS: Final = 253  # SCM_MAX_FD of Linux: descriptors in one message


@final
class Notifier:
    """The way to the service manager that has started us.

    Args:
        environ: the variables about it are removed from here, so that no child speaks in our name.

    Attributes:
        environ: what was removed: put it back before an exec() of ourselves in place.
        watchdog_interval: seconds after which `watchdog` is due, half of what systemd grants; 0.0 if it does not ask.
    """

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self.environ: Final = {name: environ.pop(name) for name in _VARIABLES if name in environ}
        self.watchdog_interval: Final = _watchdog_interval(self.environ)
        self._unsent: deque[bytes] = deque(maxlen=_MOST_UNSENT)
        self._address = _address(self.environ.get("NOTIFY_SOCKET", ""))
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)

    def ready(self, status: str = "") -> None:
        """We serve: at first, and again after each `reloading`."""
        self._say("READY=1", _status(status))

    def reloading(self, status: str = "") -> None:
        """A reload begins; Type=notify-reload waits for the next `ready` (systemd 253)."""
        self._say("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}", _status(status))

    def stopping(self, status: str = "") -> None:
        """The end begins."""
        self._say("STOPPING=1", _status(status))

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._say(_status(text), keep=False)

    def watchdog(self) -> None:
        """We are alive; due each `watchdog_interval`."""
        self._say("WATCHDOG=1", keep=False)

    def extend_timeout(self, seconds: float) -> None:
        """Starting, reloading or stopping goes on: count from now, and do not give up before `seconds` are over."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1_000_000)}")

    def store_fds(self, name: str, fds: Sequence[int]) -> bool:
        """Have descriptors kept over a restart (FileDescriptorStoreMax=); they come back in LISTEN_FDNAMES as `name`.

        Returns:
            Whether they were handed over. This message is not kept: the numbers may mean something else later.

        Raises:
            ValueError: systemd would not take the name, or that many descriptors at once.
        """
        if len(fds) > _MOST_FDS:
            raise ValueError(f"{len(fds)} descriptors do not fit into one message; {_MOST_FDS} do")
        message = f"FDSTORE=1\nFDNAME={_fd_name(name)}".encode()
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
        return self.flush() and self._send(message, rights) is True

    def remove_fds(self, name: str) -> None:
        """Have the descriptors forgotten that are stored as `name`."""
        self._say("FDSTOREREMOVE=1", f"FDNAME={_fd_name(name)}")

    def flush(self) -> bool:
        """Send what could not be sent before; return whether nothing is left."""
        while self._unsent:
            if self._send(self._unsent[0]) is None:
                return False
            self._unsent.popleft()
        return True

    def close(self) -> None:
        """Say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, *assignments: str, keep: bool = True) -> None:
        message = "\n".join(filter(None, assignments)).encode("utf-8", "backslashreplace")
        sent = self.flush() and self._send(message) is not None
        if keep and not sent:
            self._unsent.append(message)

    def _send(self, message: bytes, rights: Sequence[tuple[int, int, array.array[int]]] = ()) -> bool | None:
        """Send one message: True if it left, False if nobody will ever take it, None if it has to wait."""
        if self._socket is None:
            return False
        try:
            self._socket.sendmsg([message], rights, 0, self._address)
        except BlockingIOError:
            return None
        except OSError:
            return False
        return True


def _address(text: str) -> str | None:
    """The address of a unix socket: a path, or with "@" a name in the abstract namespace; None for all else."""
    if text.startswith("@") and len(text) > 1:
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_interval(environ: MutableMapping[str, str]) -> float:
    # WATCHDOG_PID names the process that is meant; without it, everybody is (sd_watchdog_enabled(3)).
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return 0.0
    microseconds = 0
    with suppress(ValueError):
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    return max(microseconds, 0) / 2_000_000


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.split())}" if text else ""


def _fd_name(name: str) -> str:
    if not (name.isascii() and name.isprintable() and ":" not in name and 0 < len(name) < 256):
        raise ValueError(f"{name!a} is no name for descriptors: up to 255 printable ASCII characters without a colon")
    return name
