"""This file tests what ties a server to a supervisor, for blocking and for async handlers: gate, signals, lifeline."""

from __future__ import annotations

import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from tests.processes import PATIENCE, Process
from tests.server.peers import Peer, request

PROGRAM = """
import asyncio, os, signal, socket, sys
from penstock.gateways.asgi import ASGIGateway
from penstock.gateways.lifespan import Lifespan
from penstock.gateways.wsgi import WSGIGateway
from penstock.server.gifts import Exchange
from penstock.server.listen import open_listeners
from penstock.server.notices import new_reference
from penstock.server.options import ServerOptions
from penstock.server.tether import Tether, TetheredThreads
from penstock.server.tether_loop import TetheredLoop

kind, folder = sys.argv[1:]

def say(words):
    os.write(2, f"{words}\\n".encode())

def wait():
    with open(f"{folder}/release") as release:
        release.read()

class Tied(Tether):
    def ready(self):
        say("ready")

    def most_connections(self, now):
        say(f"connections {now}")
        return 100

    def reopen(self):
        say("reopened")

    def began(self, params):
        say(f"began {params['REQUEST_URI']}")
        return params["REQUEST_URI"]

    def ended(self, ticket):
        say(f"ended {ticket}")

def app(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        wait()
    elif environ["PATH_INFO"] == "/fail":
        raise RuntimeError("no")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]

theirs = []

def take_and_leave():
    ours, other = socket.socketpair()
    theirs.append(other)
    tether.exchange.give(ours)
    ours.close()
    server._on_gift()
    server.lifecycle.handlers[signal.SIGUSR1]()

async def aapp(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    if scope["path"] == "/take":
        def when_alone():
            if server.connections:
                asyncio.get_running_loop().call_soon(when_alone)
            else:
                take_and_leave()

        when_alone()
    if scope["path"] == "/wait":
        await asyncio.to_thread(wait)
    elif scope["path"] == "/fail":
        raise RuntimeError("no")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

listeners = open_listeners(f"unix:{folder}/s")
gate, lifeline = (os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK) for name in ("gate", "lifeline"))
tether = Tied(gate, lifeline, Exchange())
options = ServerOptions.of(threads=1 if kind == "loop" else int(kind), graceful_timeout=30.0)
if kind == "loop":
    lifespan = Lifespan(aapp)
    gateway = ASGIGateway(aapp, new_reference=new_reference, state=lifespan.state)
    server = TetheredLoop(gateway, listeners, options, None, lifespan)
else:
    gateway = WSGIGateway(app, new_reference=new_reference, multithread=False, multiprocess=True)
    server = TetheredThreads(gateway, listeners, options)
server.tie(tether)
server.run()
say(f"left {sum(tether.exchange.take() is not None for _ in range(3))}")
say("over")
"""


class Tied:
    """A server that waits at its gate; each of its descriptors is a named pipe."""

    def __init__(self, process: Process, folder: Path) -> None:
        process.wait_for("^ready$")
        self.process = process
        self.folder = folder

    def touch(self, name: str) -> None:
        """The other end of a pipe is opened and closed again, so that this one can be read from."""
        os.close(os.open(self.folder / name, os.O_WRONLY))

    def connect(self) -> Peer:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(f"{self.folder}/s")
        return Peer(sock)

    def ended(self) -> int:
        return self.process.wait()


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
    with tied.connect() as peer:
        peer.send(request("/wait"))
        tied.process.wait_for("began /wait")
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
    with tied.connect() as busy, tied.connect() as kept:
        assert kept.ask("/").body == b"hello"
        busy.send(request("/wait"))
        tied.process.wait_for("began /wait")
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


def test_who_stops_serves_those_who_wait_in_the_queue(tied):
    tied.touch("gate")
    with tied.connect() as peer:
        peer.send(request("/wait"))
        tied.process.wait_for("began /wait")
        with tied.connect() as other:
            other.send(request("/"))
            tied.process.send_signal(signal.SIGTERM)
            tied.touch("release")
            assert peer.answer().body == b"hello"
            assert other.answer().body == b"hello"
    assert tied.ended() == 0


def test_one_that_is_told_at_the_gate_leaves_it(tied):
    tied.process.send_signal(signal.SIGUSR1)
    assert tied.ended() == 0
    assert "over" in tied.process.stderr


def test_the_hard_end_waits_for_nobody(tied):
    tied.touch("gate")
    with tied.connect() as peer:
        peer.send(request("/wait"))
        tied.process.wait_for("began /wait")
        tied.process.send_signal(signal.SIGQUIT)
        assert tied.ended() == 0
        assert peer.record() is None
    assert "over" not in tied.process.stderr


def test_a_supervisor_that_is_gone_is_the_end_after_what_runs(tied):
    tied.touch("gate")
    with tied.connect() as peer, tied.connect() as idle:
        assert idle.ask("/").body == b"hello"
        peer.send(request("/wait"))
        tied.process.wait_for("began /wait")
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
