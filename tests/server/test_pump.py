"""Tests of the pump: one handler waits for the socket on behalf of all that share the connection."""

from __future__ import annotations

import socket
import threading

import pytest

from penstock.server.pump import Pump
from tests.processes import PATIENCE


class Connection:
    """A source whose input is a byte for each reader: its number."""

    def __init__(self, timeout: float = PATIENCE) -> None:
        self.ours, self.theirs = socket.socketpair()
        self.fd = self.ours.fileno()
        self.reading = threading.RLock()
        self.over = False
        self.rested = 0
        self.readers: dict[int, Reader] = {}
        self.pump = Pump(self, self.take_in, timeout)

    def rest(self) -> None:
        self.rested += 1

    def take_in(self) -> None:
        assert self.reading._is_owned()  # type: ignore[attr-defined]
        for number in self.ours.recv(1, socket.MSG_DONTWAIT):
            self.readers[number].got += 1

    def join(self, number: int) -> Reader:
        reader = self.readers[number] = Reader()
        with self.reading:
            self.pump.join(reader)
        return reader

    def close(self) -> None:
        self.ours.close()
        self.theirs.close()


class Reader:
    """A handler that wants one byte."""

    def __init__(self) -> None:
        self.pumps = False
        self.got = 0
        self.lost = False

    @property
    def starving(self) -> bool:
        return not self.got and not self.lost


@pytest.fixture
def connection():
    made = Connection()
    yield made
    made.close()


def test_it_is_wanted_as_long_as_a_reader_is_there_and_input_may_come(connection):
    pump = connection.pump
    assert not pump.wanted
    one, other = connection.join(1), connection.join(2)
    assert one.pumps
    assert pump.wanted
    connection.over = True
    assert not pump.wanted
    connection.over = False
    pump.leave(one)
    assert pump.wanted
    pump.leave(other)
    assert not pump.wanted
    assert not other.pumps
    assert connection.rested == 2


def test_who_has_something_already_does_not_wait(connection):
    reader = connection.join(1)
    reader.got = 1
    assert connection.pump.wait(reader)


def test_what_comes_for_another_reader_wakes_that_one(connection):
    readers = [connection.join(number) for number in range(4)]
    woken: list[int] = []
    each = threading.Semaphore(0)

    def wait(number: int) -> None:
        assert connection.pump.wait(readers[number])
        woken.append(number)
        each.release()

    threads = [threading.Thread(target=wait, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for number in (2, 0, 3, 1):
        connection.theirs.send(bytes([number]))
        assert each.acquire(timeout=PATIENCE)
    for thread in threads:
        thread.join(PATIENCE)
    assert woken == [2, 0, 3, 1]


def test_moving_takes_in_what_is_there_and_wakes_whoever_it_is_for(connection):
    one, other = connection.join(1), connection.join(2)
    connection.theirs.send(b"\2\1")
    connection.pump.move()
    assert (one.got, other.got) == (0, 1)
    connection.pump.move()
    assert (one.got, other.got) == (1, 1)


def test_moving_does_nothing_where_nothing_is_wanted_or_another_thread_is_at_it(connection):
    connection.theirs.send(b"\1")
    connection.pump.move()
    reader = connection.join(1)
    with connection.reading:
        thread = threading.Thread(target=connection.pump.move)
        thread.start()
        thread.join(PATIENCE)
        assert not thread.is_alive()
    assert reader.got == 0
    connection.pump.move()
    assert reader.got == 1


def test_nothing_for_too_long_ends_the_waiting_of_each_reader():
    connection = Connection(timeout=0.01)
    outcomes: list[bool] = []
    readers = [connection.join(number) for number in range(3)]
    threads = [threading.Thread(target=lambda r=reader: outcomes.append(connection.pump.wait(r))) for reader in readers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    connection.close()
    assert outcomes == [False] * 3


def test_a_reader_that_is_told_to_give_up_does_so_when_input_comes(connection):
    one, other = connection.join(1), connection.join(2)
    outcomes: list[bool] = []
    thread = threading.Thread(target=lambda: outcomes.append(connection.pump.wait(one)))
    thread.start()
    one.lost = True
    connection.theirs.send(b"\2")
    thread.join(PATIENCE)
    assert outcomes == [True]
    assert other.got == 1
