"""This file holds peers that keep a server waiting: slow ones (T14, T15), idle crowds (T16), no descriptors (T21)."""

from __future__ import annotations

import random
import resource
import select
import threading
import time
from contextlib import ExitStack, suppress

import pytest

from penstock.testing import build
from tests.faults.measure import KIB, Meter, scaled, settle
from tests.faults.peer import Peer, params, request
from tests.interop.backend import PLAIN, Backend, start
from tests.processes import PATIENCE

HELLO = b"hello, world\n"
IO_TIMEOUT = 1.0
WINDOW = 500
"""Milliseconds in which nothing may happen."""


def serve(processes, sock_dir, *options: str, **how) -> Backend:
    return start(processes, "--no-access-log", *options, bind=(f"unix:{sock_dir}/app",), app=PLAIN, **how)


class Others:
    """Clients that ask again and again until they are told to stop."""

    def __init__(self, backend: Backend, number: int) -> None:
        self.seconds: list[float] = []
        self.failures: list[BaseException] = []
        self._backend = backend
        self._over = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def _ask(self) -> None:
        try:
            with Peer(self._backend) as peer:
                while not self._over.is_set():
                    began = time.perf_counter()
                    assert peer.ask("/hello") == HELLO
                    self.seconds.append(time.perf_counter() - began)
        except BaseException as error:
            self.failures.append(error)

    def __enter__(self) -> Others:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    @property
    def p99(self) -> float:
        return sorted(self.seconds)[len(self.seconds) * 99 // 100]


def drip(victims: dict[Peer, bytes], began: float) -> dict[Peer, tuple[float, bytes]]:
    """Send each peer its bytes, one every 100 ms, until all are closed: when each was, after `began`, and with what."""
    left = {peer.sock.fileno(): (peer, iter(drops)) for peer, drops in victims.items()}
    heard: dict[Peer, bytes] = dict.fromkeys(victims, b"")
    ends: dict[Peer, tuple[float, bytes]] = {}
    waiting = select.poll()
    for fd in left:
        waiting.register(fd, select.POLLIN)
    due = time.monotonic()
    while left:
        assert time.monotonic() - began < PATIENCE, f"{len(left)} slow peers are still open"
        for fd, _ in waiting.poll(max(0.0, due - time.monotonic()) * 1000):
            peer, _ = left[fd]
            data = peer.sock.recv(65536)
            heard[peer] += data
            if not data:
                ends[peer] = (time.monotonic() - began, heard[peer])
                waiting.unregister(fd)
                del left[fd]
        if time.monotonic() >= due:
            due += 0.1
            for peer, drops in list(left.values()):
                drop = next(drops, None)
                if drop is not None:
                    with suppress(OSError):  # closed a moment ago; the next poll tells
                        peer.sock.send(bytes([drop]))
    return ends


def test_peers_that_stall_in_a_request_are_closed_in_time_and_cost_the_others_nothing(processes, sock_dir, figure):
    backend = serve(processes, sock_dir, "--io-timeout", f"{IO_TIMEOUT:g}s")
    whole = build.params(params("/echo", "POST", 100))
    records_of_one_byte = build.recut(build.begin() + whole)[len(build.begin()) :]
    stalls = {
        "header bytes, one every 100 ms": (b"", build.begin() + whole),
        "PARAMS, a byte of records every 100 ms": (build.begin(), records_of_one_byte),
        "PARAMS that stall": (build.begin() + whole[: len(whole) // 2], b""),
        "STDIN that stalls": (build.begin() + whole + build.stdin(b"x" * 50, end=False), b""),
        "STDIN that stalls within a record": (build.begin() + whole + build.stdin(b"x" * 50)[:20], b""),
    }
    each = scaled(5, 100)
    with ExitStack() as stack:
        peers = {name: [stack.enter_context(Peer(backend)) for _ in range(each)] for name in stalls}
        drops: dict[Peer, bytes] = {}
        with Others(backend, 15) as others:
            began = time.monotonic()
            for name, (at_once, slowly) in stalls.items():
                for peer in peers[name]:
                    drops[peer.send(at_once)] = slowly
            ends = drip(drops, began)
        assert others.failures == []
        for name in stalls:
            times = [ends[peer][0] for peer in peers[name]]
            assert min(times) > IO_TIMEOUT * 0.9, f"{name}: closed too early"
            assert max(times) < IO_TIMEOUT * 5, f"{name}: each drop moved the deadline"
            figure(f"T14: {each} peers, {name}: closed after", f"{min(times):.2f} to {max(times):.2f} s")
        # Where there is a request, it is answered.
        assert all(b"408" in ends[peer][1] for peer in peers["STDIN that stalls"])
    figure("p99 of 15 others beside them", f"{others.p99 * 1000:.1f} ms of {len(others.seconds)} requests, 0 failed")
    log = [line for line in backend.process.stderr if "sent nothing for" in line]
    assert 1 <= len(log) <= 5, log
    backend.check_sound()
    assert backend.process.stop() == 0


@pytest.mark.parametrize("threads", [1, 2])
def test_a_peer_that_does_not_read_its_response_gives_the_thread_back(processes, sock_dir, threads, figure):
    backend = serve(processes, sock_dir, "--io-timeout", "1s", "--threads", str(threads))
    with ExitStack() as stack:
        for number in range(threads):
            peer = stack.enter_context(Peer(backend))
            peer.send(request(f"/endless?name=reader{number}"))
            assert peer.record()
        began = time.monotonic()
        with Peer(backend) as other:
            assert other.ask("/hello") == HELLO
        figure(f"T15: {threads} thread(s), all with peers that do not read, serve others after", f"{since(began)} s")
        for number in range(threads):
            backend.process.wait_for(f"closed reader{number}$")
    backend.check_sound()


def since(began: float) -> str:
    return f"{time.monotonic() - began:.2f}"


def test_idle_kept_connections_cost_little_memory_and_no_time(processes, sock_dir, figure):
    backend = serve(processes, sock_dir)
    number = min(scaled(2000, 5000), resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    meter = Meter(backend.pid)
    with ExitStack() as stack:
        stack.enter_context(Peer(backend)).ask("/hello")
        base, descriptors = meter.rss, meter.descriptors
        peers = [stack.enter_context(Peer(backend)) for _ in range(number)]
        for peer in peers:
            assert peer.ask("/hello") == HELLO
        each = (meter.rss - base) / number
        assert meter.descriptors == descriptors + number
        assert each < 12 * KIB
        waiting = select.poll()
        for peer in peers:
            waiting.register(peer.sock, select.POLLIN)
        before = meter.cpu
        assert waiting.poll(WINDOW) == [], "an idle connection was closed, or something came on it"
        idle = (meter.cpu - before) / WINDOW * 1000
        assert idle < 0.2
        began = time.perf_counter()
        chosen = [peers[0], peers[-1], *random.sample(peers, 98)]
        for peer in chosen:
            assert peer.ask("/hello") == HELLO
        latency = (time.perf_counter() - began) / len(chosen)
    figure(f"T16: memory of each of {number} idle kept connections", f"{each / KIB:.2f} KiB")
    figure(f"T16: CPU with {number} idle connections", f"{idle:.1%}")
    figure(f"a new request on one of {number} idle connections", f"{latency * 1000:.2f} ms")
    settle(backend, meter, descriptors)
    assert backend.process.stop() == 0


def test_without_descriptors_the_server_waits_without_spinning_and_serves_all_in_the_end(processes, sock_dir, figure):
    backend = serve(processes, sock_dir, wrapper=("sh", "-c", 'ulimit -n 64; exec "$@"', "sh"))
    meter = Meter(backend.pid)
    before = meter.descriptors
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(backend)) for _ in range(200)]
        backend.process.wait_for("cannot accept: Too many open files")
        assert meter.descriptors == 64
        cpu = meter.cpu
        waiting = select.poll()
        for peer in peers:
            waiting.register(peer.sock, select.POLLIN)
        assert waiting.poll(WINDOW) == []
        spin = (meter.cpu - cpu) / WINDOW * 1000
        assert spin < 0.2
        began = time.monotonic()
        for peer in peers:
            peer.send(request("/hello", flags=0))
        for peer in peers:
            assert peer.answer().body == HELLO
        figure("T21: 200 clients, 64 descriptors: all served after", f"{since(began)} s, 0 failed")
        figure("T21: CPU while there are no descriptors", f"{spin:.1%}")
    assert len([line for line in backend.process.stderr if "cannot accept" in line]) < 10
    settle(backend, meter, before)
    assert backend.process.stop() == 0
