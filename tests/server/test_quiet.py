"""This file tests that an idle connection is closed only when nothing was, or can be, said on it."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator

import pytest

from penstock.server.quiet import end_with_answer, has_input, nothing_comes


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_has_arrived_is_seen_and_stays_there(pair):
    ours, theirs = pair
    assert not has_input(ours)
    theirs.sendall(b"x")
    assert has_input(ours)
    assert not nothing_comes(ours)
    assert ours.recv(10) == b"x"


def test_a_connection_with_input_may_still_be_written_to_and_read_from(pair):
    ours, theirs = pair
    theirs.sendall(b"x")
    assert not nothing_comes(ours)
    theirs.sendall(b"y")
    assert ours.recv(10) == b"xy"
    ours.sendall(b"z")
    assert theirs.recv(10) == b"z"


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells the peer of a socket shut for reading")
def test_over_a_unix_socket_the_peer_cannot_send_any_more_once_nothing_comes(pair):
    ours, theirs = pair
    assert nothing_comes(ours)
    with pytest.raises(BrokenPipeError):
        theirs.send(b"a request")


def test_over_tcp_a_quiet_connection_is_quiet():
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as theirs:
        ours, _ = listener.accept()
        with ours:
            assert nothing_comes(ours)
            theirs.sendall(b"x")
            assert ours.recv(1, socket.MSG_PEEK) == b"x"
            assert not nothing_comes(ours)


@pytest.mark.skipif(sys.platform != "linux", reason="TCP_CORK is Linux's")
def test_the_last_bytes_over_tcp_arrive_with_the_end():
    listening = socket.create_server(("127.0.0.1", 0))
    theirs = socket.create_connection(listening.getsockname())
    ours, _ = listening.accept()
    with listening, theirs, ours:
        ours.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        assert end_with_answer(ours)
        ours.sendall(b"x")
        assert not has_input(theirs)
        ours.close()
        assert theirs.recv(10) == b"x"
        assert theirs.recv(10, socket.MSG_DONTWAIT) == b""


def test_a_unix_socket_has_another_way(pair):
    ours, _ = pair
    assert not end_with_answer(ours)
