"""This file tests `penstock status` and `penstock top` against something that speaks the control protocol."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest
from rich.console import Console

from penstock.cli.main import main
from penstock.cli.top import Rates, picture
from tests.cli.supervisors import STATUS, a_status
from tests.processes import PATIENCE, PENSTOCK, environment


@pytest.fixture
def address(supervisor, sock_dir):
    return f"unix:{sock_dir}/app.sock"


def test_it_shows_text_for_people(address, capsys):
    assert main(["status", address]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("penstock 0.1.0, process 4711, up 2h15m, generation 3\n")
    assert "workers 2 of 2..8 (1 busy, 1 leaving)" in shown


def test_json_is_the_status_as_it_came(address, capsys):
    assert main(["status", address, "--json"]) == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == STATUS
    assert shown.isascii()


@pytest.mark.parametrize(("form", "begin"), [("--html", "<!doctype html>"), ("--openmetrics", "# HELP penstock")])
def test_other_forms_are_those_of_the_status_page(address, capsys, form, begin):
    assert main(["status", address, form]) == 0
    assert capsys.readouterr().out.startswith(begin)


def test_without_the_extra_openmetrics_says_what_to_install(address, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    assert main(["status", address, "--openmetrics"]) == 2
    assert capsys.readouterr().err == (
        "penstock status: OpenMetrics needs the package prometheus-client: pip install 'penstock[metrics]'\n"
    )


def test_watch_shows_it_again_and_again_until_ctrl_c(address, capsys, monkeypatch, supervisor):
    naps = []

    def nap(seconds):
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("penstock.cli.status.time.sleep", nap)
    assert main(["status", address, "--watch"]) == 130
    assert capsys.readouterr().out.count("process 4711") == 3
    assert len(supervisor.asked) == 3


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ({"ok": False, "error": "not now"}, "the supervisor gave no status: not now"),
        ({"ok": True, "status": {"version": "9.0"}}, "the status of another version of penstock cannot be shown"),
    ],
)
def test_an_answer_without_a_status_is_5(address, capsys, supervisor, answer, told):
    supervisor.answers["status"] = answer
    assert main(["status", address]) == 5
    assert told in capsys.readouterr().err


def test_a_target_that_does_not_answer_is_5(sock_dir, capsys):
    assert main(["status", f"unix:{sock_dir}/none.sock"]) == 5
    assert capsys.readouterr().err.count("\n") == 1


def drawn(status, rates):
    console = Console(width=140, record=True, file=open(os.devnull, "w"))  # noqa: SIM115 - closed below
    with console.file:
        console.print(picture(status, rates))
    return console.export_text()


def test_top_shows_each_worker_with_its_rate_and_takes_no_orders_from_requests():
    shown = drawn(STATUS, {4801: 12.6})
    row = next(line for line in shown.splitlines() if " 4801 " in line)
    assert " 13 " in row
    assert "GET /<script>alert(1)</script>" in row
    assert "[red]" in shown
    assert "\x1b]2" not in shown
    assert "blog  blog:app  serving  workers 2 of 2..8  queue 3 of 2,048" in shown


def test_rates_are_of_workers_that_were_there_before():
    rates = Rates()
    status = a_status()
    assert rates.update(status, 10.0) == {}
    status["pools"][0]["workers"][0]["requests"] += 30
    status["pools"][0]["workers"][1]["pid"] = 9999
    assert rates.update(status, 12.0) == {4801: 15.0}


def test_top_in_a_pipe_says_what_to_use_instead(address, capsys):
    assert main(["top", address]) == 2
    assert "penstock status --watch" in capsys.readouterr().err


# A program on a terminal of its own: then Ctrl-C is a signal there.
ON_A_TERMINAL = """\
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


@pytest.mark.parametrize(("key", "code"), [(b"q", 0), (b"\x03", 130)])
def test_top_ends_with_q_and_with_ctrl_c_and_gives_the_terminal_back(address, key, code):
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("4H", 30, 120, 0, 0))
    before = termios.tcgetattr(theirs)
    program = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *PENSTOCK, "top", address],
        env=environment({"TERM": "xterm"}),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    shown = b""
    while b"q ends" not in shown:
        shown += os.read(ours, 65536)
    assert b"4801" in shown
    os.write(ours, key)
    while b"\x1b[?1049l" not in shown:  # back from the alternate screen
        shown += os.read(ours, 65536)
    assert program.wait(PATIENCE) == code
    assert termios.tcgetattr(theirs) == before
    os.close(ours)
    os.close(theirs)
