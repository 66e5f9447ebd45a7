"""This file kills what a supervisor consists of, under load: workers, templates, the supervisor itself (T05, T06)."""

from __future__ import annotations

import os
import random
import signal
import statistics
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.faults.measure import FULL, scaled
from tests.faults.peer import Peer, request
from tests.interop.backend import Gate
from tests.manager.load import Crowd
from tests.manager.supervised import Site, alive, serving, start, until, write_app
from tests.processes import PATIENCE


def descriptors(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def kill(pid: int, free: int) -> int:
    """Kill a worker, and tell how many connections it had then: stopped first, it cannot accept another one."""
    os.kill(pid, signal.SIGSTOP)
    assert until(lambda: Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T")
    held = descriptors(pid) - free
    os.kill(pid, signal.SIGKILL)
    return held


def replaced(site: Site, before: list[int]) -> bool:
    workers = site.workers()
    return len(workers) == len(before) and workers != before


@pytest.mark.parametrize("keep", [True, False], ids=["kept", "single"])
def test_a_killed_worker_costs_what_was_sent_on_its_connections_and_nothing_else(processes, sock_dir, figure, keep):
    kills, clients = scaled((6, 8), (120, 16))
    held, times = [], []
    with serving(processes, sock_dir, "--workers", "4") as site:
        free = descriptors(site.workers()[0])
        with Crowd(site.address, clients, keep=keep) as crowd:
            crowd.wait_for(100)
            for _ in range(kills):
                workers, began = site.workers(), time.monotonic()
                held.append(kill(random.choice(workers), free))
                assert until(lambda workers=workers: replaced(site, workers)), site.process.output()  # type: ignore[misc]
                times.append(time.monotonic() - began)
                if FULL:
                    time.sleep(max(0.0, 0.25 - times[-1]))
            answered = crowd.answered
            assert until(lambda: crowd.answered > answered + 100)
        lost = len(crowd.failures)
        assert lost <= sum(held), crowd.failures
        status = site.status()
        assert status["exits"] == {"SIGKILL": kills}
        assert status["spawns"] == kills + 4
    assert not FULL or statistics.median(times) < 0.3
    figure(
        f"T05: {kills} workers killed under {clients} {'kept' if keep else 'single'} connections",
        f"{lost} of {crowd.answered + lost} lost, {sum(held)} connections were with the killed",
    )
    figure(
        "T05: from the kill of a worker to its replacement's serving",
        f"median {statistics.median(times) * 1000:.0f} ms, worst {max(times) * 1000:.0f} ms",
    )


def test_workers_finish_and_end_when_their_supervisor_is_killed_and_another_takes_its_place_at_once(
    processes, sock_dir, figure
):
    site = start(processes, sock_dir, "--workers", "4")
    with Gate(sock_dir) as gate, Peer(site) as peer, ExitStack() as stack:
        peer.send(request(f"/wait{gate.path}"))
        gate.arrivals()
        idle = stack.enter_context(Peer(site))  # with another worker: that one is busy
        assert idle.ask("/") == b"1"
        family = set(site.family()) - {site.pid}
        site.process.send_signal(signal.SIGKILL)
        assert until(lambda: not site.process.running)
        began = time.monotonic()
        assert idle.closed()
        assert until(lambda: sum(map(alive, family)) == 1), "somebody has not ended, though no request kept it"
        gone = time.monotonic() - began
        # While the last worker is still busy, another supervisor serves at the same place.
        write_app(sock_dir, 2)
        with serving(processes, sock_dir, "--workers", "2") as other:
            with Peer(other) as newcomer:
                assert newcomer.ask("/") == b"2"
            gate.open()
            assert peer.answer().body == b"1"
            finished = time.monotonic()
            assert until(lambda: not any(map(alive, family)))
            ended = time.monotonic() - finished
    assert not FULL or max(gone, ended) < 2
    figure(
        "T06: kill -9 of the supervisor: idle workers, and one after its request, are gone after",
        f"{gone:.2f} s, {ended:.2f} s",
    )


def test_a_killed_template_is_replaced_under_load_and_nobody_is_lost(processes, sock_dir, figure):
    with serving(processes, sock_dir, "--workers", "3", "--probation", "0.2s") as site:
        with Crowd(site.address, scaled(3, 16)) as crowd:
            crowd.wait_for(50)
            os.kill(site.template(), signal.SIGKILL)
            site.until(lambda status: status["reloads"]["ok"] == 1)
            os.kill(random.choice(site.workers()), 0)
            crowd.wait_for(100)
        assert crowd.failures == []
        # The new one does its work.
        worker = site.workers()[0]
        os.kill(worker, signal.SIGKILL)
        assert until(lambda: len(site.workers()) == 3 and worker not in site.workers())
    figure("kill -9 of a template under load", f"0 of {crowd.answered} lost")


def test_a_template_that_is_killed_while_it_imports_fails_its_reload_alone(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2", "--probation", "0.2s") as site:
        os.mkfifo(sock_dir / "import")
        write_app(sock_dir, 2, "open('import').read()")
        before = set(site.family())
        site.tell("reload")
        assert until(lambda: set(site.family()) - before, PATIENCE)
        os.kill((set(site.family()) - before).pop(), signal.SIGKILL)
        status = site.until(lambda status: status["reloads"]["failed"] == 1)
        assert "SIGKILL" in status["last_reload"]["error"]
        write_app(sock_dir, 3)
        site.reload()
        site.let_leave()
        with site.client() as client:
            assert client.request("GET", "/").body == b"3"
