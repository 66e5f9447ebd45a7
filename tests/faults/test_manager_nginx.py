"""This file has supervisors behind a real nginx; `make faults` draws how a pool follows the load."""

from __future__ import annotations

import time
from contextlib import ExitStack

import pytest

from tests.faults.measure import FULL, scaled
from tests.faults.picture import Sample, draw
from tests.interop.nginx import Front, Nginx
from tests.interop.nginx import start as start_nginx
from tests.manager.load import Surfers
from tests.manager.supervised import Site, serving, write_app
from tests.processes import ROOT

APPS = {"WSGI": "app:app", "ASGI": "app:aapp"}


CASES = [("WSGI", True), ("ASGI", False), *scaled([], [("WSGI", False), ("ASGI", True)])]


def behind(processes, nginx: str, site: Site, kept: bool) -> tuple[Nginx, int]:
    front = Front(site.address, kept)
    web = start_nginx(processes, nginx, site.folder, [front])
    return web, web.port(front)


@pytest.mark.parametrize(("interface", "kept"), CASES)
def test_reloads_behind_nginx_are_seen_by_nobody(processes, sock_dir, nginx, figure, interface, kept):
    reloads = scaled(2, 20)
    options = ("--workers", "2", "--probation", scaled("0.1s", "10s"))
    with serving(processes, sock_dir, *options, app=APPS[interface]) as site:
        _, port = behind(processes, nginx, site, kept)
        with Surfers(port, scaled(4, 16)) as surfers:
            for number in range(reloads):
                surfers.wait_for(scaled(30, 200))
                write_app(sock_dir, number + 2)
                site.reload()
            surfers.wait_for(50)
        assert set(surfers.statuses) == {200}, surfers.statuses
    figure(
        f"T02: {reloads} reloads of {interface} behind nginx, {'kept' if kept else 'single'} connections",
        f"0 of {surfers.statuses[200]} lost",
    )


@pytest.mark.parametrize(("interface", "kept"), CASES)
def test_a_stop_behind_nginx_loses_nobody_who_was_connected(processes, sock_dir, nginx, figure, interface, kept):
    with serving(processes, sock_dir, "--workers", "2", app=APPS[interface]) as site:
        web, port = behind(processes, nginx, site, kept)
        with Surfers(port, scaled(4, 16)) as surfers:
            surfers.wait_for(100)
            assert site.process.stop() == 0
            surfers.wait_for(4, status=502)
        assert set(surfers.statuses) == {200, 502}, surfers.statuses
        assert web.process.stop() == 0
        # Who got a 502 had no connection any more, as nginx says itself.
        refused = sum("connect() to unix:" in line for line in web.process.stderr)
        assert refused >= surfers.statuses[502], web.process.output()
    figure(
        f"T07: stop of {interface} behind nginx, {'kept' if kept else 'single'} connections",
        f"0 of {surfers.statuses[200]} lost; all later ones were refused their connection",
    )


def test_a_pool_grows_with_the_load_and_shrinks_without(processes, sock_dir, nginx, figure):
    most = scaled(3, 8)
    options = ("--workers", f"1..{most}", "--worker-idle", scaled("0.1s", "3s"))
    samples: list[Sample] = []
    with serving(processes, sock_dir, *options) as site:
        _, port = behind(processes, nginx, site, kept=False)
        began = time.monotonic()

        def seen(clients: int) -> int:
            pool = site.pool()
            workers = len([worker for worker in pool["workers"] if worker["state"] != "leaving"])
            samples.append(Sample(time.monotonic() - began, clients, workers))
            return workers

        for clients in scaled((2 * most,), (2, 20, 4)):
            with ExitStack() as stack:
                surfers = stack.enter_context(Surfers(port, clients, "/sleep/0.02"))
                until = time.monotonic() + scaled(0, 12)
                wanted = most if clients >= most else clients
                site.until(lambda _: seen(clients) >= wanted)  # noqa: B023 - it is called in this round alone
                while time.monotonic() < until:
                    seen(clients)
                    time.sleep(0.1)
            assert set(surfers.statuses) == {200}, surfers.statuses
        grown = max(sample.workers for sample in samples)
        assert grown == most
        site.until(lambda _: seen(0) == 1)
        rest = time.monotonic() + scaled(0, 3)
        while time.monotonic() < rest:
            assert seen(0) == 1
            time.sleep(0.1)
    if FULL:
        title = f"A pool of 1..{most} workers, each request sleeps 20 ms, behind nginx"
        (ROOT / "docs" / "workers.svg").write_text(draw(title, samples), encoding="utf-8")
    figure(f"adaptive: workers of 1..{most} under load, and without", f"{grown}, {samples[-1].workers}")
