"""This file tests that idle connections go from one process to another without their web server noticing."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from penstock.server.gifts import Exchange


@pytest.fixture
def exchange() -> Iterator[Exchange]:
    exchange = Exchange()
    yield exchange
    exchange.close()


def test_what_is_left_there_is_taken_with_all_that_was_said_on_it_and_goes_on(exchange):
    ours, theirs = socket.socketpair()
    theirs.sendall(b"said before")
    assert exchange.give(ours)
    ours.close()
    theirs.sendall(b", and on the way")
    taken = exchange.take()
    assert taken is not None
    with taken, theirs:
        assert taken.recv(100) == b"said before, and on the way"
        taken.sendall(b"answered")
        assert theirs.recv(100) == b"answered"


def test_a_connection_is_taken_once_and_not_inherited(exchange):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        exchange.give(ours)
        taken = exchange.take()
        assert taken is not None
        with taken:
            assert not os.get_inheritable(taken.fileno())
        assert exchange.take() is None


def test_when_there_is_no_room_the_giver_keeps_it(exchange):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        given = 0
        while exchange.give(ours):
            given += 1
            assert given < 100_000
        for _ in range(given):
            taken = exchange.take()
            assert taken is not None
            taken.close()
        assert exchange.give(ours)
        theirs.sendall(b"x")
        assert ours.recv(1) == b"x"


def test_what_nobody_has_taken_ends_with_the_exchange():
    exchange = Exchange()
    ours, theirs = socket.socketpair()
    exchange.give(ours)
    ours.close()
    with theirs:
        exchange.close()
        assert theirs.recv(1) == b""


def test_what_is_no_connection_is_closed(exchange):
    reader, writer = os.pipe()
    with open(reader, "rb"), open(writer, "wb") as pipe:
        assert exchange.give(pipe)
        assert exchange.take() is None
