"""This file reloads supervisors under load, again and again: nobody is lost, nobody waits (T02, T03, T09)."""

from __future__ import annotations

import os
import signal
import time

import pytest

from tests.faults.measure import FULL, scaled
from tests.manager.load import Crowd
from tests.manager.supervised import Site, serving, until, write_app

NOTES = """
import os
note = os.open({path!r}, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
os.write(note, b"begun {version}\\n")
time.sleep(0.05)
os.write(note, b"done {version}\\n")
os.close(note)
"""


def options(*more: str) -> tuple[str, ...]:
    """Shortened tests do not wait whether the new workers stay alive."""
    return (*more, *scaled(("--probation", "0.2s"), ()))


def spread(site: Site, crowd: Crowd, reloads: int, seconds: float) -> None:
    """So many reloads, each a version further, spread over the time, and answers between them."""
    began = time.monotonic()
    for number in range(reloads):
        write_app(site.folder, number + 2)
        site.reload()
        crowd.wait_for(scaled(50, 500))
        while time.monotonic() - began < seconds * (number + 1) / reloads and not crowd.failures:
            crowd.wait_for(10)


@pytest.mark.parametrize(("kind", "keep"), [("unix", True), ("unix", False), ("tcp", True)])
def test_reloads_lose_nobody_and_nobody_sees_older_code_than_before(processes, sock_dir, free_port, figure, kind, keep):
    bind = "" if kind == "unix" else f"127.0.0.1:{free_port}"
    reloads, clients = scaled((2, 4), (20, 16))
    with serving(processes, sock_dir, *options("--workers", "4"), bind=bind) as site:
        with Crowd(site.address, clients, keep=keep, pause=scaled(0.003, 0.0)) as crowd:
            spread(site, crowd, reloads, scaled(0, 40))
            crowd.wait_for_version(reloads + 1)
            if FULL:
                crowd.wait_for(max(1, 20_000 - crowd.answered))
        assert crowd.failures == []
        crowd.check_order()
        # No request is forgotten with its worker; the last ones are counted a moment after they have been answered.
        status = site.until(lambda status: status["requests"] >= crowd.answered)
        assert status["reloads"] == {"ok": reloads, "failed": 0}
    assert not FULL or crowd.worst < 1
    figure(
        f"T02: {reloads} reloads under {clients} {'kept' if keep else 'single'} connections over {kind}",
        f"0 of {crowd.answered} lost, worst {crowd.worst * 1000:.0f} ms, p99 {crowd.quantile(0.99) * 1000:.1f} ms",
    )


def test_requests_are_answered_while_the_next_generation_imports(processes, sock_dir, figure):
    clients = scaled(4, 16)
    with serving(processes, sock_dir, *options("--workers", "4")) as site:
        os.mkfifo(sock_dir / "import")
        with Crowd(site.address, clients, pause=scaled(0.003, 0.0)) as crowd:
            crowd.wait_for(100)
            write_app(sock_dir, 2, f"open({os.fspath(sock_dir / 'import')!r}).read()")
            before = crowd.answered
            site.tell("reload")
            site.until(lambda status: status["generation"] == 2)
            began = time.monotonic()
            crowd.wait_for(200)
            while time.monotonic() - began < scaled(0, 3):
                crowd.wait_for(10)
            assert all(worker["generation"] == 1 for worker in site.pool()["workers"])
            with open(sock_dir / "import", "w"):
                pass
            site.until(lambda status: status["reloads"]["ok"] == 1, 60)
            after = crowd.answered
            crowd.wait_for_version(2)
        assert crowd.failures == []
        crowd.check_order()
    meanwhile = sorted(crowd.latencies[before:after])
    assert not FULL or meanwhile[-1] < 1
    figure(
        f"T03: a reload whose import takes {scaled(0, 3)} s, {clients} connections",
        f"0 of {len(meanwhile)} lost, worst {meanwhile[-1] * 1000:.0f} ms, "
        f"p99 {meanwhile[int(0.99 * (len(meanwhile) - 1))] * 1000:.1f} ms",
    )


def test_ten_sighups_at_once_make_one_generation_after_the_other_and_the_last_has_the_newest_code(
    processes, sock_dir, figure
):
    notes = sock_dir / "notes"
    with serving(processes, sock_dir, *options("--workers", "2")) as site:
        write_app(sock_dir, 2, NOTES.format(path=str(notes), version=2))
        for _ in range(9):
            site.process.send_signal(signal.SIGHUP)
            time.sleep(0.01)  # the test is about their coming apart, and close together
        site.process.wait_for("reloading: SIGHUP")
        # The code changes while a generation boots: the last signal must not be lost in that.
        write_app(sock_dir, 3, NOTES.format(path=str(notes), version=3))
        site.process.send_signal(signal.SIGHUP)
        with site.client() as client:
            assert until(lambda: client.request("GET", "/").body == b"3")
        # It stays like that: nothing else boots, or what does has the same code.
        site.until(
            lambda status: {worker["generation"] for worker in status["pools"][0]["workers"]} == {generation(status)}
        )
        status = site.status()
        assert status["reloads"]["failed"] == 0
        lines = notes.read_text().split("\n")[:-1]
        assert len(lines) % 2 == 0
        for begun, done in zip(lines[::2], lines[1::2], strict=True):
            assert begun.replace("begun", "done") == done, "two generations booted at a time"
        assert lines[-1] == "done 3"
    figure("T09: ten SIGHUPs within 100 ms", f"{status['reloads']['ok']} reloads, one after the other")


def generation(status) -> int:
    number: int = status["generation"]
    return number


def test_a_stop_while_a_generation_imports_is_obeyed_at_once(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2") as site:
        os.mkfifo(sock_dir / "import")
        write_app(sock_dir, 2, f"open({os.fspath(sock_dir / 'import')!r}).read()")
        site.process.send_signal(signal.SIGHUP)
        site.process.wait_for("reloading: SIGHUP")
        assert site.process.stop() == 0


def test_a_stop_at_any_moment_of_a_reload_ends_with_0_and_leaves_nothing(processes, sock_dir, figure):
    steps = scaled((0, 15), range(26))
    for step in steps:
        folder = sock_dir / str(step)
        folder.mkdir()
        with serving(processes, folder, "--workers", "2", "--probation", "0") as site:
            site.process.send_signal(signal.SIGHUP)
            time.sleep(step / 1000)  # the test is about this moment
            assert site.process.stop() == 0, site.process.output()
            assert not [line for line in site.process.stderr if "ERROR" in line], site.process.output()
    figure("T09: SIGTERM so many ms after SIGHUP", f"{len(steps)} times exit 0")
