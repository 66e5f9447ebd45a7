"""This file lets a web server start old scripts as they are: all that helps them is the folder on PYTHONPATH."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from penstock.compat.aliases import PATH
from tests.compat.scripts.spawning import SCRIPTS
from tests.gateways.responses import parse
from tests.homes.children import cgi_environ
from tests.processes import PATIENCE

FORM = [("Content-Type", "application/x-www-form-urlencoded")]

ANSWERS = {
    "project/dispatch.fcgi": ("/a/b?q=1", b"<p>|/a/b|{'q': ['1']}|{'friend': 'Eve', 'q': '1'}"),
    "flask/yourapplication.fcgi": ("/hello/Ada", b"Hello, Ada and Eve!\n"),
    "jon/hello.fcgi": ("/?who=Ada", b"Good evening, Ada!\n"),
    "other/flipflop.fcgi": ("/x", b"flipflop at /x"),
    "other/asynchronous.fcgi": ("/x", b"asgi at /x"),
    "other/decorator.fcgi": ("/?q", b"query: q body: friend=Eve\n"),
    "other/loop.fcgi": ("/x", b"Request 1 for /x\n"),
    "other/django.fcgi": ("/hello", b"django at /hello"),
}
"""What each script answers to a form with one field."""


@pytest.mark.parametrize("script", ANSWERS)
def test_it_answers_and_ends_when_told_to(script, spawner):
    url, answer = ANSWERS[script]
    method = "GET" if "django" in script else "POST"
    running = spawner.spawn(script)
    with running.client() as web_server:
        response = web_server.request(method, url, FORM, None if method == "GET" else b"friend=Eve")
        assert (response.status, response.body) == (200, answer), running.errors()
    assert running.stop(signal.SIGTERM) == 0
    assert os.path.exists(f"{spawner.folder}/listener"), "it belongs to the web server"


def test_jonpys_compression_works_as_well(spawner):
    running = spawner.spawn("jon/hello_gzip.fcgi")
    with running.client() as web_server:
        response = web_server.request("GET", "/?lines=50", [("Accept-Encoding", "gzip")])
    assert dict(response.headers)["Content-Encoding"] == "gzip"
    assert gzip.decompress(response.body).count(b"worth it") == 50


def run(script: Path | str, env: dict[str, str], folder: str | None = None) -> bytes:
    """What a script prints that is run where it lies, and ends well."""
    done = subprocess.run(
        [sys.executable, script],
        cwd=folder,
        env={"PYTHONPATH": PATH, "PYTHONDONTWRITEBYTECODE": "1", **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("script", ["project/dispatch.fcgi", "flask/yourapplication.fcgi", "jon/hello.fcgi"])
def test_typed_in_a_shell_it_shows_what_it_answers(script):
    folder, name = os.path.split(SCRIPTS / script)
    shown = run(name, {"PATH": "/usr/bin:/bin"}, folder)
    assert b"200 OK" in shown
    assert f"penstock serve {name}".encode() in shown


@pytest.mark.parametrize("script", ["project/dispatch.fcgi", "jon/hello.fcgi"])
def test_it_is_a_plain_cgi_program_too(script):
    assert parse(run(SCRIPTS / script, cgi_environ("/a")))[0] == "200 OK"


def test_a_python_without_penstock_finds_it_through_the_folder(spawner):
    # The one that the environment of the tests was made of: a script's first line may name any.
    base = f"{sys.base_prefix}/bin/python3"
    running = spawner.spawn("jon/hello.fcgi", python=base)
    with running.client() as web_server:
        assert web_server.request("GET", "/").body == b"Good evening, everybody!\n", running.errors()


def test_a_program_that_brings_its_own_server_is_not_disturbed(spawner):
    running = spawner.spawn("own/own.fcgi")
    with running.client() as web_server:
        assert web_server.request("GET", "/").body == b"served by the copy"
    assert running.stop(signal.SIGTERM) == 0
