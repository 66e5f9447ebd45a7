"""This file is about programs that a web server starts itself: what its own stop, restart and log mean to them."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.interop.apache import MODULES
from tests.interop.apache import start as start_apache
from tests.interop.backend import Gate
from tests.interop.lighttpd import start as start_lighttpd
from tests.interop.unprivileged import SOURCE, make_scratch, reach
from tests.processes import PATIENCE, ROOT, Process, Processes

PROGRAM = """\
#!PYTHON
import os
import penstock
from tests.interop.sample import plain


def app(environ, start_response):
    def start(status, headers, *more):
        return start_response(status, [*headers, ("X-Process", str(os.getpid()))], *more)

    return plain(environ, start)


penstock.serve(app)
"""
PYTHONPATH = f"{SOURCE}:{ROOT}"


class Answer(NamedTuple):
    """What the client gets, and the process that it comes from."""

    status: int
    process: int
    body: bytes


class Site:
    """A web server that starts the program for what is below `/app`."""

    def __init__(self, process: Process, port: int) -> None:
        self.process = process
        self._port = port

    def ask(self, path: str) -> Answer:
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)) as connection:
            connection.request("GET", f"/app{path}")
            response = connection.getresponse()
            return Answer(response.status, int(response.headers["X-Process"]), response.read())


@pytest.fixture
def folder() -> Iterator[Path]:
    made = make_scratch()
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture
def program(folder: Path, web_python: str) -> Path:
    file = folder / "app.fcgi"
    file.write_text(PROGRAM.replace("PYTHON", web_python, 1))
    file.chmod(0o755)
    return file


@pytest.fixture
def below_apache(processes: Processes, apache2: str, mod_fcgid: Path, folder: Path, program: Path) -> Site:
    configuration = (
        f"FcgidInitialEnv PYTHONPATH {PYTHONPATH}\nScriptAlias /app {program}\n"
        f"<Directory {folder}>\n  Require all granted\n  Options +ExecCGI\n  SetHandler fcgid-script\n</Directory>"
    )
    web = start_apache(processes, apache2, folder, configuration, modules=(*MODULES, "fcgid"))
    return Site(web.process, web.port)


@pytest.fixture
def below_lighttpd(processes: Processes, lighttpd: str, folder: Path, program: Path) -> Site:
    web = start_lighttpd(
        processes,
        lighttpd,
        folder,
        f'fastcgi.server = ( "/app" => (( "bin-path" => "{program}", "socket" => "{folder}/app.sock",\n'
        f'  "check-local" => "disable", "max-procs" => 1, "bin-environment" => ( "PYTHONPATH" => "{PYTHONPATH}" ) )) )',
    )
    return Site(web.process, web.port)


def signal_in_the_middle(site: Site, folder: Path, number: int, obeyed: str) -> Answer:
    """Send the web server a signal while the program works on a request, and return the answer of that one."""
    with ThreadPoolExecutor(1) as pool, Gate(folder) as gate:
        reach(Path(gate.path))
        answer = pool.submit(site.ask, f"/wait?gate={gate.path}")
        gate.arrivals()
        site.process.send_signal(number)
        site.process.wait_for(obeyed)
        gate.open()
        return answer.result(PATIENCE)


def check_no_request_is_logged(site: Site) -> None:
    """Lines to `wsgi.errors` are in the error log of the web server, and lines about requests are not."""
    assert site.ask("/say?name=said-in-the-error-log").status == 200
    assert site.ask("/hello").status == 200
    site.process.wait_for("^said-in-the-error-log")
    site.process.stop(signal.SIGTERM)
    assert not [line for line in site.process.stderr if '"GET /' in line], site.process.output()


class TestApache:
    def test_a_running_request_outlives_a_graceful_stop(self, below_apache, folder):
        answer = signal_in_the_middle(below_apache, folder, signal.SIGWINCH, "shutting down gracefully")
        assert (answer.status, answer.body) == (200, b"passed\n")
        assert below_apache.process.wait() == 0
        below_apache.process.wait_for("INFO stopped")

    def test_a_running_request_outlives_a_graceful_restart_and_the_next_has_a_new_process(self, below_apache, folder):
        # Apache sends the program SIGTERM after 3 s, and again after 4.5 s: by then the request has to be answered.
        answer = signal_in_the_middle(below_apache, folder, signal.SIGUSR1, "Doing graceful restart")
        assert (answer.status, answer.body) == (200, b"passed\n")
        below_apache.process.wait_for("INFO stopped")
        below_apache.process.wait_for("resuming normal operations", count=2)
        after = below_apache.ask("/hello")
        assert (after.status, after.process == answer.process) == (200, False)

    def test_its_error_log_has_what_the_application_writes_and_no_line_per_request(self, below_apache):
        check_no_request_is_logged(below_apache)


class TestLighttpd:
    def test_a_running_request_outlives_a_graceful_stop(self, below_lighttpd, folder):
        answer = signal_in_the_middle(below_lighttpd, folder, signal.SIGINT, "graceful shutdown started")
        assert (answer.status, answer.body) == (200, b"passed\n")
        assert below_lighttpd.process.wait() == 0
        below_lighttpd.process.wait_for("INFO stopped")

    def test_a_program_that_was_killed_is_started_again(self, below_lighttpd):
        before = below_lighttpd.ask("/hello")
        os.kill(before.process, signal.SIGKILL)
        below_lighttpd.process.wait_for("listening on", count=2)
        after = below_lighttpd.ask("/hello")
        assert (after.status, after.process == before.process) == (200, False)

    def test_its_error_log_has_what_the_application_writes_and_no_line_per_request(self, below_lighttpd):
        check_no_request_is_logged(below_lighttpd)
