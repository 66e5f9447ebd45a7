"""This file tests how `penstock dev` ends: by signals, with nothing left behind, or at once because it cannot begin."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import sys

import pytest

from tests.cli.dev.conftest import HANGS
from tests.processes import PATIENCE, ROOT


def test_ctrl_c_ends_it_all_with_0(dev, blog):
    site = dev()
    child = int(site.fields()["pid"])
    os.killpg(site.process.pid, signal.SIGINT)  # as a terminal does
    assert site.process.wait() == 0
    assert_gone(child)
    assert "Traceback" not in site.process.output()
    with pytest.raises(ConnectionRefusedError):
        site.get()


def test_sigterm_to_the_parent_alone_ends_it_all_with_0(dev):
    site = dev()
    child = int(site.fields()["pid"])
    assert site.process.stop(signal.SIGTERM) == 0
    assert_gone(child)


def test_ctrl_c_does_not_wait_for_a_response_that_has_no_end(dev, blog):
    os.mkfifo(blog / "gate")
    site = dev()
    child = int(site.fields()["pid"])
    connection = http.client.HTTPConnection(site.host, timeout=PATIENCE)
    connection.request("GET", "/slow")
    response = connection.getresponse()
    assert response.read1() == b"first"
    os.killpg(site.process.pid, signal.SIGINT)
    assert site.process.wait() == 0
    assert_gone(child)
    connection.close()


def test_ctrl_c_ends_an_import_that_hangs(dev, blog):
    (blog / "blog.py").write_text(HANGS)
    site = dev("blog:app")
    site.process.wait_for("hanging")
    os.killpg(site.process.pid, signal.SIGINT)
    assert site.process.wait() == 0
    assert "Traceback" not in site.process.output()


def test_no_folder_stays_behind(dev, blog):
    site = dev()
    site.fields()
    assert list(blog.glob("penstock-dev-*"))
    assert site.process.stop() == 0
    assert not list(blog.glob("penstock-dev-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="only there an orphan becomes our child, for which we can wait")
def test_the_process_of_the_application_does_not_outlive_a_parent_that_was_killed(dev):
    site = dev()
    child = int(site.fields()["pid"])
    site.process.stop(signal.SIGKILL)
    assert os.waitpid(child, 0)[0] == child


def assert_gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_port_in_use_is_4_and_one_sentence(penstock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = penstock("dev", "blog:app", "--http", address)
    assert ended.returncode == 4
    assert re.fullmatch(rf"penstock dev: cannot listen on {address}: .* in use .*\n", ended.stderr.decode())


@pytest.mark.parametrize("address", ["unix:/tmp/x", "fd:3", "8000", "127.0.0.1:x"])
def test_an_address_that_no_browser_can_open_is_2(penstock, address):
    ended = penstock("dev", "blog:app", "--http", address)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith(f"penstock dev: --http: {address!r} is no address")


@pytest.mark.parametrize("missing", ["uvicorn", "watchfiles"])
def test_without_the_extra_it_is_2_and_the_command_that_installs_it(penstock, tmp_path, missing):
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('none', name={missing!r})\n")
    ended = penstock("dev", "blog:app", env={"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "src")))})
    assert ended.returncode == 2
    assert ended.stderr.decode() == (
        f"penstock dev needs {missing}, which is not installed: pip install 'penstock[dev]'\n"
    )
