"""This file is the supervisor's control socket: a line of JSON in, a line of JSON out, and only its owner gets in.

docs/workers.md has the commands. One answer may come late, that of a reload which is waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable, Iterator
from typing import Any, Final, final

from penstock.manager.guests import Guest, Reception
from penstock.manager.handover import Handover, Parcel
from penstock.manager.messages import CREDENTIALS
from penstock.manager.places import packed, unpacked
from penstock.manager.plan import Plan
from penstock.manager.reactor import Reactor
from penstock.server.address import UnixAddress, parse_address
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.passing import pass_on, take_over
from penstock.server.unixsocket import MAX_PATH, open_unix

MOST: Final = 4096
"""Bytes of a command."""

SUFFIX: Final = ".control"


Answer = Callable[..., None]
"""Answers a command, once: answer(ok=True, ...)."""


def control_path(plan: Plan) -> str:
    """Where the control socket of a plan is; `penstock status ADDR` looks for it by the same rule."""
    if plan.control is not None:
        return os.path.abspath(plan.control)
    binds = [address for pool in plan.pools for address in pool.bind]
    for bind in binds:
        address = parse_address(bind)
        if isinstance(address, UnixAddress):
            path = os.path.abspath(address.path) + SUFFIX
            if os.access(os.path.dirname(path), os.W_OK) and len(os.fsencode(path)) <= MAX_PATH - len(".lock"):
                return path
    name = (binds[0] if binds else plan.pools[0].name).replace("/", "_")
    return os.path.join(runtime_folder(), name + SUFFIX)


def peer_of(sock: socket.socket) -> tuple[int, int]:
    """The process at the other end of a unix socket, when it connected or began to listen, and its user."""
    pid, uid, _ = CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size))
    return pid, uid


def folders() -> Iterator[str]:
    """The folders for sockets that have no better place, the best first; "" for one that nobody has named."""
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        yield os.environ.get(variable, "").partition(":")[0]
    yield "/run/penstock" if os.geteuid() == 0 else f"/tmp/penstock-{os.geteuid()}"


def runtime_folder() -> str:
    """The first of these folders that is there; the last one is made."""
    *named, folder = folders()
    for each in named:
        if each and os.path.isdir(each):
            return each
    with contextlib.suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    status = os.lstat(folder)
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise ValueError(f"{folder} is not a folder of ours alone; remove it, or name a place with --control")
    return folder


@final
class Control(Reception["_Client"]):
    """The listening socket and those who have come to it.

    Args:
        path: of the socket.
        obey: gets each command's name, its content, and how to answer it.
        handover: where the socket may be that is open already.

    Attributes:
        waiting: answers for those who have been handed over.
    """

    def __init__(
        self,
        path: str,
        reactor: Reactor,
        obey: Callable[[str, dict[str, Any], Answer], None],
        handover: Handover | None = None,
    ) -> None:
        self.path: Final = path
        self.obey: Final = obey
        self.waiting: Final[list[Answer]] = []
        self._listener = self._take_over(handover) or self._open_path()
        super().__init__([self._listener], reactor)
        if handover is not None:
            self._seat_again(handover)

    def _open_path(self) -> Listener:
        sock, file, _ = open_unix(self.path, mode=0o600, uid=-1, gid=-1, backlog=16)
        return Listener(sock, f"unix:{self.path}", file=file)

    def _take_over(self, handover: Handover | None) -> Listener | None:
        if handover is None:
            return None
        listener = take_over(unpacked(handover, handover.content["control"]["listener"]), None)
        if listener.address == f"unix:{self.path}":
            return listener
        listener.close()
        return None

    def _seat_again(self, handover: Handover) -> None:
        for fd, waits, said, output in handover.content["control"]["clients"]:
            client = _Client(socket.socket(fileno=handover.fd(fd)), self)
            if waits:
                self.waiting.append(client.wait())
            else:
                client.go_on(bytes.fromhex(said), bytes.fromhex(output))

    def pack(self, parcel: Parcel) -> None:
        """Hand over the socket, and those who are there."""
        clients = [(parcel.fd(client.sock.fileno()), *client.standing()) for client in self.guests]
        parcel.content["control"] = {"listener": packed(parcel, pass_on(self._listener)), "clients": clients}

    def welcome(self, sock: socket.socket) -> None:
        _, uid = peer_of(sock)
        if uid in (0, os.geteuid()):
            _Client(sock, self)
        else:
            log.warning("control socket: user %d was refused", uid)
            sock.close()


@final
class _Client(Guest):
    """Somebody who gives one command."""

    def __init__(self, sock: socket.socket, control: Control) -> None:
        super().__init__(sock, control)
        self._obey = control.obey
        self._told = b""
        self._waits = False

    def heard(self, data: bytes) -> None:
        if self._waits:
            return  # nothing more is expected from it
        self._told += data
        line, end, _ = self._told.partition(b"\n")
        if not end and len(line) <= MOST:
            return
        command = _read(line) if len(line) <= MOST else f"a command has at most {MOST} bytes"
        if isinstance(command, str):
            log.warning("control socket: refused: %s", command)
            self._answer(ok=False, error=command)
            return
        self._told = b""
        try:
            self._obey(command["command"], command, self.wait())
        except Exception:
            self._answer(ok=False, error="this failed inside penstock, and its log says how")
            raise

    def standing(self) -> tuple[bool, str, str]:
        """Whether it waits for an answer, and what has been read and has to be written."""
        return self._waits, self._told.hex(), self._output.hex()

    def go_on(self, told: bytes, output: bytes) -> None:
        """Go on where it stood."""
        self._told += told
        if output:
            self.say(output)

    def wait(self) -> Answer:
        """It may have to wait now; its leaving is noticed all the same."""
        self._alarm.clear()
        self._waits = True
        return self._answer

    def _answer(self, **content: Any) -> None:
        self._waits = False
        self.say(json.dumps(content).encode("ascii") + b"\n")


def _read(line: bytes) -> dict[str, Any] | str:
    """A command, or what is wrong with it."""
    try:
        command = json.loads(line)
    except (ValueError, RecursionError):
        return "a command is one line of JSON"
    if not isinstance(command, dict) or not isinstance(command.get("command"), str):
        return 'a command is an object such as {"command": "status"}'
    return command
