"""This file tests the commands together: penstock.toml makes a supervisor, which the others ask, reload and stop."""

from __future__ import annotations

import json
import signal

import pytest

from penstock.client import Client
from tests.cli.conftest import HELLO
from tests.manager.supervised import any_leaves, until

FILE = """\
workers = 2
pid = "penstock.pid"

[pool.blog]
app = "blog:app"
bind = "unix:blog.sock"

[pool.shop]
app = "shop"
bind = "unix:shop.sock"
workers = "0..2"
env = { GREETING = "shop, hello" }
"""
SHOP = """\
import os
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ["GREETING"].encode()]
"""


@pytest.fixture
def two_pools(processes, blog):
    """`penstock serve` in the folder, with two pools of its penstock.toml."""
    (blog / "penstock.toml").write_text(FILE)
    (blog / "shop.py").write_text(SHOP)
    process = processes.penstock("serve", cwd=blog)
    process.wait_for("control socket: ")
    return process


def test_penstock_toml_makes_two_pools_that_all_commands_find(two_pools, penstock, blog):
    for name, body in (("blog", b"hello from /x"), ("shop", b"shop, hello")):
        with Client(f"unix:{blog}/{name}.sock") as client:
            assert client.request("GET", "/x").body == body
    assert (blog / "penstock.pid").read_text().split() == [str(two_pools.pid)]
    # The control socket stands beside the first pool's; it is found by the process too, and being the only one.
    for target in ((f"unix:{blog}/blog.sock",), ("unix:blog.sock",), (str(two_pools.pid),), ()):
        assert penstock("ping", *target).stdout.decode() == f"process {two_pools.pid} answers\n"
    status = json.loads(penstock("status", "--json").stdout)
    assert [(pool["name"], pool["min"], pool["max"]) for pool in status["pools"]] == [("blog", 2, 2), ("shop", 0, 2)]
    assert status["requests"] == 2
    for form in ("--html", "--openmetrics"):
        assert penstock("status", form).returncode == 0


def test_reload_reads_the_file_and_the_code_again_and_a_broken_one_is_3_and_changes_nothing(two_pools, penstock, blog):
    (blog / "blog.py").write_text("import nothing_of_this_name\n")
    failed = penstock("reload", "unix:blog.sock", "--wait")
    assert failed.returncode == 3
    assert b"nothing_of_this_name" in failed.stderr
    with Client(f"unix:{blog}/blog.sock") as client:
        assert client.request("GET", "/x").body == b"hello from /x"
    (blog / "blog.py").write_text(HELLO.replace("hello", "new hello"))
    (blog / "penstock.toml").write_text(FILE.replace("shop, hello", "shop, new"))
    assert penstock("reload", "unix:blog.sock", "--wait").returncode == 0
    # A former worker may take a connection before it has heard that it is to leave.
    assert until(lambda: not any_leaves(json.loads(penstock("status", "--json").stdout)))
    for name, body in (("blog", b"new hello from /x"), ("shop", b"shop, new")):
        with Client(f"unix:{blog}/{name}.sock") as client:
            assert client.request("GET", "/x").body == body
    (blog / "penstock.toml").write_text(FILE.replace("workers = 2", "worker = 2"))
    failed = penstock("reload", "unix:blog.sock", "--wait")
    assert failed.returncode == 3
    assert b"penstock.toml:1: worker: there is no such setting; did you mean workers?" in failed.stderr


def test_stop_with_wait_returns_when_everything_has_gone(two_pools, penstock, blog):
    assert penstock("stop", "unix:blog.sock", "--wait").returncode == 0
    assert not two_pools.running
    assert two_pools.wait() == 0
    assert not list(blog.glob("*.sock*"))
    assert penstock("stop", "unix:blog.sock").returncode == 5


def test_reopen_goes_on_in_a_new_file_when_the_log_has_been_renamed(serve, penstock, blog):
    process, address = serve("--access-log-file", "access.log")
    process.wait_for("control socket: ")  # it can be asked, and the log is open
    (blog / "access.log").rename(blog / "access.log.1")
    assert penstock("reopen", address).returncode == 0
    assert (blog / "access.log").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_signal_is_0_with_workers_too(two_pools, number):
    assert two_pools.stop(number) == 0


def test_an_application_that_cannot_be_loaded_is_3_with_its_traceback_once(penstock, blog):
    (blog / "broken.py").write_text("import nothing_of_this_name\n")
    ended = penstock("serve", "broken:app", "--bind", "unix:b.sock", "--workers", "2")
    assert ended.returncode == 3
    assert ended.stderr.count(b"Traceback") == 1
    assert not (blog / "b.sock").exists()


def test_an_address_that_cannot_be_bound_is_4(penstock):
    ended = penstock("serve", "blog:app", "--bind", "unix:no/such/folder.sock", "--workers", "2")
    assert ended.returncode == 4
    assert b"there is no directory" in ended.stderr


@pytest.mark.parametrize(
    ("words", "told"),
    [(("--pid", "no/such/file"), b"cannot write the pid file"), (("--slow-log-file", "no/such/file"), b"no/such/file")],
)
def test_a_file_that_cannot_be_written_is_2_with_one_sentence_and_leaves_nothing(penstock, blog, words, told):
    before = sorted(blog.iterdir())
    ended = penstock("serve", "blog:app", "--bind", "unix:b.sock", *words)
    assert sorted(blog.iterdir()) == before
    assert ended.returncode == 2
    assert b"Traceback" not in ended.stderr
    assert told in ended.stderr


def test_one_process_has_no_supervisor_to_ask(serve, penstock):
    process, address = serve()
    assert penstock("ping", address).returncode == 5
    told = penstock("ping", str(process.pid))
    assert told.returncode == 5
    assert b"is no supervisor of penstock" in told.stderr
