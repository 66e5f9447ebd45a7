"""This file is the supervisor's control socket: a line of JSON in, a line of JSON out, and only its owner gets in.

docs/workers.md has the commands. One answer may come late, that of a reload which is waited for.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
from collections.abc import Callable
from struct import Struct
from typing import Any, Final, final

from penstock.manager.handover import Handover, Parcel
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

_MOST_CLIENTS: Final = 32
_PATIENCE: Final = 10.0
_CREDENTIALS: Final = Struct("3i")

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


def runtime_folder(*, make: bool = True) -> str:
    """The folder for sockets that have no better place."""
    for variable in ("RUNTIME_DIRECTORY", "XDG_RUNTIME_DIR"):
        folder = os.environ.get(variable, "").partition(":")[0]
        if folder and os.path.isdir(folder):
            return folder
    folder = "/run/penstock" if os.geteuid() == 0 else f"/tmp/penstock-{os.geteuid()}"
    if make:
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o700)
        status = os.lstat(folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
            raise ValueError(f"{folder} is not a folder of ours alone; remove it, or name a place with --control")
    return folder


@final
class Control:
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
        self._reactor = reactor
        self._obey = obey
        self._clients: set[_Client] = set()
        self.waiting: Final[list[Answer]] = []
        self._listener = self._take_over(handover) or self._open()
        reactor.watch(self._listener.socket, self._on_newcomer)

    def _open(self) -> Listener:
        sock, file, _ = open_unix(self.path, mode=0o600, uid=-1, gid=-1, backlog=16)
        return Listener(sock, f"unix:{self.path}", file=file)

    def _take_over(self, handover: Handover | None) -> Listener | None:
        if handover is None:
            return None
        told = handover.content["control"]
        listener = take_over(unpacked(handover, told["listener"]), None)
        for fd, waits, said, output in told["clients"]:
            client = _Client(socket.socket(fileno=handover.fd(fd)), self._reactor, self._obey, self._clients)
            self._clients.add(client)
            if waits:
                self.waiting.append(client.wait())
            else:
                client.go_on(bytes.fromhex(said), bytes.fromhex(output))
        if listener.address == f"unix:{self.path}":
            return listener
        listener.close()
        return None

    def pack(self, parcel: Parcel) -> None:
        """Hand over the socket, and those who are there."""
        clients = [(parcel.fd(client.sock.fileno()), *client.standing()) for client in self._clients]
        parcel.content["control"] = {"listener": packed(parcel, pass_on(self._listener)), "clients": clients}

    def let_go(self) -> None:
        """In a forked child: close our ends; the path stays the supervisor's."""
        self._listener.close()
        for client in self._clients:
            client.sock.close()

    def close(self) -> None:
        """Take the path away; whoever waits for an answer sees the end instead."""
        self._reactor.forget(self._listener.socket)
        self._listener.close()
        for client in list(self._clients):
            client.close()

    def _on_newcomer(self) -> None:
        try:
            sock, _ = self._listener.socket.accept()
        except OSError:
            return
        uid = _CREDENTIALS.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))[1]
        if uid not in (0, os.geteuid()) or len(self._clients) >= _MOST_CLIENTS:
            log.warning("control socket: user %d was refused", uid)
            sock.close()
            return
        sock.setblocking(False)
        self._clients.add(_Client(sock, self._reactor, self._obey, self._clients))


@final
class _Client:
    """Somebody who gives one command."""

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        obey: Callable[[str, dict[str, Any], Answer], None],
        others: set[_Client],
    ) -> None:
        self.sock = sock
        self._reactor = reactor
        self._obey = obey
        self._others = others
        self._told = bytearray()
        self._output = b""
        self.waits = False
        self._alarm = reactor.alarm(self.close)
        self._alarm.set(_PATIENCE)
        reactor.watch(sock, self._on_readable)

    def close(self) -> None:
        self._alarm.clear()
        self._reactor.forget(self.sock)
        self._others.discard(self)
        self.sock.close()

    def _on_readable(self) -> None:
        try:
            data = self.sock.recv(MOST + 1 - len(self._told))
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._told += data
        line, end, _ = bytes(self._told).partition(b"\n")
        if not end and len(self._told) <= MOST:
            return
        command = _read(line) if end else f"a command has at most {MOST} bytes"
        if isinstance(command, str):
            log.warning("control socket: refused: %s", command)
            self._answer(ok=False, error=command)
            return
        self._told.clear()
        try:
            self._obey(command["command"], command, self.wait())
        except Exception:
            self._answer(ok=False, error="this failed inside penstock, and its log says how")
            raise

    def standing(self) -> tuple[bool, str, str]:
        """Whether it waits for an answer, and what has been read and has to be written."""
        return self.waits, self._told.hex(), self._output.hex()

    def go_on(self, told: bytes, output: bytes) -> None:
        """Go on where it stood."""
        self._told += told
        self._output = output
        if output:
            self._reactor.watch(self.sock, self._on_writable, write=True)

    def wait(self) -> Answer:
        """It may have to wait now; its leaving is noticed by the same watch."""
        self._alarm.clear()
        self.waits = True
        self._reactor.watch(self.sock, self._on_more)
        return self._answer

    def _on_more(self) -> None:
        """Nothing more is expected from it; so this is mostly its leaving."""
        try:
            if self.sock.recv(MOST):
                return
        except OSError:
            pass
        if not self._output:
            self.close()

    def _answer(self, **content: Any) -> None:
        if self.sock.fileno() < 0:
            return
        self.waits = False
        self._output = json.dumps(content).encode("ascii") + b"\n"
        self._alarm.set(_PATIENCE)
        self._reactor.watch(self.sock, self._on_writable, write=True)

    def _on_writable(self) -> None:
        try:
            sent = self.sock.send(self._output)
        except BlockingIOError:
            return
        except OSError:
            sent = len(self._output)
        self._output = self._output[sent:]
        if not self._output:
            self.close()


def _read(line: bytes) -> dict[str, Any] | str:
    """A command, or what is wrong with it."""
    try:
        command = json.loads(line)
    except (ValueError, RecursionError):
        return "a command is one line of JSON"
    if not isinstance(command, dict) or not isinstance(command.get("command"), str):
        return 'a command is an object such as {"command": "status"}'
    return command
