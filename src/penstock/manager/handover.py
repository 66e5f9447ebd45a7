"""This file carries what a supervisor has over an exec() of itself: numbers as JSON in memory, and open descriptors.

One variable of the environment, PID:DESCRIPTOR, says where that memory is; it counts for the process of this number
alone. What comes out is checked: who finds something else than was packed starts as if there were nothing.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping, MutableMapping
from typing import Any, Final, final

from penstock.server.homes import Home, passed_sockets

VARIABLE: Final = "PENSTOCK_HANDOVER"
PREFLIGHT: Final = "PENSTOCK_PREFLIGHT"
"""Set to the name of a home in the process that only tries whether an exec() would work."""

STORED: Final = "penstock."
"""How the names begin under which systemd keeps our listeners."""

_FORMAT: Final = 1
_MOST: Final = 16 * 1024 * 1024


@final
class Parcel:
    """What is handed over; made by the one who leaves.

    Attributes:
        content: of JSON.
    """

    def __init__(self) -> None:
        self.content: dict[str, Any] = {"format": _FORMAT}
        self._fds: list[int] = []

    def fd(self, number: int) -> int:
        """Let this descriptor come along; returns it."""
        self._fds.append(number)
        return number

    def seal(self) -> str:
        """Make all inheritable; returns the value of VARIABLE."""
        memory = os.memfd_create("handover", os.MFD_CLOEXEC)
        self._fds.append(memory)
        with open(memory, "wb", closefd=False) as file:
            file.write(json.dumps(self.content | {"fds": self._fds}).encode("ascii"))
        for number in self._fds:
            os.set_inheritable(number, True)
        return f"{os.getpid()}:{memory}"

    def unseal(self) -> None:
        """It was not to be: everything stays here."""
        for number in self._fds:
            os.set_inheritable(number, False)
        os.close(self._fds.pop())


@final
class Handover:
    """What has been handed over, for the one who comes.

    Attributes:
        content: of JSON.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self.content: Final = content
        self._fds = {number for number in content["fds"] if type(number) is int and _close_on_exec(number)}

    def fd(self, number: object) -> int:
        """Take a descriptor out.

        Raises:
            ValueError: it has not been handed over.
        """
        if not isinstance(number, int) or number not in self._fds:
            raise ValueError(f"descriptor {number!a} was not handed over")
        self._fds.remove(number)
        return number

    def close(self) -> None:
        """Close what nobody has taken."""
        while self._fds:
            os.close(self._fds.pop())


def _close_on_exec(number: int) -> bool:
    try:
        os.set_inheritable(number, False)
    except OSError:
        return False
    return number > 2


def read_handover(environ: MutableMapping[str, str]) -> Handover | None:
    """What this process has been handed by itself; the variable is removed, so that no child takes it for its own."""
    pid, _, number = environ.pop(VARIABLE, "").partition(":")
    if pid != str(os.getpid()) or not number.isdecimal():
        return None
    try:
        content = json.loads(os.pread(int(number), _MOST, 0))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(content, dict) or content.get("format") != _FORMAT or not isinstance(content.get("fds"), list):
        return None
    handover = Handover(content)
    with contextlib.suppress(OSError, ValueError):
        os.close(handover.fd(int(number)))
    return handover


def home_before(environ: Mapping[str, str]) -> Home | None:
    """Where the sockets of this process came from when it began, if it has been through an exec() or tries one."""
    name = environ.get(PREFLIGHT)
    if name is None:
        passed = passed_sockets(environ)
        if passed and all(socket.name.startswith(STORED) for socket in passed):
            return Home.SHELL  # they are our own, of the time before a restart
        pid, _, number = environ.get(VARIABLE, "").partition(":")
        if pid != str(os.getpid()):
            return None
        with contextlib.suppress(OSError, ValueError, AttributeError, RecursionError):
            name = json.loads(os.pread(int(number), _MOST, 0)).get("home")
    return Home.__members__.get(name or "")
