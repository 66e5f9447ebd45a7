"""This file tests sockets that the parent process opened, and how listeners keep newcomers away while they drain."""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.server.listen import AddressError, BindError, Listener, open_listeners
from tests.processes import environment


def open_one(bind: str) -> Listener:
    (listener,) = open_listeners(bind, environ={})
    return listener


def accept(listener: Listener) -> socket.socket:
    assert select.select([listener.socket], [], [], 20)[0], "a connection is queued"
    return listener.socket.accept()[0]


def is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


# Inherited


def test_an_inherited_unix_socket_is_taken_over_and_its_path_outlives_it(sock_dir: Path) -> None:
    path = f"{sock_dir}/s"
    parents = socket.socket(socket.AF_UNIX)
    parents.bind(path)
    parents.listen()
    number = parents.detach()
    listener = open_one(f"fd:{number}")
    assert listener.address == f"unix:{path} (fd:{number})"
    assert listener.is_unix
    assert not is_open(number), "the number is free, so closing the listener really ends it"
    assert not listener.socket.get_inheritable()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        accept(listener).close()
    listener.begin_drain()
    listener.close()
    assert os.listdir(sock_dir) == ["s"], "whoever made the path removes it"


def test_a_descriptor_that_is_missing_is_not_found_in_the_copy_of_another() -> None:
    """Two numbers are asked for and only the lower one is open; the copy made of it must not land on the other."""
    parents = socket.create_server(("127.0.0.1", 0))
    number = parents.detach()
    free = os.dup(number)
    os.close(free)
    with pytest.raises(BindError, match=f"descriptor {free} is not open"):
        open_listeners([f"fd:{number}", f"fd:{free}"], environ={})


def test_an_inherited_tcp_socket_gives_its_connections_nodelay_too() -> None:
    parents = socket.create_server(("127.0.0.1", 0))
    name = parents.getsockname()
    number = parents.detach()
    listener = open_one(f"fd:{number}")
    with socket.create_connection(name), accept(listener) as connection:
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert listener.address == f"127.0.0.1:{name[1]} (fd:{number})"
    listener.close()


def test_an_inherited_public_socket_needs_a_list_as_well_and_is_left_open_when_refused() -> None:
    with socket.create_server(("0.0.0.0", 0)) as parents:
        with pytest.raises(AddressError, match="--allow IP"):
            open_listeners([f"fd:{parents.fileno()}"], environ={})
        assert parents.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        (listener,) = open_listeners([f"fd:{parents.fileno()}"], allow=["127.0.0.2"], environ={})
        parents.detach()
    assert not listener.allows(("127.0.0.1", 1))
    listener.close()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("closed", "is not open in this process"),
        ("file", "is no socket"),
        ("datagram", "is neither a unix nor a TCP stream socket"),
        ("unbound", "is connected or idle, not listening"),
        ("connected", "is connected or idle, not listening"),
    ],
)
def test_a_descriptor_that_does_not_listen_is_named_and_left_open(kind: str, words: str) -> None:
    sockets = [socket.socket(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM), *socket.socketpair()]
    with open(os.devnull) as file:
        number = {
            "closed": 1000000,
            "file": file.fileno(),
            "unbound": sockets[0].fileno(),
            "datagram": sockets[1].fileno(),
            "connected": sockets[2].fileno(),
        }[kind]
        with pytest.raises(BindError) as caught:
            open_one(f"fd:{number}")
        assert f"cannot listen on fd:{number}: " in str(caught.value)
        assert words in str(caught.value)
        assert "; let the parent pass an open listening socket" in str(caught.value)
        assert is_open(number) is (kind != "closed")
    for each in sockets:
        each.close()


