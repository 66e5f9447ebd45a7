"""This file has requests that end their worker, hang or take long, beside others that must not notice (T11 to T13)."""

from __future__ import annotations

import os
import signal
import time
from urllib.parse import quote

import pytest

from tests.faults.measure import FULL, scaled
from tests.faults.peer import Peer, request
from tests.interop.backend import Gate
from tests.manager.load import Crowd
from tests.manager.supervised import Site, serving, until

DEADLY = {"/exit": "exit status 1", "/segfault": "SIGSEGV", "/abort": "SIGABRT"}
FAILING = ("/sys.exit", "/bad-response")
HARMLESS = ("/close", "/executor")


@pytest.mark.parametrize("options", [(), ("--threads", "3")], ids=["one thread", "three threads"])
def test_what_a_request_does_to_its_worker_is_its_own_loss_alone(processes, sock_dir, figure, options):
    rounds, clients = scaled(1, 10), scaled(2, 8)
    with serving(processes, sock_dir, "--workers", "3", *options) as site:
        with Crowd(site.address, clients, keep=False, pause=0.002) as crowd:
            crowd.wait_for(20)
            for number in range(rounds):
                for path, how in DEADLY.items():
                    with Peer(site) as peer:
                        assert peer.send(request(f"{path}?n={number}", flags=0)).closed()
                    line = site.process.wait_for(
                        rf'worker \d+ ended with {how} while it ran .*"GET {path}\?n={number}"'
                    )
                    assert "ERROR" in line.string
                for path in FAILING:
                    with Peer(site) as peer:
                        answer = peer.send(request(path, flags=0)).answer()
                        assert answer.status.startswith("500 "), answer
                for path in HARMLESS:
                    with Peer(site) as peer:
                        assert peer.send(request(path, flags=0)).answer().body == b"1"
            site.until(lambda status: len(site.workers()) == 3)
            answered = crowd.answered
            assert until(lambda: crowd.answered > answered + 20)
        lost = len(crowd.failures)
        # Who runs in the same process, or has just connected to it, is lost with it, at most once each time.
        assert lost <= clients * rounds * len(DEADLY), crowd.failures
        assert sum(site.status()["exits"].values()) == rounds * len(DEADLY)
    figure(
        f"T11: {rounds * len(DEADLY)} requests that end their worker, {3 if options else 1} thread(s)",
        f"{lost} others of {crowd.answered} lost",
    )


def test_a_request_that_forks_and_comes_back_twice_does_not_take_the_worker_along(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2") as site:
        with Crowd(site.address, 2, keep=False) as crowd:
            crowd.wait_for(20)
            with Peer(site) as peer:
                peer.send(request("/fork", flags=0))
                while peer.sock.recv(65536):
                    continue
            crowd.wait_for(100)
        assert crowd.failures == []
        known = {site.pid, site.template(), *site.workers()}
        assert until(lambda: set(site.family()) == known), (site.family(), known)


def hang(site: Site, gate: Gate, way: str) -> tuple[Peer, int]:
    """A request that does not end any more, and its worker."""
    path = f"/wait{gate.path}" if way == "stopped" else "/spin"
    peer = Peer(site).send(request(path, flags=0))
    worker = next(
        worker["pid"]
        for worker in site.until(lambda status: _at(status, path))["pools"][0]["workers"]
        if worker["request"] == f"GET {path}"
    )
    if way == "stopped":
        gate.arrivals()
        os.kill(worker, signal.SIGSTOP)
    return peer, worker


def _at(status, path: str) -> bool:
    return any(worker["request"] == f"GET {path}" for worker in status["pools"][0]["workers"])


@pytest.mark.parametrize("way", ["stopped", "in C"])
def test_a_worker_that_hangs_is_killed_at_the_request_timeout_and_its_neighbours_go_on(
    processes, sock_dir, figure, way
):
    limit = scaled(1.0, 5.0)
    with serving(processes, sock_dir, "--workers", "2", "--request-timeout", f"{limit:g}s") as site:
        free = len(os.listdir(f"/proc/{site.workers()[0]}/fd"))
        with Gate(sock_dir) as gate, Crowd(site.address, 4, keep=False) as crowd:
            began = time.monotonic()
            peer, worker = hang(site, gate, way)
            # Somebody may have connected to it before that, and sent his request since.
            others = len(os.listdir(f"/proc/{worker}/fd")) - free - (2 if way == "stopped" else 1)
            with peer:
                assert peer.closed()
            seconds = time.monotonic() - began
            answered = crowd.answered
            assert until(lambda: crowd.answered > answered + 100)
        assert len(crowd.failures) <= others
        site.process.wait_for(f'killing worker {worker}: "GET /.*" took ')
        # Its stacks are written down, unless nothing of it runs any more.
        site.process.wait_for("in spin" if way == "in C" else "the process does not run")
        assert sum("killing worker" in line for line in site.process.stderr) == 1
        status = site.until(lambda status: status["exits"] and len(site.workers()) == 2)
        assert (status["timeouts"], status["exits"]) == (1, {"SIGKILL": 1})
    assert seconds >= limit
    assert not FULL or seconds < limit + 1
    figure(f"T12: a worker that hangs ({way}), limit {limit:g} s", f"killed after {seconds:.2f} s")


def test_a_slow_request_is_written_down_once_with_its_stack_and_answered(processes, sock_dir, figure):
    slow = sock_dir / "slow.log"
    options = ("--slow-log", scaled("0.2s", "1s"), "--slow-log-file", slow)
    with serving(processes, sock_dir, "--workers", "2", "--threads", "2", *options) as site:
        with Gate(sock_dir) as gate, Peer(site) as peer, Crowd(site.address, 2) as crowd:
            path = f"/wait{gate.path}"
            peer.send(request(path))
            gate.arrivals()
            assert until(lambda: slow.read_text().endswith("\n\n") or "in wait" in slow.read_text())
            # As long again: it is not written down a second time.
            began = time.monotonic()
            while time.monotonic() - began < scaled(0.3, 1.2):
                crowd.wait_for(1)
            gate.open()
            assert peer.answer().body == b"1"
        text = slow.read_text()
        assert text.count(quote(path)) == 1, text
        assert "in wait" in text
        assert "wsgi.py" not in text, "it shows penstock's own frames"
        assert site.status()["slow_requests"] == 1
    figure("T13: a slow request", "1 stack in the slow log, answered")
