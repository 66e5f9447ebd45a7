"""This file measures what an ASGI application costs and hears: readers that do not read, clients that leave."""

from __future__ import annotations

import signal
import statistics
import time
from contextlib import ExitStack
from urllib.parse import urlencode

import pytest

from penstock.testing import build
from tests.faults.asgi_sample import PIECE, TOTAL
from tests.faults.measure import KIB, MIB, Meter, scaled
from tests.faults.peer import Peer, request
from tests.interop.backend import Backend, start
from tests.processes import ROOT

HELLO = b"hello, world\n"
ALLOWED = 0.1
"""Seconds in which an application hears that its client has left."""


def serve(processes, sock_dir, *options: str) -> Backend:
    app = str(ROOT / "tests" / "faults" / "asgi_sample.py")
    return start(processes, "--no-access-log", *options, bind=(f"unix:{sock_dir}/app",), app=app)


@pytest.mark.parametrize("how", ["body", "pathsend"])
def test_a_client_that_does_not_read_256_mib_costs_at_most_one(processes, sock_dir, tmp_path, figure, how):
    backend = serve(processes, sock_dir)
    meter = Meter(backend.pid)
    content = tmp_path / "large"
    with content.open("wb") as large:
        large.truncate(TOTAL)
    number = scaled(8, 50)

    def url(name: str) -> str:
        if how == "body":
            return "/large?" + urlencode({"name": name})
        return "/file?" + urlencode({"name": name, "path": content})

    with Peer(backend) as reader:  # the first costs more: code and buffers of the whole process
        assert len(reader.ask(url("reader"))) == TOTAL
        assert reader.ask("/hello") == HELLO
    with ExitStack() as stack:
        before = meter.rss
        meter.forget_peak()
        for at in range(number):
            stack.enter_context(Peer(backend)).send(request(url(f"sleeper{at}")))
        for at in range(number):
            backend.process.wait_for(f"stuck sleeper{at} at")
        grown, peak = meter.rss - before, meter.peak - before
        assert grown <= number * MIB
        assert peak <= number * MIB
        with Peer(backend) as other:
            assert other.ask("/hello") == HELLO
    figure(f"ASGI, {how}: memory for a client that does not read 256 MiB", f"{max(grown, 0) / number / KIB:.0f} KiB")
    if how == "body":
        stuck = [int(line.rpartition(" ")[2]) for line in backend.process.stderr if line.startswith("stuck sleeper")]
        assert max(stuck) < 16 * len(PIECE), "the application was let on"
    assert backend.process.stop() == 0


@pytest.mark.parametrize("begun", ["", "1"], ids=["before the response", "in the middle of it"])
@pytest.mark.parametrize("how", ["abort", "close"])
def test_an_application_hears_at_once_that_its_client_has_left(processes, sock_dir, figure, how, begun):
    backend = serve(processes, sock_dir)
    seconds = []
    for at in range(scaled(10, 100)):
        with Peer(backend) as peer:
            peer.send(request("/wait?" + urlencode({"name": f"client{at}.", "begun": begun})))
            backend.process.wait_for(f"waiting client{at}[.]")
            left = time.monotonic_ns()
            if how == "abort":
                peer.send(build.abort())
            else:
                peer.sock.close()
            heard = backend.process.wait_for(rf"left client{at}[.] (\d+)")
            seconds.append((int(heard[1]) - left) / 1e9)
    # The middle one: the machine of the tests may be busy.
    assert statistics.median(seconds) < ALLOWED
    where = "mid-response" if begun else "before the response"
    worst = f"{statistics.median(seconds) * 1000:.1f} ms, at most {max(seconds) * 1000:.1f} ms"
    figure(f"ASGI: http.disconnect after {how}, {where}", worst)
    assert backend.process.stop() == 0


def test_what_runs_behind_a_response_finishes_within_the_grace_and_is_cancelled_after_it(processes, sock_dir, figure):
    for seconds, grace, end in ((0.5, "20s", "worked to the end"), (600, "0.3s", "cancelled")):
        backend = serve(processes, sock_dir, "--graceful-timeout", grace)
        with Peer(backend) as peer:
            assert peer.ask(f"/background?seconds={seconds}") == HELLO
            backend.process.wait_for("^working$")
            asked = time.monotonic()
            backend.process.send_signal(signal.SIGTERM)
            backend.process.wait_for(f"^{end}$")
            backend.process.wait_for("^cleaned up$")
            assert backend.process.wait() == 0
        figure(f"ASGI: work of {seconds:g} s behind a response, grace {grace}: gone after", f"{since(asked)} s")
        assert not [line for line in backend.process.stderr if "Traceback" in line]


def since(began: float) -> str:
    return f"{time.monotonic() - began:.2f}"
