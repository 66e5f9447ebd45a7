"""Tests of the way out of a connection: whole records from any thread, and answers that wait for nobody."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from penstock.gateways.request import Disconnected
from penstock.server import outlet as module
from penstock.server.outlet import Outlet
from tests.processes import PATIENCE


@pytest.fixture
def ends():
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    theirs.settimeout(PATIENCE)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture
def outlet(ends):
    return Outlet(ends[0], PATIENCE, None)


def read(end: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = end.recv(size - len(data))
        assert piece, "the end came early"
        data += piece
    return data


def begin_sending(outlet: Outlet, data: bytes) -> threading.Thread:
    """Send in a thread, and wait until it has begun."""

    def send() -> None:
        with contextlib.suppress(Disconnected):
            outlet.send(data)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    return thread


def test_what_does_not_fit_waits_for_the_peer(ends, outlet):
    thread = begin_sending(outlet, b"x" * 1_000_000)
    assert read(ends[1], 1_000_000) == b"x" * 1_000_000
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert not outlet.broken


def test_pieces_of_several_threads_stay_whole(ends, outlet):
    size = 20_000
    threads = [threading.Thread(target=outlet.send, args=(bytes([number]) * size,)) for number in range(8)]
    for thread in threads:
        thread.start()
    data = read(ends[1], 8 * size)
    for thread in threads:
        thread.join(PATIENCE)
    pieces = [data[at : at + size] for at in range(0, len(data), size)]
    assert sorted(pieces) == [bytes([number]) * size for number in range(8)]


def test_an_answer_waits_behind_what_is_being_sent_and_nobody_waits_for_it(ends, outlet):
    thread = begin_sending(outlet, b"x" * 500_000)
    assert read(ends[1], 1) == b"x"
    assert outlet.answer(b"answer 1")
    assert outlet.answer(b"answer 2")
    assert read(ends[1], 499_999) == b"x" * 499_999
    assert read(ends[1], 16) == b"answer 1answer 2"
    thread.join(PATIENCE)


def test_too_many_answers_break_it(ends, outlet, monkeypatch):
    monkeypatch.setattr(module, "MOST_ANSWERS", 100)
    thread = begin_sending(outlet, b"x" * 500_000)
    assert read(ends[1], 1) == b"x"
    assert outlet.answer(b"a" * 100)
    assert not outlet.answer(b"a")
    assert outlet.broken
    ends[1].close()
    thread.join(PATIENCE)


def test_an_answer_that_finds_no_room_breaks_it(ends, outlet):
    while outlet.answer(b"x" * 1000):
        pass
    assert outlet.broken
    with pytest.raises(Disconnected):
        outlet.send(b"x")


def test_a_peer_that_takes_nothing_breaks_it(ends):
    outlet = Outlet(ends[0], 0.02, None)
    with pytest.raises(Disconnected, match=r"taken no output for 0\.02 s"):
        outlet.send(b"x" * 1_000_000)
    assert outlet.broken
    with pytest.raises(Disconnected):
        outlet.send(b"")


@pytest.mark.parametrize("size", [1, 1_000_000])
def test_a_peer_that_is_gone_breaks_it(ends, outlet, size):
    ends[1].close()
    with pytest.raises(Disconnected, match="closed the connection"):
        outlet.send(b"x" * size)
    assert outlet.broken
    assert not outlet.answer(b"x")


def test_input_moves_on_while_a_write_waits(ends, outlet):
    moved: list[bytes] = []

    class Moving:
        wanted = True

        def move(self):
            moved.append(ends[0].recv(65536))

    outlet.pump = Moving()
    thread = begin_sending(outlet, b"x" * 100_000)
    for _ in range(50):
        ends[1].sendall(b"y" * 10_000)  # more than fits, so somebody has to read it
    assert read(ends[1], 100_000) == b"x" * 100_000
    thread.join(PATIENCE)
    assert len(b"".join(moved)) > 400_000


def test_answers_that_come_out_of_moving_input_do_not_cut_a_record(ends, outlet):
    class Moving:
        wanted = True

        def move(self):
            ends[0].recv(65536)
            outlet.answer(b"answer")

    outlet.pump = Moving()
    thread = begin_sending(outlet, b"x" * 100_000)
    ends[1].sendall(b"question")
    assert read(ends[1], 100_006) == b"x" * 100_000 + b"answer"
    thread.join(PATIENCE)


def test_no_answer_is_forgotten_however_it_meets_a_send():
    rounds = 300
    ours, theirs = socket.socketpair()  # with room for all of it
    outlet = Outlet(ours, PATIENCE, None)
    go = threading.Barrier(2, timeout=PATIENCE)

    def send() -> None:
        for _ in range(rounds):
            go.wait()
            outlet.send(b"s" * 10)

    def answer() -> None:
        for _ in range(rounds):
            go.wait()
            assert outlet.answer(b"a" * 10)

    threads = [threading.Thread(target=send), threading.Thread(target=answer)]
    for thread in threads:
        thread.start()
    theirs.settimeout(PATIENCE)
    data = read(theirs, rounds * 20)
    for thread in threads:
        thread.join(PATIENCE)
    pieces = [data[at : at + 10] for at in range(0, len(data), 10)]
    assert sorted(pieces) == [b"a" * 10] * rounds + [b"s" * 10] * rounds
    assert not outlet._answers
    ours.close()
    theirs.close()
