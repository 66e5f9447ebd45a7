"""This file stops servers that are busy, idle or both, and counts what is lost: nothing (T07)."""

from __future__ import annotations

import signal
import threading
import time
from contextlib import ExitStack

import pytest

from penstock.testing import build
from tests.faults.peer import Peer, params, request
from tests.interop.backend import PLAIN, Backend, Gate, start
from tests.processes import PATIENCE

HELLO = b"hello, world\n"
STOPS = [signal.SIGTERM, signal.SIGINT, signal.SIGUSR1]


@pytest.fixture(params=["unix", "tcp"])
def address(request, sock_dir):
    return f"unix:{sock_dir}/app" if request.param == "unix" else "127.0.0.1:0"


def test_idle_kept_connections_do_not_delay_the_exit(processes, address, figure):
    backend = start(processes, bind=(address,), app=PLAIN)
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(backend)) for _ in range(50)]
        for peer in peers:
            assert peer.ask("/hello") == HELLO
        began = time.monotonic()
        assert backend.process.stop() == 0
        seconds = time.monotonic() - began
        assert all(peer.closed() for peer in peers)
    assert seconds < 10, "it waited for the end of the 30 seconds that running requests have"
    figure(f"stop with 50 idle connections, {address.partition(':')[0]}", f"{seconds:.2f} s")


@pytest.mark.parametrize("number", STOPS)
def test_running_requests_are_answered_and_idle_connections_closed(processes, address, sock_dir, number, figure):
    backend = start(processes, "--threads", "20", bind=(address,), app=PLAIN)
    with Gate(sock_dir) as gate, ExitStack() as stack:
        idle = [stack.enter_context(Peer(backend)) for _ in range(50)]
        for peer in idle:
            assert peer.ask("/hello") == HELLO
        running = [stack.enter_context(Peer(backend)) for _ in range(20)]
        for peer in running:
            peer.send(request(f"/wait?gate={gate.path}"))
        gate.arrivals(20)
        backend.process.send_signal(number)
        began = time.monotonic()
        gate.open()
        for peer in running:
            assert peer.answer().body == b"passed\n"
            assert peer.closed()
        assert all(peer.closed() for peer in idle)
        assert backend.process.wait() == 0
        seconds = time.monotonic() - began
    assert seconds < 10
    figure(
        f"{number.name} with 50 idle connections and 20 running requests",
        f"0 lost, gone {seconds:.2f} s after the last",
    )


@pytest.mark.parametrize("threads", [1, 4])
def test_everybody_who_is_connected_is_answered_though_half_of_them_wait_in_the_queue(
    processes, address, sock_dir, threads, figure
):
    backend = start(processes, "--threads", str(threads), bind=(address,), app=PLAIN)
    with Gate(sock_dir) as gate, ExitStack() as stack:
        known = [stack.enter_context(Peer(backend)) for _ in range(100)]
        for peer in known:
            assert peer.ask("/hello") == HELLO
        for peer in known[:threads]:
            peer.send(request(f"/wait?gate={gate.path}"))
        gate.arrivals(threads)
        # Nobody is left to accept: these wait in the queue of the listener, the others' requests in their sockets.
        queued = [stack.enter_context(Peer(backend)) for _ in range(100)]
        for peer in [*known[threads:], *queued]:
            peer.send(request("/echo", b"x" * 3000))
        backend.process.send_signal(signal.SIGTERM)
        gate.open()
        for peer in known[:threads]:
            assert peer.answer().body == b"passed\n"
        for peer in [*known[threads:], *queued]:
            assert b'"length": 3000' in peer.answer().body
            assert peer.closed()
        assert backend.process.wait() == 0
    figure(f"T07: stop with 200 connected, 100 of them queued, {threads} thread(s)", "0 lost")


def test_a_body_that_is_still_on_its_way_is_waited_for(processes, address):
    backend = start(processes, bind=(address,), app=PLAIN)
    with Peer(backend) as peer:
        peer.send(build.begin(), build.params(params("/echo", "POST", 6)), build.stdin(b"one", end=False))
        with Peer(backend) as other:
            assert other.ask("/hello") == HELLO
            backend.process.send_signal(signal.SIGTERM)
            assert other.closed()
        answer = peer.send(build.stdin(b"two")).answer()
        assert b'"length": 6' in answer.body
        assert peer.closed()
    assert backend.process.wait() == 0


@pytest.mark.parametrize("number", STOPS)
def test_a_second_signal_does_not_wait_for_the_requests(processes, address, sock_dir, number):
    backend = start(processes, "--threads", "2", bind=(address,), app=PLAIN)
    with Gate(sock_dir) as gate, Peer(backend) as peer, Peer(backend) as idle:
        assert idle.ask("/hello") == HELLO
        peer.send(request(f"/wait?gate={gate.path}"))
        gate.arrivals()
        backend.process.send_signal(number)
        assert idle.closed()
        assert backend.process.stop(number) == 0
        assert peer.closed()


def test_a_request_that_does_not_end_is_cut_off_at_the_graceful_timeout(processes, address, sock_dir):
    backend = start(processes, "--graceful-timeout", "1s", "--threads", "2", bind=(address,), app=PLAIN)
    with Gate(sock_dir) as gate, Peer(backend) as peer:
        peer.send(request(f"/wait?gate={gate.path}"))
        gate.arrivals()
        began = time.monotonic()
        assert backend.process.stop() == 0
        assert time.monotonic() - began > 0.9
        assert peer.closed()


class Arrivals:
    """Clients that come one after the other, each with a connection of its own, until nobody listens any more."""

    def __init__(self, backend: Backend, number: int, url: str = "/hello", body: bytes = HELLO) -> None:
        self.answered = 0
        self.lost: list[str] = []
        self._backend = backend
        self._url, self._body = url, body
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=self._come) for _ in range(number)]
        for thread in self._threads:
            thread.start()

    def _come(self) -> None:
        while True:
            try:
                peer = Peer(self._backend)
            except (ConnectionRefusedError, FileNotFoundError, ConnectionResetError):
                return
            with peer:
                try:
                    assert peer.send(request(self._url, flags=0)).answer().body == self._body
                except (AssertionError, OSError) as error:
                    self.lost.append(repr(error))
                    continue
            with self._news:
                self.answered += 1
                self._news.notify_all()

    def wait(self, number: int) -> None:
        """Wait until so many have been answered."""
        with self._news:
            assert self._news.wait_for(lambda: self.answered >= number, PATIENCE)

    def end(self) -> None:
        for thread in self._threads:
            thread.join()


@pytest.mark.parametrize("threads", [1, 4])
def test_whoever_got_a_connection_is_answered_while_others_keep_coming(processes, address, threads, figure):
    backend = start(processes, "--threads", str(threads), "--no-access-log", bind=(address,), app=PLAIN)
    arrivals = Arrivals(backend, 8)
    arrivals.wait(200)
    assert backend.process.stop() == 0
    arrivals.end()
    figure(
        f"T07: stop while 8 clients keep coming over {'unix' if 'unix' in address else 'tcp'}, {threads} thread(s)",
        f"{len(arrivals.lost)} lost, {arrivals.answered} answered",
    )
    assert arrivals.lost == []
