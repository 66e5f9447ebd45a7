"""This file tests how guests of the supervisor are received; what each kind may ask is tested with the kind."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import pytest

from penstock.manager.guests import Guest, Reception
from penstock.manager.reactor import Reactor
from penstock.server.listen import open_listeners
from tests.processes import PATIENCE


class Echo(Guest):
    """Is told what it has said."""

    def heard(self, data: bytes) -> None:
        self.say(data)


class Echoes(Reception[Echo]):
    """Receives them."""

    def welcome(self, sock: socket.socket) -> None:
        Echo(sock, self)


@pytest.fixture
def reactor():
    made = Reactor()
    yield made
    made.close()


@pytest.fixture
def echoes(reactor, sock_dir):
    made = Echoes(open_listeners([f"unix:{sock_dir}/a", f"unix:{sock_dir}/b"]), reactor)
    yield made
    made.close()


def connect(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(path)
    return sock


def run(reactor: Reactor, until: Callable[[], Any]) -> None:
    """Let the loop run until something holds."""

    def look() -> None:
        reactor.stopped = bool(until())
        alarm.set(0.005)

    reactor.stopped = False
    alarm = reactor.alarm(look)
    alarm.set(0)
    reactor.run()
    alarm.clear()


@pytest.fixture
def calls(monkeypatch):
    """The accept() calls; they fail as if no descriptor were left."""
    made: list[socket.socket] = []

    def accept(sock):
        made.append(sock)
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    monkeypatch.setattr(socket.socket, "accept", accept)
    return made


def test_when_accepting_fails_it_pauses_and_then_goes_on(echoes, reactor, sock_dir, calls, monkeypatch, caplog):
    monkeypatch.setattr("penstock.manager.guests.PAUSE", PATIENCE)
    with connect(f"{sock_dir}/a") as first, connect(f"{sock_dir}/b") as second:
        rung: list[bool] = []
        reactor.alarm(lambda: rung.append(True)).set(0.05)
        run(reactor, lambda: rung and len(calls) >= 2)
        assert len(calls) == 2  # one at each door, and then it waits
        assert os.strerror(errno.EMFILE) in caplog.text
        monkeypatch.undo()
        echoes._pause.set(0)
        run(reactor, lambda: len(echoes.guests) == 2)
        first.sendall(b"here")
        second.sendall(b"here too")
        run(reactor, lambda: not echoes.guests)
        assert (first.recv(100), second.recv(100)) == (b"here", b"here too")


def test_a_pause_ends_with_the_reception(reactor, sock_dir, calls, monkeypatch, caplog):
    monkeypatch.setattr("penstock.manager.guests.PAUSE", 0.01)
    echoes = Echoes(open_listeners(f"unix:{sock_dir}/a"), reactor)
    with connect(f"{sock_dir}/a"):
        run(reactor, lambda: calls)
        echoes.close()
    rung: list[bool] = []
    reactor.alarm(lambda: rung.append(True)).set(0.03)
    run(reactor, lambda: rung)
    assert "fault of penstock" not in caplog.text
