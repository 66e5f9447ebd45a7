"""This file has workers replaced under load for what they have used up, and takes descriptors away (T21, T26, T27)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.faults.measure import FULL, MIB, scaled
from tests.faults.peer import Peer, request
from tests.manager.load import Client, Crowd
from tests.manager.supervised import Site, proportional, serving, until


class Look:
    """What has been seen of a pool while a block ran.

    Attributes:
        leaving: most workers on their way out at a time.
        staying: fewest that were ready and not on their way out.
        rss: most bytes that one worker had.
    """

    def __init__(self) -> None:
        self.leaving = 0
        self.staying = 1000
        self.rss = 0

    def take(self, workers: list) -> None:
        self.leaving = max(self.leaving, sum(worker["state"] == "leaving" for worker in workers))
        self.staying = min(self.staying, sum(worker["state"] in ("idle", "busy") for worker in workers))
        self.rss = max([self.rss, *(worker["rss"] for worker in workers)])


@contextmanager
def watching(site: Site) -> Iterator[Look]:
    look, stop = Look(), threading.Event()

    def run() -> None:
        while not stop.wait(0.005):
            look.take(site.pool()["workers"])

    thread = threading.Thread(target=run)
    thread.start()
    yield look
    stop.set()
    thread.join()


@pytest.mark.parametrize("workers", [2, 1])
def test_workers_that_hold_too_much_memory_are_replaced_and_nobody_is_lost(processes, sock_dir, figure, workers):
    limit, replaced = scaled((60, 2), (200, 8))
    with serving(processes, sock_dir, "--workers", str(workers), "--max-memory", f"{limit}m") as site:
        with watching(site) as look, Crowd(site.address, 2, url="/leak", posts=False, pause=0.01) as crowd:
            site.until(lambda status: sum(status["exits"].values()) >= replaced, 60)
        assert crowd.failures == []
        assert set(site.status()["exits"]) == {"exit status 0"}
    assert look.leaving == 1, "more than one worker was on its way out"
    assert look.staying >= workers - (workers > 1), "no worker was left"
    # It goes on until its successor serves, so that somebody always does.
    assert look.rss <= (limit + 64) * MIB
    figure(
        f"T26: 1 MiB lost per request, limit {limit} MiB, {workers} worker(s)",
        f"0 of {crowd.answered} lost, most {look.rss / MIB:.0f} MiB",
    )


def test_workers_that_have_had_their_requests_leave_a_quarter_at_a_time_at_most(processes, sock_dir, figure):
    options = ("--workers", "4", "--max-requests", scaled("40", "100"), "--max-requests-jitter", "20")
    with serving(processes, sock_dir, *options) as site:
        with watching(site) as look, Crowd(site.address, scaled(4, 16)) as crowd:
            if FULL:
                began = time.monotonic()
                while time.monotonic() - began < 60:
                    crowd.wait_for(50)
            site.until(lambda status: sum(status["exits"].values()) >= 6)
        assert crowd.failures == []
        status = site.status()
        assert set(status["exits"]) == {"exit status 0"}
    assert look.leaving <= 1
    assert look.staying >= 3
    replaced = sum(status["exits"].values())
    figure(
        f"T27: a worker is replaced after {options[3]} to {int(options[3]) + 20} requests",
        f"0 of {crowd.answered} lost, {replaced} replaced, p99 {crowd.quantile(0.99) * 1000:.1f} ms",
    )


def test_workers_that_are_old_enough_are_replaced_and_nobody_is_lost(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2", "--max-lifetime", "0.3s") as site:
        first = site.workers()
        with Crowd(site.address, 2) as crowd:
            site.until(lambda status: not set(first) & {worker["pid"] for worker in status["pools"][0]["workers"]})
            crowd.wait_for(20)
        assert crowd.failures == []


def test_without_descriptors_a_worker_waits_and_serves_again_once_there_are_some(processes, sock_dir, figure):
    with serving(processes, sock_dir, "--workers", "2", "--nofile", "64") as site:
        worker = site.workers()[0]
        assert re.search(r"Max open files +64 ", Path(f"/proc/{worker}/limits").read_text())
        with ExitStack() as stack:
            for _ in range(200):
                stack.enter_context(Peer(site))
            site.process.wait_for("cannot accept: Too many open files", 2)
            if FULL:
                began, before = time.monotonic(), cpu(site)
                time.sleep(5)
                share = (cpu(site) - before) / (time.monotonic() - began)
                assert share < 0.05
                figure("T21: CPU of 2 workers without descriptors", f"{share:.1%}")
        freed = time.monotonic()
        with Peer(site) as peer:
            assert peer.send(request("/", flags=0)).answer().body == b"1"
        seconds = time.monotonic() - freed
        assert not FULL or seconds < 1
        lines = sum("cannot accept" in line for line in site.process.stderr)
        assert lines <= 4 + scaled(0, 12), "it says so all the time"
    figure("T21: 200 clients, 2 workers of 64 descriptors", f"served {seconds:.2f} s after they have left")


def cpu(site: Site) -> float:
    return sum(float(worker["cpu"]) for worker in site.pool()["workers"])


def test_a_pool_on_demand_begins_with_a_request_and_ends_without_one(processes, sock_dir, figure):
    with serving(processes, sock_dir, "--workers", "0..2", "--worker-idle", scaled("0.1s", "2s")) as site:
        # One is tried at the start, to see whether the application can be served at all.
        site.until(lambda status: status["pools"][0]["workers"] == [])
        client = Client(site.address)
        for _ in range(scaled(1, 3)):
            began = time.monotonic()
            assert client.ask("/") == b"1"
            seconds = time.monotonic() - began
            assert len(site.workers()) >= 1
            # A connection that is only kept is no need.
            site.until(lambda status: status["pools"][0]["workers"] == [])
        spawns = site.status()["spawns"]
        with Crowd(site.address, 4, url="/sleep/0.05", posts=False) as crowd:
            site.until(lambda status: len(site.workers()) == 2)
        assert crowd.failures == []
        assert site.status()["spawns"] >= spawns + 2
        client.close()
        site.until(lambda status: status["pools"][0]["workers"] == [])
    figure("on demand: the first request, with the fork of its worker", f"{seconds * 1000:.0f} ms")


def test_what_a_supervisor_costs_while_nothing_happens(processes, sock_dir, figure):
    with serving(processes, sock_dir, "--workers", "4") as site:
        with Crowd(site.address, 2) as crowd:
            crowd.wait_for(100)
        seconds = scaled(1.0, 20.0)
        before = site.meter.cpu
        time.sleep(seconds)
        share = (site.meter.cpu - before) / seconds
        own, shared = proportional(site.pid, "Private_(?:Clean|Dirty)"), proportional(site.pid)
        assert share < scaled(0.2, 0.005)
        assert own < 16 * MIB
        assert shared < 16 * MIB
        workers = [proportional(pid) for pid in site.workers()]
    figure("supervisor of 4 idle workers: CPU", f"{share:.2%} of one in {seconds:g} s")
    figure("supervisor: memory of its own (USS), with its share (PSS)", f"{own / MIB:.1f} MiB, {shared / MIB:.1f} MiB")
    figure("worker of a small application: memory (PSS)", f"{sum(workers) / 4 / MIB:.1f} MiB")


def test_reloads_and_deaths_do_not_make_the_supervisor_grow(processes, sock_dir, figure):
    rounds = scaled(3, 30)
    with serving(processes, sock_dir, "--workers", "2", "--probation", "0") as site:
        site.reload()
        site.status()
        before = proportional(site.pid, "Private_(?:Clean|Dirty)")
        for _ in range(rounds):
            site.reload()
            with Peer(site) as peer:
                assert peer.send(request("/exit")).closed()
            assert until(lambda: len(site.workers()) == 2)
        grown = proportional(site.pid, "Private_(?:Clean|Dirty)") - before
        assert grown < 2 * MIB
    figure(f"supervisor: memory after {rounds} reloads and deaths", f"{grown / 1024:+.0f} KiB")
