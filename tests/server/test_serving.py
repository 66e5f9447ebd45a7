"""Tests of `serve()` as a program meets it: its arguments, its signals, its logs, and what it leaves behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import textwrap

import pytest

from penstock.server.address import AddressError, BindError
from penstock.server.options import ServerOptions
from penstock.server.serving import serve
from tests.server.peers import Peer, begin, hello, request

PROGRAM = """
import os, socket, sys, threading, time
import penstock

def at_gate():
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect("gate")
        gate.recv(1)

def app(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        at_gate()
    if environ["PATH_INFO"] == "/compute":
        at_gate()
        while True:
            pass
    if environ["PATH_INFO"] == "/print":
        print("printed", end="")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello from %d" % os.getpid()]

penstock.serve(app, bind="unix:sock", **{options})
print("after serve", threading.active_count())
"""


@pytest.fixture
def gate(sock_dir):
    """Where requests for /wait stand until their connection here is closed."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(sock_dir / "gate"))
        listener.listen(50)
        listener.settimeout(20)
        yield listener


@pytest.fixture
def program(processes, sock_dir, gate):
    """Starts a program that serves, and waits until it does; its arguments are those of `serve`."""

    def start(**options):
        source = textwrap.dedent(PROGRAM).replace("{options}", repr(options))
        process = processes.start(sys.executable, "-c", source, cwd=sock_dir)
        process.wait_for("listening on")
        return process

    return start


@pytest.fixture
def connect(sock_dir):
    def connect() -> Peer:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(str(sock_dir / "sock"))
        return Peer(sock)

    return connect


def left(folder) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name != "gate")


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1])
def test_a_stop_signal_lets_requests_finish_and_ends_with_0(program, connect, gate, sock_dir, threads, number):
    process = program(threads=threads)
    idle = [connect() for _ in range(10)]
    for peer in idle:
        assert peer.ask().status == 200
    with connect() as running, connect() as half:
        half.send(request()[:-3])
        running.send(request("/wait"))
        waiting, _ = gate.accept()
        process.send_signal(number)
        if threads > 1:
            process.wait_for("stopping")
            for peer in idle:
                assert peer.closed()
        waiting.close()
        half.send(request()[-3:])
        assert (running.answer().status, half.answer().status) == (200, 200)
        assert running.closed()
        assert half.closed()
    assert process.wait() == 0
    assert "after serve 1" in process.stdout
    assert left(sock_dir) == []
    for peer in idle:
        peer.sock.close()


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("where", ["/wait", "/compute"])
def test_a_second_signal_ends_it_at_once_with_0(program, connect, gate, sock_dir, threads, where):
    process = program(threads=threads)
    with connect() as peer:
        peer.send(request(where))
        waiting, _ = gate.accept()
        if where == "/compute":
            waiting.close()
        process.send_signal(signal.SIGTERM)
        if threads > 1:
            process.wait_for("stopping")
        # Another number, for two signals of one number that nobody has seen yet are one.
        process.send_signal(signal.SIGINT)
        assert process.wait() == 0
        assert not peer.answer().ended
        waiting.close()
    assert "after serve" not in process.output()
    assert left(sock_dir) == []


@pytest.mark.parametrize("threads", [1, 4])
def test_the_graceful_timeout_ends_it_with_0(program, connect, gate, sock_dir, threads):
    process = program(threads=threads, graceful_timeout=0.1)
    with connect() as peer:
        peer.send(request("/wait"))
        waiting, _ = gate.accept()
        assert process.stop() == 0
        assert not peer.answer().ended
        waiting.close()
    assert left(sock_dir) == []


def test_the_access_log_is_on_standard_output_and_the_servers_own_on_standard_error(program, connect):
    process = program(access_log_format="json")
    with connect() as peer:
        peer.ask("/here?x=y")
    assert process.stop() == 0
    (line,) = [line for line in process.stdout if line.startswith("{")]
    assert json.loads(line)["uri"] == "/here?x=y"
    assert any("INFO listening on unix:" in line for line in process.stderr)
    assert any("INFO stopped" in line for line in process.stderr)


def test_what_the_application_prints_is_not_lost_in_a_hard_end(program, connect, gate):
    process = program(access_log=False, threads=2)
    with connect() as peer, connect() as other:
        assert other.ask("/print").status == 200
        peer.send(request("/wait"))
        waiting, _ = gate.accept()
        process.send_signal(signal.SIGTERM)
        process.wait_for("stopping")
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 0
        waiting.close()
    assert process.stdout == ["printed"]


def test_log_level_debug_shows_the_records_of_both_directions(program, connect):
    process = program(log_level="debug")
    with connect() as peer:
        peer.ask()
    process.wait_for(r"DEBUG #1 < BEGIN_REQUEST id=1")
    process.wait_for(r"DEBUG #1 > END_REQUEST id=1")
    assert process.stop() == 0


def test_two_programs_cannot_serve_at_one_place(program, connect, sock_dir):
    process = program()
    with connect() as peer:
        peer.ask()
    with pytest.raises(BindError):
        serve(hello, bind=f"unix:{sock_dir}/sock", access_log=False)
    assert process.stop() == 0


def test_on_ready_is_told_when_connections_are_taken(sock_dir):
    told: list[str] = []

    class Enough(Exception):
        pass

    def on_ready(listeners):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(f"{sock_dir}/s")
        told.extend(listener.address for listener in listeners)
        raise Enough

    with pytest.raises(Enough):
        serve(hello, bind=f"unix:{sock_dir}/s", access_log=False, on_ready=on_ready)
    assert told == [f"unix:{sock_dir}/s"]
    assert os.listdir(sock_dir) == []


@pytest.mark.parametrize(
    "options",
    [
        {"bind": "nonsense"},
        {"threads": 0},
        {"io_timeout": 0},
        {"graceful_timeout": -1},
        {"max_body": -1},
        {"body_memory": -1},
        {"mount": "app"},
        {"log_level": "loud"},
        {"log_level": "basic_format"},
        {"access_log_format": "xml"},
        {"socket_mode": 0o1777},
        {"bind": "0.0.0.0:0"},
    ],
    ids=repr,
)
def test_arguments_that_make_no_sense_are_refused_and_nothing_is_left(sock_dir, options):
    with pytest.raises((ValueError, AddressError)):
        serve(hello, **{"bind": f"unix:{sock_dir}/s", **options})
    assert os.listdir(sock_dir) == []


def test_the_options_of_a_server_are_checked_wherever_they_come_from():
    with pytest.raises(ValueError, match="0 threads"):
        ServerOptions(threads=0)


def test_a_half_request_does_not_outlive_the_graceful_timeout(program, connect):
    process = program(graceful_timeout=0.1)
    with connect() as peer:
        peer.send(begin())
        with connect() as other:
            other.ask()
        assert process.stop() == 0
