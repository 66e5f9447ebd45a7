"""This file makes hosts on one machine: Linux network namespaces on a bridge of their own, gone with whoever made them.

Nothing here has a name outside of this process: a namespace lives as long as its descriptor, and the links in it end
with it. So an end by SIGKILL leaves nothing either, and the machine's own network is never touched.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from tests.processes import PATIENCE, find_binary

T = TypeVar("T")

_CLONE_NEWNET = 0x40000000  # <linux/sched.h>
_NETWORK = "10.213.7"


class Unavailable(Exception):
    """This machine does not allow network namespaces; the message says what failed."""


class Host:
    """One host: programs are started on it with `wrapper` before them.

    Attributes:
        name: for messages, and of its port on the bridge.
        address: its IP address.
    """

    def __init__(self, name: str, address: str) -> None:
        self.name = name
        self.address = address
        try:
            self._fd = _aside(_new_namespace)
        except OSError as error:
            raise Unavailable(f"a network namespace cannot be made: {error.strerror}") from None

    @property
    def path(self) -> str:
        """The namespace as a file, for `ip` and `nsenter`."""
        return f"/proc/{os.getpid()}/fd/{self._fd}"

    @property
    def wrapper(self) -> tuple[str, ...]:
        """What comes before a command line; it becomes the program, so signals reach that."""
        return (find_binary("nsenter") or "nsenter", f"--net={self.path}", "--")

    def enter(self) -> None:
        """From now on the sockets of this thread are made on this host."""
        _call("setns", self._fd, _CLONE_NEWNET)

    def connect(self, address: str, port: int) -> socket.socket:
        """A TCP connection from here.

        Raises:
            OSError: there is none.
        """

        def make() -> socket.socket:
            self.enter()
            return socket.create_connection((address, port), PATIENCE)

        return _aside(make)

    def ip(self, *words: str) -> None:
        """Change the links of this host with ip(8).

        Raises:
            Unavailable: it failed.
        """
        done = subprocess.run(
            [*self.wrapper, find_binary("ip") or "ip", *words], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unavailable(f"ip {' '.join(words)}: {done.stderr.strip()}")

    def close(self) -> None:
        os.close(self._fd)


class Network:
    """A front host with a bridge, and hosts that are plugged into it.

    Attributes:
        front: where the load balancer stands.
        hosts: the others.
    """

    def __init__(self, front: Host, hosts: list[Host]) -> None:
        self.front = front
        self.hosts = hosts

    def unplug(self, host: Host) -> None:
        """Pull its cable: nothing comes from it any more, not even a reset."""
        self.front.ip("link", "set", host.name, "down")

    def plug(self, host: Host) -> None:
        self.front.ip("link", "set", host.name, "up")


@contextmanager
def network(number: int) -> Iterator[Network]:
    """So many hosts and the front before them.

    Raises:
        Unavailable: not on this machine, or not for this user.
    """
    if os.geteuid() != 0:
        raise Unavailable("network namespaces are made by root alone")
    missing = [name for name in ("ip", "nsenter") if find_binary(name) is None]
    if missing:
        raise Unavailable(f"{' and '.join(missing)}: not installed")
    made: list[Host] = []
    try:
        made.append(front := Host("front", f"{_NETWORK}.1"))
        made.extend(Host(f"host{at}", f"{_NETWORK}.{10 + at}") for at in range(1, number + 1))
        hosts = made[1:]
        front.ip("link", "set", "lo", "up")
        front.ip("link", "add", "bridge", "type", "bridge")
        front.ip("address", "add", f"{front.address}/24", "dev", "bridge")
        front.ip("link", "set", "bridge", "up")
        for host in hosts:
            front.ip("link", "add", host.name, "type", "veth", "peer", "name", "eth0", "netns", host.path)
            front.ip("link", "set", host.name, "master", "bridge", "up")
            host.ip("link", "set", "lo", "up")
            host.ip("address", "add", f"{host.address}/24", "dev", "eth0")
            host.ip("link", "set", "eth0", "up")
        yield Network(front, hosts)
    finally:
        for host in made:
            host.close()


def _aside(what: Callable[[], T]) -> T:
    """Do it in a thread that ends then: a namespace is a thread's own, and ours stays what it was."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(what).result()


def _new_namespace() -> int:
    _call("unshare", _CLONE_NEWNET)
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _call(name: str, *args: int) -> None:
    """Call the C library.

    Raises:
        OSError: it failed.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*args) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
