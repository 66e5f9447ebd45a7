"""This file serves old scripts, with a server of their own in them, by several workers."""

from __future__ import annotations

import os
import signal

import pytest

from penstock.client import Client
from tests.compat.scripts.conftest import spawner  # noqa: F401 - a fixture
from tests.compat.scripts.test_spawned import ANSWERS, FORM
from tests.manager.supervised import Site, until
from tests.processes import PATIENCE

MORE = {
    "other/plain.fcgi": ("/x", b"plain at /x"),
    "other/gevent.fcgi": ("/x", b"gevent at /x"),
    "other/handler.fcgi": ("/?q", b"query: q, body: friend=Eve"),
}


def serve(processes, spawner, script, *options):  # noqa: F811
    path = os.path.relpath(spawner.copy(script), spawner.folder)
    bind = f"unix:{spawner.folder}/bound"
    words = ("serve", path, "--bind", bind, "--workers", "2", "--probation", "0", *options)
    return processes.penstock(*words, cwd=spawner.folder)


@pytest.mark.parametrize("script", [*ANSWERS, *MORE])
def test_two_workers_serve_it_through_a_reload(script, processes, spawner):  # noqa: F811
    url, answer = (ANSWERS | MORE)[script]
    process = serve(processes, spawner, script)
    site = Site(process, spawner.folder)
    process.wait_for("is a script, which each worker runs by itself")
    method = "GET" if "django" in script else "POST"

    def check():
        with Client(f"unix:{spawner.folder}/bound", timeout=PATIENCE) as web_server:
            response = web_server.request(method, url, FORM, None if method == "GET" else b"friend=Eve")
            assert (response.status, response.body) == (200, answer), process.output()

    check()
    before = site.workers()
    assert len(before) == 2
    site.tell("reopen")
    site.reload()
    site.let_leave()
    check()
    assert not set(before) & set(site.workers())
    site.until(lambda status: len(status["pools"][0]["workers"]) == 2)
    # A worker counts a request when its answer is out.
    site.until(lambda status: status["requests"] == 2)
    assert process.stop() == 0
    assert "Traceback" not in process.output()
    assert "SIGKILL" not in process.output()
    assert until(lambda: not site.family())
    assert not [path for path in spawner.folder.rglob("*") if path.is_socket()]


def test_a_script_with_a_copy_of_a_server_is_told_to_do_without_workers(processes, spawner):  # noqa: F811
    process = serve(processes, spawner, "own/own.fcgi", "--boot-timeout", "5s")
    assert process.wait() == 3
    assert "run it without --workers" in process.output()


def test_a_script_that_does_not_compile_fails_the_start_with_its_line(processes, spawner):  # noqa: F811
    spawner.copy("other/plain.fcgi").write_text("def app(:\n")
    process = serve(processes, spawner, "other/plain.fcgi")
    assert process.wait() == 3
    assert "def app(:" in process.output()


def test_threads_and_the_scoreboard_hold_for_scripts(processes, spawner):  # noqa: F811
    process = serve(processes, spawner, "other/flipflop.fcgi", "--threads", "3", "--max-requests", "2")
    site = Site(process, spawner.folder)
    before = set(site.workers())
    for _ in range(8):
        with Client(f"unix:{spawner.folder}/bound", timeout=PATIENCE) as web_server:
            assert web_server.request("GET", "/x").status == 200
    site.until(lambda _: len(site.workers()) == 2 and set(site.workers()) != before)
    assert process.stop(signal.SIGTERM) == 0
