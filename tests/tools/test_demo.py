"""This file checks that the demo shows what it promises, and that nothing of it stays behind."""

from __future__ import annotations

import signal
import socket
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.processes import ROOT

DEMO = (sys.executable, ROOT / "tools" / "demo.py")


def demo_folders() -> set[Path]:
    return set(Path("/tmp").glob("penstock-demo-*"))


def test_the_page_has_come_through_nginx_and_fastcgi(processes, nginx):
    before = demo_folders()
    demo = processes.start(*DEMO, "--check")
    assert demo.wait(timeout=40) == 0, demo.output()
    text = "\n".join(demo.stdout)
    assert "browser -> HTTP -> nginx -> FastCGI -> penstock -> WSGI" in text
    assert "nginx/1." in text
    assert "CGI/1.1" in text
    assert demo_folders() <= before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_one_url_that_answers_until_it_is_told_to_end(processes, nginx, number):
    before = demo_folders()
    demo = processes.start(*DEMO)
    url = demo.wait_for(r"http://127\.0\.0\.1:\d+/")[0]
    demo.wait_for("Ctrl-C ends it")
    assert "\n".join(demo.stdout).count("http://") == 1
    for _ in range(3):
        with urllib.request.urlopen(url) as response:
            assert b"It works." in response.read()
    assert demo.stop(number, timeout=40) == 0, demo.output()
    assert demo_folders() <= before


def test_without_nginx_the_page_comes_through_penstock_dev(processes):
    demo = processes.start(*DEMO, "--check", "--dev")
    assert demo.wait(timeout=40) == 0, demo.output()
    assert "browser -> HTTP -> penstock dev -> FastCGI -> penstock -> WSGI" in "\n".join(demo.stdout)


def test_a_port_in_use_is_said_and_nothing_is_started(processes):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        demo = processes.start(*DEMO, "--check", "--port", str(taken.getsockname()[1]))
        assert demo.wait() == 1
    assert "in use" in "\n".join(demo.stderr)
