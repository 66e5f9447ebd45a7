"""This file speaks with a running supervisor: TARGET -> its control socket, a command -> its answer.

TARGET is an ADDR that it serves, its process number, the path of its control socket, or nothing for the only one here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import socket
import stat
from collections.abc import Iterator
from typing import Any, Final

from penstock.cli.failure import TARGET, USAGE, Failure
from penstock.manager.control import SUFFIX, folders, peer_of
from penstock.server.address import UnixAddress, parse_address, shown
from penstock.server.serving import DEFAULT_BIND

TARGETS: Final = "an ADDR that it serves, its process number, or the path of its control socket"

_PATIENCE: Final = 5.0
"""Seconds that a supervisor has to answer what it can answer at once."""

_LONGEST_ANSWER: Final = 64 * 1024 * 1024
_LISTENING: Final = 0x10000  # __SO_ACCEPTCON, in the flags of /proc/net/unix


class Conversation:
    """One connection to a control socket.

    Args:
        path: the control socket.

    Raises:
        Failure: nobody answers there, or somebody else does.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.settimeout(_PATIENCE)
        try:
            self._sock.connect(path)
        except OSError as error:
            self._sock.close()
            raise self._failure(_cause(error)) from None

    def ask(self, command: str, *, wait: bool = False) -> dict[str, Any]:
        """Send a command and return the answer, whose `ok` says whether it was obeyed.

        Args:
            command: ping, status, reload, stop or reopen.
            wait: answer when it is done. That takes what it takes; the supervisor has its own limits.

        Raises:
            Failure: there is no answer, or none that makes sense.
        """
        received = bytearray()
        try:
            self._sock.sendall(json.dumps({"command": command, "wait": wait}).encode() + b"\n")
            self._sock.settimeout(None if wait else _PATIENCE)
            while b"\n" not in received:
                if len(received) > _LONGEST_ANSWER:
                    raise self._failure("its answer has no end")
                piece = self._sock.recv(65536)
                if not piece:
                    raise self._failure("it closed the connection without an answer")
                received += piece
        except OSError as error:
            raise self._failure(_cause(error)) from None
        try:
            answer = json.loads(received.partition(b"\n")[0])
        except ValueError:
            answer = None
        if not isinstance(answer, dict) or not isinstance(answer.get("ok"), bool):
            raise self._failure("what answers there is no penstock")
        return answer

    def process(self) -> ProcessEnd:
        """The process that we speak with, so that its end can be waited for.

        Raises:
            Failure: it is in a container, say, and has no number here.
        """
        pid, _ = peer_of(self._sock)
        try:
            return ProcessEnd(pid)
        except OSError as error:
            told = f"the end of this supervisor cannot be waited for from here: {error.strerror}; leave --wait out"
            raise Failure(TARGET, told) from None

    def close(self) -> None:
        self._sock.close()

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _failure(self, cause: str) -> Failure:
        return Failure(TARGET, f"no supervisor answers on {shown(self._path)}: {cause}")


class ProcessEnd:
    """Waits for the end of a process, by a descriptor that stays its own when the number is given to another.

    Args:
        pid: of a process that lives.
    """

    def __init__(self, pid: int) -> None:
        self._fd = os.pidfd_open(pid)

    def wait(self) -> None:
        """Return when it has ended."""
        select.select([self._fd], [], [])

    def __enter__(self) -> ProcessEnd:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)


def ask(target: str | None, command: str, *, wait: bool = False) -> dict[str, Any]:
    """One command on a connection of its own, as `Conversation.ask`.

    Raises:
        Failure: there is no answer.
    """
    with Conversation(find_control(target)) as conversation:
        return conversation.ask(command, wait=wait)


def find_control(target: str | None) -> str:
    """The path of the control socket that TARGET means.

    Raises:
        Failure: there is none, or TARGET means nothing.
    """
    if target is None:
        return _only_one()
    if target.isascii() and target.isdigit():
        return _of_process(int(target))
    if _is_socket(target) and target.endswith(SUFFIX):
        return target
    try:
        places = list(_places(target))
    except ValueError as error:
        # A control socket may have any name, by --control.
        if _is_socket(target):
            return target
        raise Failure(USAGE, f"{error}; a process number or the path of a control socket will do, too") from None
    for place in places:
        if _is_socket(place):
            return place
    tried = ", ".join(map(shown, places))
    raise Failure(
        TARGET,
        f"no supervisor serves {shown(target)}, or it runs without workers or with --control: there is no {tried}",
    )


def _places(address: str) -> Iterator[str]:
    parsed = parse_address(address)
    if isinstance(parsed, UnixAddress):
        yield os.path.abspath(parsed.path) + SUFFIX
    # All of them, for a supervisor that systemd has started knows another RUNTIME_DIRECTORY than we do.
    for folder in folders():
        if _is_safe(folder):
            yield os.path.join(folder, address.replace("/", "_") + SUFFIX)


def _only_one() -> str:
    beside = DEFAULT_BIND.removeprefix("unix:") + SUFFIX
    if _is_socket(beside):
        return beside
    around = dict.fromkeys((".", *folders()))
    found = [path for folder in around if _is_safe(folder) for path in _sockets_in(folder)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise Failure(TARGET, f"no supervisor was found here; name one: {TARGETS}")
    listed = "\n  ".join(map(shown, found))
    raise Failure(TARGET, f"there are {len(found)} supervisors; name one:\n  {listed}")


def _sockets_in(folder: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(folder)):
            path = os.path.normpath(os.path.join(folder, name))
            if name.endswith(SUFFIX) and _is_socket(path):
                yield path


def _of_process(pid: int) -> str:
    """The control socket that a process listens on, as Linux's /proc tells it (proc_net(5))."""
    try:
        links = list(_descriptors(pid))
        with open(f"/proc/{pid}/net/unix", encoding="utf-8", errors="surrogateescape") as table:
            lines = table.read().splitlines()[1:]
    except FileNotFoundError:
        raise Failure(TARGET, f"there is no process {pid}") from None
    except OSError as error:
        raise Failure(TARGET, f"process {pid} cannot be looked at: {error.strerror}") from None
    own = {found[1] for link in links if (found := re.fullmatch(r"socket:\[(\d+)\]", link))}
    for line in lines:
        fields = line.split(None, 7)
        if len(fields) == 8 and int(fields[3], 16) & _LISTENING and fields[6] in own and fields[7].endswith(SUFFIX):
            return fields[7]
    raise Failure(TARGET, f"process {pid} is no supervisor of penstock, or its control socket has a name of its own")


def _descriptors(pid: int) -> Iterator[str]:
    """What the open descriptors of a process are, as in "socket:[1234]"."""
    if not os.path.isdir("/proc/self/fd"):
        raise Failure(TARGET, "process numbers are looked up in /proc, which is missing here; name the ADDR instead")
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            yield os.readlink(f"/proc/{pid}/fd/{number}")


def _is_safe(folder: str) -> bool:
    """Whether it is a folder that no stranger could have made, with a supervisor of his own in it."""
    try:
        return bool(folder) and os.stat(folder).st_uid in (0, os.geteuid())
    except OSError:
        return False


def _is_socket(path: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False


def _cause(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return f"it has said nothing for {_PATIENCE:g} seconds"
    if isinstance(error, ConnectionRefusedError):
        return "it has ended and left its socket behind"
    if isinstance(error, PermissionError):
        return "only root and the user who started it may ask"
    return error.strerror or str(error)
