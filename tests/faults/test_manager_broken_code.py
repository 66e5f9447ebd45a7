"""This file gives supervisors code that does not work, at a reload and from the first start (T04, T10)."""

from __future__ import annotations

import re
import time

import pytest

from tests.faults.measure import FULL, scaled
from tests.manager.load import Crowd
from tests.manager.supervised import Site, serving, start, until, write_app

# What is broken, and what the command has to say about it.
# Workers are forked twice; the process between them is to live.
IN_WORKERS = "FORKS = []\nos.register_at_fork(after_in_child=lambda: FORKS.append(1) or len(FORKS) < 2 or {})"
AS_TOLD = """
def obey():
    while not os.path.exists("die"):
        time.sleep(0.01)
    os._exit(6)
import threading
""" + IN_WORKERS.format("threading.Thread(target=obey).start()")
LATER = "import threading\n" + IN_WORKERS.format("threading.Timer(0.1, os._exit, (6,)).start()")
BROKEN = {
    "ImportError": ("import nothing_of_this_name", "nothing_of_this_name"),
    "SyntaxError": ("def broken(:", "SyntaxError"),
    "os._exit": ("os._exit(3)", "exit status 3"),
    "a hang at import": ("time.sleep(600)", "import.* within .* s"),
    "workers that die at birth": (IN_WORKERS.format("os._exit(5)"), "exit status 5"),
    "workers that die a moment later": (LATER, "exit status 6"),
    "workers that import by themselves and die": (
        "import threading\nthreading.Timer(0.1, os._exit, (7,)).start()",
        "exit status 7",
    ),
}
LIFESPAN = ('    """What happens as it starts up."""', '    raise RuntimeError("no database today")')


def refused(site: Site, what: str, told: str) -> float:
    """Let the reload fail, by the command that a deployment would use; how long it took."""
    failed = site.status()["reloads"]["failed"]
    if not FULL and what != "SyntaxError":
        # The command takes longer than the reload: in short it is run once.
        answer = site.tell("reload", wait=True)
        assert answer["ok"] is False
        assert re.search(told, answer["error"]), answer
        return 0.0
    began = time.monotonic()
    ended = site.command("reload", "--wait")
    seconds = time.monotonic() - began
    assert ended.returncode == 3, f"{what}: {ended}"
    assert re.search(told, ended.stderr), f"{what}: {ended.stderr}"
    # It shows where, in the deployer's own file.
    assert ('app.py", line' in ended.stderr) == (what in ("ImportError", "SyntaxError")), f"{what}: {ended.stderr}"
    status = site.status()
    assert status["reloads"]["failed"] == failed + 1
    assert status["last_reload"]["ok"] is False
    assert re.search(told, status["last_reload"]["error"]), status["last_reload"]
    assert "the last reload failed" in site.command("status").stdout
    return seconds


def test_no_broken_code_gets_into_service_and_the_next_good_one_does(processes, sock_dir, figure):
    boot_timeout = scaled(2.0, 1.0)  # a good worker has to boot in it too, and not only on a quiet machine
    options = ("--workers", "2", "--boot-timeout", f"{boot_timeout:g}s", "--probation", scaled("0.5s", "10s"))
    longest = 0.0
    with serving(processes, sock_dir, *options) as site:
        with Crowd(site.address, scaled(2, 8), pause=scaled(0.01, 0.0)) as crowd:
            for version, (what, (code, told)) in enumerate(BROKEN.items(), 2):
                serving_now = site.pool()["generation"]
                write_app(sock_dir, version, code)
                longest = max(longest, refused(site, what, told))
                crowd.wait_for(20)
                assert site.pool()["generation"] == serving_now
                if FULL:
                    write_app(sock_dir, 1)
                    site.reload()
            write_app(sock_dir, 100)
            site.reload()
            crowd.wait_for_version(100)
        assert crowd.failures == []
        assert all(versions == [b"1", b"100"] for versions in crowd.versions), crowd.versions
    assert not FULL or longest < boot_timeout + 2
    figure(
        f"T04: {len(BROKEN)} ways of broken code, under load",
        f"0 of {crowd.answered} lost, refused within {longest:.1f} s (boot timeout {boot_timeout:g} s)",
    )


def test_a_lifespan_that_fails_keeps_a_generation_out(processes, sock_dir, figure):
    options = ("--workers", "2", "--probation", scaled("0.2s", "10s"))
    with serving(processes, sock_dir, *options, app="app:aapp") as site:
        with Crowd(site.address, scaled(2, 8), pause=scaled(0.01, 0.0)) as crowd:
            write_app(sock_dir, 2, replace=LIFESPAN)
            refused(site, "lifespan", "no database today")
            crowd.wait_for(20)
            write_app(sock_dir, 3)
            site.reload()
            crowd.wait_for_version(3)
        assert crowd.failures == []
        assert all(versions == [b"1", b"3"] for versions in crowd.versions), crowd.versions
    figure("T04: a lifespan startup that fails, under load", f"0 of {crowd.answered} lost")


@pytest.mark.parametrize("what", ["ImportError", "os._exit", "workers that die at birth"])
def test_code_that_is_broken_from_the_first_start_ends_with_3_and_leaves_nothing(processes, sock_dir, what):
    write_app(sock_dir, 1, BROKEN[what][0])
    process = processes.penstock(
        "serve", "app:app", "--bind", f"unix:{sock_dir}/app.sock", "--workers", "2", cwd=sock_dir
    )
    assert process.wait() == 3, process.output()
    process.wait_for(BROKEN[what][1])
    assert not list(sock_dir.glob("app.sock*"))


def test_workers_that_keep_dying_are_forked_seldom_until_the_code_has_changed(processes, sock_dir, figure):
    # They serve at first: this is no failed start.
    write_app(sock_dir, 1, AS_TOLD)
    site = start(processes, sock_dir, "--workers", "4", "--probation", "0.2s")
    (sock_dir / "die").touch()
    site.until(lambda status: status["pools"][0]["state"] == "backing off")
    began, cpu = time.monotonic(), site.meter.cpu
    site.until(lambda status: time.monotonic() - began > scaled(0, 10))
    spawns, lines = site.until(lambda status: status["spawns"] >= 6)["spawns"], len(site.process.stderr)
    assert spawns <= 10
    if FULL:
        time.sleep(60)
        share = (site.meter.cpu - cpu) / (time.monotonic() - began)
        later, lines = site.status()["spawns"] - spawns, len(site.process.stderr) - lines
        assert share < 0.02
        assert later <= 4
        assert lines < 200
        figure(
            "T10: workers that keep dying: the next minute",
            f"{later} forks, {lines} log lines, supervisor {share:.2%} CPU",
        )
    write_app(sock_dir, 2)
    changed = time.monotonic()
    site.until(lambda status: status["reloads"]["ok"] == 1)
    seconds = time.monotonic() - changed
    site.let_leave()
    with site.client() as client:
        assert client.request("GET", "/").body == b"2"
    assert until(lambda: len(site.workers()) == 4)
    assert site.process.stop() == 0
    site.check_gone()
    figure("T10: workers that keep dying: forks", f"{spawns} forks in the first {scaled(2, 10)} s")
    figure("T10: from the change of the code to workers that serve it", f"{seconds:.2f} s")
