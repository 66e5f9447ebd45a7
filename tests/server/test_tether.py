"""This file tests what ties a server to a supervisor, for blocking and for async handlers: gate, signals, lifeline."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys

import pytest

from penstock.server.gifts import Exchange
from penstock.server.tether import Tether
from tests.processes import PATIENCE
from tests.server.peers import request
from tests.server.tied import PROGRAM, Tied


@pytest.fixture(params=["1", "3", "loop"])
def tied(request, processes, sock_dir):
    for name in ("gate", "lifeline", "release"):
        os.mkfifo(sock_dir / name)
    program = sock_dir / "program.py"
    program.write_text(PROGRAM)
    return Tied(processes.start(sys.executable, program, request.param, sock_dir), sock_dir)


def test_nothing_is_accepted_before_the_gate_opens(tied):
    with tied.connect() as peer:
        peer.send(request("/"))
        peer.sock.settimeout(0.2)
        with pytest.raises(TimeoutError):
            peer.sock.recv(1)
        peer.sock.settimeout(PATIENCE)
        tied.touch("gate")
        assert peer.answer().body == b"hello"
    assert tied.process.stop() == 0


def test_each_request_is_told_from_its_beginning_to_its_end(tied):
    tied.touch("gate")
    with tied.connect() as peer:
        assert peer.ask("/one").body == b"hello"
        assert peer.ask("/fail").status == 500
        assert peer.ask("/two").body == b"hello"
    assert tied.process.stop() == 0
    told = [line for line in tied.process.stderr if line.startswith(("began", "ended"))]
    # With several threads the next request may begin before the last one's end is told.
    assert sorted(told) == ["began /fail", "began /one", "began /two", "ended /fail", "ended /one", "ended /two"]
    for url in ("/one", "/fail", "/two"):
        assert told.index(f"began {url}") < told.index(f"ended {url}")
    assert "connections 1" in tied.process.stderr


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM], ids=["leave", "stop"])
def test_a_running_request_is_finished_first(tied, number):
    tied.touch("gate")
    with tied.busy() as peer:
        tied.process.send_signal(number)
        # A second word changes nothing: what has to end at once is told otherwise.
        tied.process.send_signal(number)
        tied.process.send_signal(signal.SIGTERM)
        tied.touch("release")
        assert peer.answer().body == b"hello"
        assert peer.sock.recv(1) == b""
    assert tied.ended() == 0
    assert "over" in tied.process.stderr


@pytest.mark.parametrize("tied", ["1"], indirect=True)
def test_who_leaves_begins_nothing_more_on_the_connections_it_has(tied):
    tied.touch("gate")
    with tied.kept() as kept, tied.busy() as busy:
        tied.process.send_signal(signal.SIGUSR1)
        kept.send(request("/late"))
        tied.touch("release")
        assert busy.answer().body == b"hello"
        assert tied.ended() == 0
        # It has been left to others, unread, and there are none here.
        with pytest.raises(ConnectionResetError):
            kept.sock.recv(1)
    assert "began /late" not in tied.process.stderr


@pytest.mark.parametrize("tied", ["loop"], indirect=True)
def test_a_connection_that_was_just_taken_goes_on_to_others_as_well(tied):
    tied.touch("gate")
    with tied.connect() as peer:
        assert peer.ask("/take").body == b"hello"
    # It has no connection any more but the one that it takes at that moment.
    assert tied.ended() == 0
    assert "left 1" in tied.process.stderr


@pytest.mark.parametrize("tied", ["loop", "asyncio"], indirect=True)
def test_who_is_accepted_in_the_last_moment_is_served(tied):
    tied.touch("gate")
    with tied.connect() as peer:
        assert peer.ask("/connect").body == b"hello"
    assert tied.ended() == 0
    tied.process.wait_for("^received .*hello|^one waits in the queue$")


@pytest.mark.parametrize("tied", ["loop", "asyncio"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGWINCH], ids=["leave", "close"])
def test_who_is_told_to_go_while_the_loop_is_busy_accepts_nobody_more(tied, number):
    tied.touch("gate")
    with tied.connect() as peer:
        peer.send(request("/hold"))
        tied.process.wait_for("holds the loop")
        with tied.connect() as late:
            late.send(request("/late"))
            tied.process.send_signal(number)
            tied.touch("release")
            assert peer.answer().body == b"hello"
            assert tied.ended() == 0
    assert "began /late" not in tied.process.stderr
    assert "one waits in the queue" in tied.process.stderr


def test_who_stops_serves_those_who_wait_in_the_queue(tied):
    tied.touch("gate")
    with tied.busy() as peer, tied.connect() as other:
        other.send(request("/"))
        tied.process.send_signal(signal.SIGTERM)
        tied.touch("release")
        assert peer.answer().body == b"hello"
        assert other.answer().body == b"hello"
    assert tied.ended() == 0


@pytest.mark.parametrize("tied", ["1"], indirect=True)
def test_who_closes_leaves_those_who_wait_to_a_successor_and_finishes_what_it_has(tied):
    tied.touch("gate")
    with tied.kept() as kept, tied.busy() as busy:
        kept.send(request("/late"))
        with tied.connect():
            tied.process.send_signal(signal.SIGWINCH)
            tied.touch("release")
            assert busy.answer().body == b"hello"
            assert kept.answer().body == b"hello"
            assert tied.ended() == 0
    assert "one waits in the queue" in tied.process.stderr
    assert "left 0" in tied.process.stderr


@pytest.mark.parametrize("tied", ["3", "loop"], indirect=True)
def test_who_leaves_keeps_its_connections_once_nobody_stays(tied):
    tied.touch("gate")
    with tied.kept() as kept, tied.busy() as busy:
        tied.process.send_signal(signal.SIGUSR1)
        tied.process.wait_for("given True")
        kept.send(request("/late"))
        tied.process.send_signal(signal.SIGTERM)
        tied.process.wait_for("leaving False", count=2)  # the first is how it began
        tied.touch("release")
        assert busy.answer().body == b"hello"
        assert kept.answer().body == b"hello"
    assert tied.ended() == 0


class Plain(Tether):
    """A tether that wants to know nothing."""

    def ready(self):
        pass

    def most_connections(self, now):
        return now

    def began(self, params):
        pass

    def ended(self, ticket):
        pass


def test_only_who_has_been_let_in_and_stays_takes_what_others_have_left():
    waits, opens = os.pipe()
    exchange = Exchange()
    tether = Plain(waits, -1, exchange)
    with contextlib.closing(exchange), socket.socket() as left:
        assert exchange.give(left)
        assert tether.take() is None
        os.close(opens)
        tether.leaving = True
        assert tether.take() is None
        tether.leaving = False
        taken = tether.take()
        assert taken is not None
        taken.close()
    os.close(waits)


def test_one_that_is_told_to_stop_as_the_gate_opens_serves_who_has_come(tied):
    with tied.connect() as peer:
        peer.send(request("/"))
        tied.process.send_signal(signal.SIGSTOP)
        tied.touch("gate")
        tied.process.send_signal(signal.SIGTERM)
        tied.process.send_signal(signal.SIGCONT)
        assert peer.answer().body == b"hello"
    assert tied.ended() == 0


def test_one_that_is_told_at_the_gate_leaves_it(tied):
    tied.process.send_signal(signal.SIGUSR1)
    assert tied.ended() == 0
    assert "over" in tied.process.stderr


def test_the_hard_end_waits_for_nobody(tied):
    tied.touch("gate")
    with tied.busy() as peer:
        tied.process.send_signal(signal.SIGQUIT)
        assert tied.ended() == 0
        assert peer.record() is None
    assert "over" not in tied.process.stderr


def test_a_supervisor_that_is_gone_is_the_end_after_what_runs(tied):
    tied.touch("gate")
    with tied.kept(), tied.busy() as peer:
        tied.touch("lifeline")
        tied.touch("release")
        assert peer.answer().body == b"hello"
    assert tied.ended() == 0


def test_a_supervisor_that_is_gone_while_one_waits_at_the_gate_is_the_end(tied):
    tied.touch("lifeline")
    assert tied.ended() == 0


def test_log_files_are_opened_anew_and_a_keyboard_is_not_minded(tied):
    tied.touch("gate")
    tied.process.send_signal(signal.SIGHUP)
    tied.process.wait_for("^reopened$")
    tied.process.send_signal(signal.SIGINT)
    with tied.connect() as peer:
        assert peer.ask("/").body == b"hello"
    assert tied.process.stop() == 0
