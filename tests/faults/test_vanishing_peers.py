"""This file holds peers that shut down one direction, reset, or vanish (T17), and what each costs."""

from __future__ import annotations

import select
import socket
import time
from contextlib import ExitStack

import pytest

from penstock.testing import build
from tests.faults.measure import Meter, scaled, settle
from tests.faults.peer import Peer, params, request, reset
from tests.interop.backend import PLAIN, Gate, start

HELLO = b"hello, world\n"
WINDOW = 500
"""Milliseconds in which nothing may happen."""


@pytest.fixture(params=[1, 4], ids=["1 thread", "4 threads"])
def threads(request):
    return request.param


@pytest.fixture
def backend(threads, processes, sock_dir):
    options = ("--no-access-log", "--threads", str(threads))
    served = start(processes, *options, bind=(f"unix:{sock_dir}/app", "127.0.0.1:0"), app=PLAIN)
    yield served
    served.check_sound()
    assert served.process.stop() == 0


@pytest.fixture(params=[0, 1], ids=["unix", "tcp"])
def address(request, backend):
    return backend.addresses[request.param]


def shut(peer: Peer) -> Peer:
    peer.sock.shutdown(socket.SHUT_WR)
    return peer


def test_a_peer_that_shuts_its_sending_side_after_its_request_is_answered(backend, address):
    with Peer(backend, address) as peer:
        assert shut(peer.send(request("/hello"))).answer().body == HELLO
        assert peer.closed()


def test_a_peer_that_shuts_its_sending_side_while_its_request_runs_is_answered(backend, address, sock_dir):
    with Gate(sock_dir) as gate, Peer(backend, address) as peer:
        peer.send(request(f"/wait?gate={gate.path}"))
        gate.arrivals()
        shut(peer)
        gate.open()
        assert peer.answer().body == b"passed\n"
        assert peer.closed()


@pytest.mark.parametrize(
    "sent",
    [b"", build.begin()[:3], build.begin(), build.begin() + build.params(params("/echo", "POST", 10))],
    ids=["nothing", "part of a header", "BEGIN_REQUEST", "PARAMS"],
)
def test_a_peer_that_shuts_its_sending_side_too_early_is_closed(backend, address, sent):
    with Peer(backend, address) as peer:
        assert shut(peer.send(sent)).closed()


def test_half_open_connections_keep_nobody_busy(backend, address, sock_dir, figure, threads):
    # Each has said all it wanted and waits for an answer that takes a while: epoll could report its end all the time
    # to the thread that is left.
    running = max(1, threads - 1)
    meter = Meter(backend.pid)
    with Gate(sock_dir) as gate, ExitStack() as stack:
        peers = [stack.enter_context(Peer(backend, address)) for _ in range(running)]
        for peer in peers:
            peer.send(request(f"/wait?gate={gate.path}"))
        gate.arrivals(running)
        waiting = select.poll()
        for peer in peers:
            waiting.register(shut(peer).sock, select.POLLIN)
        before = meter.cpu
        assert waiting.poll(WINDOW) == []
        busy = (meter.cpu - before) / WINDOW * 1000
        assert busy < 0.2
        gate.open()
        for peer in peers:
            assert peer.answer().body == b"passed\n"
    figure(f"T17: CPU with {running} half-open connection(s)", f"{busy:.1%}")


REQUEST = request("/echo", b"x" * 1000)
LEAVING = {
    "within a header": REQUEST[:5],
    "within PARAMS": REQUEST[:100],
    "within STDIN": REQUEST[:-500],
    "at the end of STDIN": REQUEST,
    "after two requests": REQUEST + request("/echo", b"y", request_id=2),
}


@pytest.mark.parametrize("sent", LEAVING.values(), ids=LEAVING)
@pytest.mark.parametrize("way", ["closes", "resets"])
def test_a_peer_that_leaves(backend, address, sent, way):
    meter = Meter(backend.pid)
    descriptors, lines = meter.descriptors, len(backend.read_log())
    number = scaled(20, 500)
    began = time.monotonic()
    for _ in range(number):
        peer = Peer(backend, address).send(sent)
        if way == "resets":
            reset(peer.sock)
        else:
            peer.sock.close()
    settle(backend, meter, descriptors)
    new = backend.read_log()[lines:-1]
    assert not [line for line in new if "Traceback" in line]
    assert len(new) <= 2 + time.monotonic() - began, "more than one line per cause and second"


def test_connecting_and_closing_at_once_costs_little_and_says_nothing(backend, figure):
    meter = Meter(backend.pid)
    descriptors, lines, cpu = meter.descriptors, len(backend.read_log()), meter.cpu
    number = scaled(2500, 10_000)
    for _ in range(number):
        backend.connect().close()
    settle(backend, meter, descriptors)
    spent = meter.cpu - cpu
    assert backend.read_log()[lines:-1] == []
    figure(f"T17: connect and close {number} times", f"{spent / number * 1e6:.0f} us of CPU each, no log line")
