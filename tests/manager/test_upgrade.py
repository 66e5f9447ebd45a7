"""This file has supervisors become other images of themselves (SIGUSR2), under load and with what can go wrong."""

from __future__ import annotations

import contextlib
import json
import os
import signal

import pytest

from penstock.gateways.webserver import cgi_params
from penstock.testing import build
from tests.manager.load import Client, Crowd, connect
from tests.manager.supervised import serving, until, write_app
from tests.processes import PATIENCE, Processes


def upgraded(site, times=1):
    """The status once so many upgrades more have come to their end."""
    reloads = site.status()["reloads"]
    site.process.send_signal(signal.SIGUSR2)
    return site.until(lambda status: sum(status["reloads"].values()) == sum(reloads.values()) + times, 60)


def ask(site, url):
    with contextlib.closing(Client(site.address)) as client:
        return client.ask(url)


@pytest.mark.parametrize("bind", ["unix", "tcp"])
def test_under_load_nobody_loses_a_request_and_nobody_meets_older_code_again(processes, sock_dir, free_port, bind):
    address = f"127.0.0.1:{free_port}" if bind == "tcp" else ""
    with serving(processes, sock_dir, "--workers", "2", "--probation", "0", bind=address) as site:
        keep = bind == "unix"
        with Crowd(site.address, 6, keep=keep) as crowd:
            for version in (2, 3, 4):
                crowd.wait_for(200)
                write_app(sock_dir, version)
                upgraded(site)
            crowd.wait_for(200)
            crowd.wait_for_version(4)
        assert not crowd.failures
        crowd.check_order()
        assert {versions[-1] for versions in crowd.versions} == {b"4"}
        status = site.status()
        assert status["pid"] == site.pid
        assert (status["generation"], status["reloads"]) == (4, {"ok": 3, "failed": 0})
        # A worker counts a request when its answer is out.
        site.until(lambda status: status["requests"] == crowd.answered)
        # A former generation may still be finishing; there is no process beside the newest one's for long.
        assert until(lambda: len(site.family()) == 4), site.family()


def test_an_upgrade_on_the_control_socket_is_answered_by_the_next_image(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "1", "--probation", "0") as site:
        began = site.status()["uptime"]
        write_app(sock_dir, 2)
        assert site.tell("upgrade", wait=True) == {"ok": True, "generation": 2}
        site.let_leave()
        assert ask(site, "/") == b"2"
        assert site.status()["uptime"] > began
        assert site.process.running


def test_the_new_image_reads_penstock_from_its_files(processes, sock_dir):
    (sock_dir / "lib").mkdir()
    env = {"PYTHONPATH": f"{sock_dir}/lib:{os.environ.get('PYTHONPATH', '')}:{os.getcwd()}/src"}
    with serving(processes, sock_dir, "--workers", "1", "--probation", "0", env=env) as site:
        (sock_dir / "lib" / "sitecustomize.py").write_text("import penstock\npenstock.__version__ = '77.0'\n")
        assert upgraded(site)["version"] == "77.0"


def test_what_cannot_be_started_anew_goes_on_as_it_is(processes, sock_dir):
    (sock_dir / "penstock.toml").write_text("threads = 2\n")
    with serving(processes, sock_dir, "--workers", "1", "--config", "penstock.toml", "--probation", "0") as site:
        worker = site.workers()
        (sock_dir / "penstock.toml").write_text('workerz = "1"\n')
        status = upgraded(site)
        assert not status["last_reload"]["ok"]
        assert "workerz" in status["last_reload"]["error"]
        assert site.workers() == worker
        (sock_dir / "penstock.toml").write_text("threads = 3\n")
        status = upgraded(site)
        assert status["last_reload"]["ok"], status["last_reload"]
        assert site.workers() != worker


def test_a_preflight_that_fails_is_told_and_changes_nothing(processes, sock_dir):
    (sock_dir / "lib").mkdir()
    env = {"PYTHONPATH": f"{sock_dir}/lib"}
    with serving(processes, sock_dir, "--workers", "1", env=env) as site:
        worker = site.workers()
        (sock_dir / "lib" / "sitecustomize.py").write_text("import os\nos.write(2, b'half of it')\nos._exit(9)\n")
        status = upgraded(site)
        assert "half of it" in status["last_reload"]["error"]
        assert site.workers() == worker
        assert ask(site, "/") == b"1"


