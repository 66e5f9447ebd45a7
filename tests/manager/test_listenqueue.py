"""Tests of reading listen queues: the kernel's own numbers, and None where it has none to tell."""

from __future__ import annotations

import contextlib
import os
import socket
import sys

import pytest

from penstock.manager import listenqueue
from penstock.manager.listenqueue import queue_length
from tests.manager.forked import in_child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the length of a listen queue")


@contextlib.contextmanager
def listener(family: int, address, backlog: int):
    with socket.socket(family) as sock:
        sock.bind(address)
        sock.listen(backlog)
        yield sock


def waiting(sock: socket.socket, count: int, stack: contextlib.ExitStack) -> None:
    for _ in range(count):
        peer = stack.enter_context(socket.socket(sock.family))
        peer.connect(sock.getsockname())


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET, socket.AF_INET6])
def test_it_counts_who_waits_and_knows_the_limit(family, sock_dir):
    hosts = {socket.AF_INET: ("127.0.0.1", 0), socket.AF_INET6: ("::1", 0)}
    address = hosts.get(family, str(sock_dir / "sock"))
    with contextlib.ExitStack() as stack, listener(family, address, 7) as sock:
        assert queue_length(sock) == (0, 7)
        waiting(sock, 3, stack)
        assert queue_length(sock) == (3, 7)
        stack.enter_context(sock.accept()[0])
        assert queue_length(sock) == (2, 7)


def test_it_names_its_numbers(sock_dir):
    with listener(socket.AF_UNIX, str(sock_dir / "sock"), 5) as sock:
        length = queue_length(sock)
    assert length is not None
    assert (length.pending, length.limit) == (0, 5)


def test_a_full_queue_is_read_without_waiting(sock_dir):
    with contextlib.ExitStack() as stack, listener(socket.AF_UNIX, str(sock_dir / "sock"), 2) as sock:
        waiting(sock, 3, stack)  # the limit is passed by one before connect() has to wait
        assert queue_length(sock) == (3, 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")
def test_it_takes_no_rights(sock_dir):
    def asked():
        os.setuid(65534)
        return tuple(queue_length(sock) or ())

    with listener(socket.AF_UNIX, str(sock_dir / "sock"), 5) as sock:
        assert in_child(asked) == (0, 5)


def test_no_descriptor_is_left_open(sock_dir):
    with listener(socket.AF_UNIX, str(sock_dir / "sock"), 5) as sock:
        before = os.listdir("/proc/self/fd")
        queue_length(sock)
        assert os.listdir("/proc/self/fd") == before


def test_a_socket_that_does_not_listen_has_no_queue():
    one, other = socket.socketpair()
    with one, other, socket.socket() as fresh, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for sock in (one, fresh, datagrams):
            assert queue_length(sock) is None
    assert queue_length(one) is None  # closed


@pytest.mark.parametrize("number", ["_NETLINK_SOCK_DIAG", "_SOCK_DIAG_BY_FAMILY"])
def test_without_sock_diag_it_is_not_known(number, monkeypatch, sock_dir):
    monkeypatch.setattr(listenqueue, number, 31)
    with listener(socket.AF_UNIX, str(sock_dir / "sock"), 5) as sock:
        assert queue_length(sock) is None
