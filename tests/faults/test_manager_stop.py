"""This file stops supervisors that are busy: nobody is lost who is connected, and nothing is left (T07, T08, T29)."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack

import pytest

from penstock.testing import build
from tests.faults.measure import FULL, MIB, scaled
from tests.faults.peer import Peer, params, request
from tests.faults.test_stop import Arrivals
from tests.interop.backend import Gate
from tests.manager.load import BODY, DIGEST
from tests.manager.supervised import Site, serving, start, until


@pytest.fixture(params=["unix", "tcp"])
def bind(request, sock_dir, free_port):
    return f"unix:{sock_dir}/app.sock" if request.param == "unix" else f"127.0.0.1:{free_port}"


@pytest.mark.parametrize("threads", scaled([2], [1, 4]))
def test_everybody_who_is_connected_is_answered_though_half_of_them_wait_in_the_queue(
    processes, sock_dir, bind, threads, figure
):
    workers = 2
    options = ("--workers", str(workers), "--threads", str(threads))
    with ExitStack() as stack:
        site = stack.enter_context(serving(processes, sock_dir, *options, bind=bind))
        with Gate(sock_dir) as gate:
            known = [stack.enter_context(Peer(site)) for _ in range(100)]
            for peer in known:
                assert peer.ask("/") == b"1"
            # A worker all of whose threads are busy accepts nobody: each of these comes to one that is not.
            running = []
            for _ in range(workers * threads):
                running.append(stack.enter_context(Peer(site)).send(request(f"/wait{gate.path}")))
                gate.arrivals()
            queued = [stack.enter_context(Peer(site)) for _ in range(100)]
            assert site.pool()["queue"]["pending"] in (100, None)
            for peer in [*known, *queued]:
                peer.send(request("/digest", BODY))
            site.process.send_signal(signal.SIGTERM)
            gate.open()
            for peer in running:
                assert peer.answer().body == b"1"
            for peer in [*known, *queued]:
                assert peer.answer().body == DIGEST
                assert peer.closed()
            assert site.process.wait() == 0
    figure(
        f"T07: stop of {workers} workers, {threads} thread(s), 200 connected, 100 of them queued, "
        f"{bind.partition(':')[0] if 'unix' in bind else 'tcp'}",
        "0 lost",
    )


@pytest.mark.parametrize("threads", [1, 2])
def test_all_workers_serve_those_who_wait_in_the_queue_at_a_stop(processes, sock_dir, threads):
    places = 2 * threads
    with (
        serving(processes, sock_dir, "--workers", "2", "--threads", str(threads)) as site,
        Gate(sock_dir) as first,
        Gate(sock_dir) as second,
        ExitStack() as stack,
    ):
        running = []
        for _ in range(places):
            running.append(stack.enter_context(Peer(site)).send(request(f"/wait{first.path}")))
            first.arrivals()
        queued = [stack.enter_context(Peer(site)).send(request(f"/wait{second.path}")) for _ in range(places)]
        site.process.send_signal(signal.SIGTERM)
        site.process.wait_for("stopping: 2 workers")
        first.open()
        second.arrivals(places)  # They run at a time, so in both workers.
        second.open()
        for peer in [*running, *queued]:
            assert peer.answer().body == b"1"
        assert site.process.wait() == 0


def test_whoever_got_a_connection_is_answered_while_others_keep_coming(processes, sock_dir, bind, figure):
    with serving(processes, sock_dir, "--workers", "2", bind=bind) as site:
        arrivals = Arrivals(site, 8, url="/", body=b"1")
        arrivals.wait(200)
        assert site.process.stop() == 0
        arrivals.end()
        assert arrivals.lost == []
    figure(
        f"T07: stop of 2 workers while 8 clients keep coming over {'unix' if 'unix' in bind else 'tcp'}",
        f"0 lost, {arrivals.answered} answered",
    )


@pytest.mark.parametrize("app", ["app:app", "app:aapp"])
def test_who_comes_over_tcp_while_a_request_runs_on_is_refused_and_neither_waits_nor_is_lost(
    processes, sock_dir, free_port, app
):
    options = ("--workers", "1", *(("--threads", "2") if app == "app:app" else ()))
    with serving(processes, sock_dir, *options, app=app, bind=f"127.0.0.1:{free_port}") as site:
        peer, _ = upload(site, MIB)
        with peer:
            site.process.send_signal(signal.SIGTERM)
            assert until(lambda: is_refused(free_port))
            send(peer, MIB // 2)
            peer.send(build.stdin(b""))
            assert peer.answer().body == hashlib.sha256(bytes(MIB)).hexdigest().encode()
        assert site.process.wait() == 0


def is_refused(port: int) -> bool:
    with socket.socket() as sock:
        sock.settimeout(0.2)
        try:
            sock.connect(("127.0.0.1", port))
        except ConnectionRefusedError:
            return True
        except TimeoutError:
            return False  # kept away for now: it would try again
    return False


def upload(site: Site, size: int) -> tuple[Peer, int]:
    """Begin an upload of that size, and send half of it."""
    peer = Peer(site)
    peer.send(build.begin(), build.params(params("/digest", "POST", size)))
    return peer, send(peer, size // 2)


def send(peer: Peer, size: int, pace: float = 0.0) -> int:
    """Send so much of a body, at most so many bytes a second."""
    began, sent = time.monotonic(), 0
    while sent < size:
        sent += 32768
        peer.send(build.stdin(bytes(32768), end=False))
        if pace:
            time.sleep(max(0.0, sent / pace - (time.monotonic() - began)))
    return sent


def test_an_upload_that_is_on_its_way_at_the_stop_is_finished_and_answered(processes, sock_dir, tmp_path, figure):
    size = scaled(4, 100) * MIB
    with serving(processes, sock_dir, "--workers", "2", env={"TMPDIR": str(tmp_path)}) as site:
        peer, _ = upload(site, size)
        with peer:
            spooling = [pid for pid in site.workers() if any(str(tmp_path) in link for link in links(pid))]
            assert len(spooling) == 1, "the body lies in no temporary file"
            site.process.send_signal(signal.SIGTERM)
            site.process.wait_for("stopping: 2 workers")
            send(peer, size // 2, scaled(0, 10 * MIB))
            peer.send(build.stdin(b""))
            assert peer.answer().body == hashlib.sha256(bytes(size)).hexdigest().encode()
            assert peer.closed()
        assert site.process.wait() == 0
    assert not list(tmp_path.iterdir())
    figure(f"T08: stop during an upload of {size // MIB} MiB", "finished and answered")


def links(pid: int) -> list[str]:
    found = []
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{fd}"))
        except OSError:
            continue
    return found


@pytest.mark.parametrize("numbers", [(15, 15), (2, 2), (15, signal.SIGQUIT), (signal.SIGQUIT,)], ids=str)
def test_a_second_stop_or_sigquit_waits_for_nobody_and_leaves_nothing(processes, sock_dir, tmp_path, figure, numbers):
    with serving(processes, sock_dir, "--workers", "2", env={"TMPDIR": str(tmp_path)}) as site:
        gate = Gate(sock_dir)
        with gate, Peer(site) as running:
            running.send(request(f"/wait{gate.path}"))
            gate.arrivals()
            peer, _ = upload(site, 4 * MIB)
            with peer:
                for number in numbers[:-1]:
                    site.process.send_signal(number)
                    site.process.wait_for("stopping: 2 workers")
                began = time.monotonic()
                site.process.send_signal(numbers[-1])
                assert site.process.wait() == 0
                seconds = time.monotonic() - began
                assert running.closed()
                assert peer.closed()
    assert not list(tmp_path.iterdir())
    assert not FULL or seconds < 1
    figure(f"T08: {' and '.join(signal.Signals(number).name for number in numbers)}", f"gone after {seconds:.2f} s")


def test_a_worker_that_does_not_leave_is_killed_after_its_grace(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2", "--graceful-timeout", "0.3s") as site, Peer(site) as peer:
        # In C it sees no signal: only the supervisor can end it.
        peer.send(request("/spin"))
        site.until(lambda status: any(worker["state"] == "busy" for worker in status["pools"][0]["workers"]))
        assert site.process.stop() == 0
        assert peer.closed()
        site.process.wait_for("killing worker .*: not finished 0.3 s after it was told to leave")


def test_a_second_supervisor_does_not_take_the_path_of_one_that_lives_and_does_of_one_that_was_killed(
    processes, sock_dir
):
    first = start(processes, sock_dir, "--workers", "2")
    words = ("serve", "app:app", "--bind", first.address, "--workers", "2")
    second = processes.penstock(*words, cwd=sock_dir)
    assert second.wait() == 4
    assert "app.sock" in second.stderr[-1]
    with first.client() as client:
        assert client.request("GET", "/").body == b"1"
    assert first.process.stop(signal.SIGKILL) == -signal.SIGKILL
    with serving(processes, sock_dir, "--workers", "2") as other, other.client() as client:
        assert client.request("GET", "/").body == b"1"
    assert until(lambda: not first.family())


@pytest.mark.parametrize("what", ["file", "link", "folder"])
@pytest.mark.parametrize("where", ["app.sock", "app.sock.control"])
def test_what_is_no_socket_is_not_removed_from_where_one_is_to_be(processes, sock_dir, what, where):
    path = sock_dir / where
    if what == "file":
        path.write_text("mine")
    elif what == "link":
        path.symlink_to(sock_dir / "else")
    else:
        path.mkdir()
    words = ("serve", "app:app", "--bind", f"unix:{sock_dir}/app.sock", "--workers", "2")
    (sock_dir / "app.py").write_text("def app(environ, start_response): ...\n")
    process = processes.penstock(*words, cwd=sock_dir)
    assert process.wait() == 4, process.output()
    assert where in process.stderr[-1]
    assert not [line for line in process.stderr if "Traceback" in line]
    assert path.is_symlink() if what == "link" else path.exists()
    if where != "app.sock":
        assert not (sock_dir / "app.sock").exists()


def test_stops_from_many_sides_at_once_are_one_stop(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2") as site:
        threads = [threading.Thread(target=ask_to_stop, args=(site,)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert site.process.wait() == 0


def ask_to_stop(site: Site) -> None:
    try:
        site.tell("stop")
    except (OSError, ValueError):
        return  # another one was faster