def test_if_the_application_does_not_boot_the_old_workers_go_on_and_are_replaced_from_their_template(
    processes, sock_dir
):
    with serving(processes, sock_dir, "--workers", "2", "--probation", "0") as site:
        before = site.workers()
        write_app(sock_dir, 2, "raise RuntimeError('half deployed')")
        status = upgraded(site)
        assert "half deployed" in status["last_reload"]["error"]
        assert site.workers() == before
        os.kill(before[0], signal.SIGKILL)
        site.until(lambda _: len(site.workers()) == 2 and before[0] not in site.workers())
        for _ in range(4):
            assert ask(site, "/") == b"1"
        write_app(sock_dir, 3)
        site.reload()
        site.let_leave()
        assert ask(site, "/") == b"3"
        assert until(lambda: len(site.family()) == 4), site.family()


def test_workers_that_kept_dying_after_an_upgrade_are_taken_back_too(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "1", "--probation", "20") as site:
        write_app(sock_dir, 2)
        assert upgraded(site)["generation"] == 2
        for _ in range(3):
            site.until(lambda _: site.workers("idle"))
            [worker] = site.workers("idle")
            os.kill(worker, signal.SIGKILL)
            site.until(lambda _: worker not in site.workers())  # noqa: B023 - it is called in this round alone
        site.until(lambda status: not status["last_reload"]["ok"] and site.workers())
        assert ask(site, "/") == b"1"


def test_a_request_that_runs_meanwhile_is_finished_and_its_limit_still_holds(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2", "--probation", "0", "--request-timeout", "4s") as site:
        with contextlib.ExitStack() as stack:
            peers = []
            for seconds in (60, 2):
                # A busy worker accepts nobody, so the second one comes to the other.
                peers.append(stack.enter_context(connect(site.address)))
                peers[-1].sendall(build.request(cgi_params("GET", f"/sleep/{seconds}"), b"", request_id=1, flags=0))
                site.until(lambda _: len(site.workers("busy")) == len(peers))
            endless, slow = peers
            upgraded(site)
            assert b"200 OK" in b"".join(iter(lambda: slow.recv(65536), b""))
            assert b"200 OK" not in b"".join(iter(lambda: endless.recv(65536), b""))
        assert site.status()["timeouts"] == 1


def test_the_path_stays_ours_all_the_time(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "1", "--probation", "0") as site:
        identity = os.stat(sock_dir / "app.sock").st_ino
        upgraded(site)
        assert os.stat(sock_dir / "app.sock").st_ino == identity
        other = processes.penstock("serve", "app:app", "--bind", f"unix:{sock_dir}/app.sock", cwd=sock_dir)
        assert other.wait() == 4
        assert ask(site, "/") == b"1"


def test_what_workers_print_is_shown_before_and_after(processes, sock_dir):
    write_app(sock_dir, 1, replace=("def leak(_):\n", "def leak(_):\n    print('leaking', VERSION)\n"))
    with serving(processes, sock_dir, "--workers", "1", "--probation", "0") as site:
        write_app(sock_dir, 2, "raise RuntimeError('no')")
        upgraded(site)
        assert ask(site, "/leak/") == b"1"
        site.process.wait_for(r"\[main \d+\] leaking 1")


def test_many_signals_at_once_are_harmless_and_a_stop_among_them_is_obeyed(processes: Processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "1", "--probation", "0") as site:
        for _ in range(20):
            site.process.send_signal(signal.SIGUSR2)
            site.process.send_signal(signal.SIGHUP)
        site.until(lambda status: status["reloads"]["ok"] >= 1, 60)
        site.process.send_signal(signal.SIGUSR2)
        site.process.send_signal(signal.SIGTERM)
        assert site.process.wait(PATIENCE) == 0


def test_a_pid_file_stays_and_is_right(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "1", "--probation", "0", "--pid", f"{sock_dir}/pid") as site:
        upgraded(site)
        assert int((sock_dir / "pid").read_text()) == site.pid
        assert json.loads(json.dumps(site.status()))["pid"] == site.pid
    assert not (sock_dir / "pid").exists()


def test_an_asgi_application_is_upgraded_as_well(processes, sock_dir):
    with serving(processes, sock_dir, "--workers", "2", "--probation", "0", app="app:aapp") as site:
        with Crowd(site.address, 4) as crowd:
            crowd.wait_for(100)
            write_app(sock_dir, 2)
            upgraded(site)
            crowd.wait_for(100)
        assert not crowd.failures
        crowd.check_order()