def test_descriptor_zero_becomes_null_so_that_no_later_file_becomes_standard_input(sock_dir: Path) -> None:
    code = """
import os, stat
from penstock.server.listen import open_listeners
(listener,) = open_listeners(["fd:0"])
assert os.path.samestat(os.fstat(0), os.stat(os.devnull))
assert listener.socket.fileno() > 2
print(listener.address)
"""
    with socket.socket(socket.AF_UNIX) as parents:
        parents.bind(f"{sock_dir}/s")
        parents.listen()
        done = subprocess.run(
            [sys.executable, "-c", code],
            stdin=parents.fileno(),
            capture_output=True,
            text=True,
            env=environment(),
            check=False,
        )
    assert (done.returncode, done.stdout) == (0, f"unix:{sock_dir}/s (fd:0)\n"), done.stderr


# Draining


def test_a_draining_unix_listener_loses_nobody_and_a_successor_may_bind_meanwhile(sock_dir: Path) -> None:
    path = f"{sock_dir}/s"
    old = open_one(f"unix:{path}")
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    for client in clients[:3]:
        client.connect(path)
    old.begin_drain()
    assert os.listdir(sock_dir) == []
    new = open_one(f"unix:{path}")
    clients[3].connect(path)
    for _ in range(3):
        accept(old).close()
    assert not select.select([old.socket], [], [], 0)[0]
    old.close()
    accept(new).close()
    assert sorted(os.listdir(sock_dir)) == ["s", "s.lock"], "the old one took nothing of the new one's with it"
    new.close()
    for client in clients:
        client.close()


def has_filter(listener: Listener) -> bool:
    """Whether the kernel filters what reaches the socket: SO_GET_FILTER, 26, answers one byte per instruction."""
    return sys.platform == "linux" and len(listener.socket.getsockopt(socket.SOL_SOCKET, 26, 8)) > 0


def may_filter() -> bool:
    listener = open_one("127.0.0.1:0")
    listener.begin_drain()
    try:
        return has_filter(listener)
    finally:
        listener.close()


@pytest.mark.skipif(not may_filter(), reason="needs Linux and CAP_NET_ADMIN")
def test_a_draining_tcp_listener_serves_its_queue_and_newcomers_reach_the_successor() -> None:
    old = open_one("127.0.0.1:0")
    name = old.socket.getsockname()
    with socket.create_connection(name) as early, socket.socket() as late, socket.socket() as control:
        old.begin_drain()
        late.setblocking(False)
        late.connect_ex(name)
        other = open_one("127.0.0.1:0")
        control.connect(other.socket.getsockname())
        other.close()
        assert not select.select([], [late], [], 0)[1], "who came later than the filter is still not connected"
        with accept(old) as connection:
            early.sendall(b"ask")
            assert connection.recv(3) == b"ask"
            connection.sendall(b"answer")
            assert early.recv(6) == b"answer"
        assert not select.select([old.socket], [], [], 0)[0]
        old.close()
        new = open_one(f"127.0.0.1:{name[1]}")
        accept(new).close()  # the kernel of the client repeats its SYN after a second
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
        new.close()


def test_draining_tcp_without_the_right_to_filter_changes_nothing_and_raises_nothing() -> None:
    listener = open_one("127.0.0.1:0")
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        listener.begin_drain()
    finally:
        if root:
            os.seteuid(0)
    assert not has_filter(listener)
    with socket.create_connection(listener.socket.getsockname()):
        accept(listener).close()
    listener.close()


def test_draining_never_filters_an_inherited_socket_because_others_hold_it_too() -> None:
    number = socket.create_server(("127.0.0.1", 0)).detach()
    listener = open_one(f"fd:{number}")
    listener.begin_drain()
    assert not has_filter(listener)
    listener.close()


def test_a_forked_child_that_drains_and_closes_takes_nothing_from_its_parent(sock_dir: Path) -> None:
    listeners = open_listeners([f"unix:{sock_dir}/s", "127.0.0.1:0"], environ={})
    child = os.fork()
    if child == 0:
        for listener in listeners:
            listener.begin_drain()
            listener.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert not has_filter(listeners[1])
    for listener in listeners:
        family = socket.AF_UNIX if listener.is_unix else socket.AF_INET
        with socket.socket(family) as client:
            client.connect(listener.socket.getsockname())
            accept(listener).close()
        listener.close()
    assert os.listdir(sock_dir) == []
