"""This file changes penstock.toml below running supervisors: what a reload makes of it, and what nobody must notice."""

from __future__ import annotations

import contextlib
import os
import socket
from functools import partial

import pytest

from penstock.gateways.webserver import cgi_params
from penstock.testing import build
from tests.manager.load import Client, Crowd, connect
from tests.manager.supervised import Site, until, write_app
from tests.processes import PATIENCE

TOP = 'control = "control"\nprobation = 0\naccess_log = false\n'


def pool(name, bind, workers="1", more=""):
    return f'[pool.{name}]\napp = "app:app"\nbind = {bind!r}\nworkers = "{workers}"\n{more}\n'


@pytest.fixture
def site(processes, sock_dir):
    """Serves two pools: a on a.sock and b on b.sock."""
    write_app(sock_dir, 1)
    write(sock_dir, pool("a", "unix:a.sock"), pool("b", "unix:b.sock"))
    process = processes.penstock("serve", cwd=sock_dir, env={"PYTHONDONTWRITEBYTECODE": "1"})
    site = Site(process, sock_dir)
    yield site
    assert process.stop() == 0, process.output()
    assert until(lambda: not site.family())
    assert not [path.name for path in sock_dir.iterdir() if path.is_socket() or path.suffix == ".lock"]
    assert "fault of penstock" not in process.output()


def write(folder, *pools, top=TOP):
    (folder / "new.toml").write_text(top + "".join(pools))
    (folder / "new.toml").replace(folder / "penstock.toml")


def ask(address, url="/"):
    with contextlib.closing(Client(address)) as client:
        return client.ask(url)


def names(site):
    return [each["name"] for each in site.status()["pools"]]


def test_a_pool_that_is_added_serves_and_the_others_lose_nothing(site, sock_dir):
    with Crowd(f"unix:{sock_dir}/a.sock", 4) as crowd:
        crowd.wait_for(50)
        write(sock_dir, pool("a", "unix:a.sock"), pool("b", "unix:b.sock"), pool("c", "unix:c.sock"))
        site.reload()
        crowd.wait_for(50)
    assert not crowd.failures
    assert ask(f"unix:{sock_dir}/c.sock") == b"1"
    assert names(site) == ["a", "b", "c"]


def test_who_waits_at_a_pool_that_is_removed_is_answered(site, sock_dir):
    address = f"unix:{sock_dir}/b.sock"
    with connect(address) as busy, connect(address) as waits:
        busy.sendall(build.request(cgi_params("GET", "/sleep/3"), b"", request_id=1, flags=0))
        site.until(lambda status: status["pools"][1]["workers"][0]["state"] == "busy")
        waits.sendall(build.request(cgi_params("GET", "/"), b"", request_id=1, flags=0))
        write(sock_dir, pool("a", "unix:a.sock"))
        site.reload()
        assert not os.path.exists(sock_dir / "b.sock")
        for sock in (busy, waits):
            assert b"200 OK" in b"".join(iter(partial(sock.recv, 65536), b""))
    site.until(lambda _: names(site) == ["a"])
    assert ask(f"unix:{sock_dir}/a.sock") == b"1"


def test_a_pool_moves_to_another_address_and_keeps_one(site, sock_dir, free_port):
    both = ["unix:a.sock", "unix:old.sock"]
    write(sock_dir, pool("a", both), pool("b", "unix:b.sock"))
    site.reload()
    assert ask(f"unix:{sock_dir}/old.sock") == b"1"
    with Crowd(f"unix:{sock_dir}/a.sock", 4, keep=False) as crowd, socket.socket(socket.AF_UNIX) as late:
        crowd.wait_for(50)
        late.connect(f"{sock_dir}/old.sock")
        late.settimeout(PATIENCE)
        late.sendall(build.request(cgi_params("GET", "/"), b"", request_id=1, flags=0))
        write(sock_dir, pool("a", ["unix:a.sock", f"127.0.0.1:{free_port}"]), pool("b", "unix:b.sock"))
        site.reload()
        assert b"200 OK" in b"".join(iter(lambda: late.recv(65536), b""))
        crowd.wait_for(50)
    assert not crowd.failures
    assert ask(f"127.0.0.1:{free_port}") == b"1"
    assert until(lambda: not os.path.exists(sock_dir / "old.sock"))


def test_more_workers_and_threads_than_at_the_start(site, sock_dir):
    requests = site.status()["requests"]
    assert ask(f"unix:{sock_dir}/a.sock") == b"1"
    write(sock_dir, pool("a", "unix:a.sock", "6", "threads = 40"), pool("b", "unix:b.sock"))
    site.reload()
    site.until(lambda status: len([w for w in status["pools"][0]["workers"] if w["state"] == "idle"]) == 6)
    site.until(lambda status: status["requests"] == requests + 1)
    assert site.status()["reloads"] == {"ok": 1, "failed": 0}


def test_an_address_that_cannot_be_opened_fails_the_reload_and_all_stays(site, sock_dir):
    before = site.status()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        write(sock_dir, pool("a", "unix:a.sock"), pool("c", "unix:c.sock"), pool("d", f"127.0.0.1:{port}"))
        answer = site.tell("reload", wait=True)
    assert not answer["ok"]
    assert "the port is in use" in answer["error"]
    assert not os.path.exists(sock_dir / "c.sock")
    assert names(site) == ["a", "b"]
    assert site.status()["generation"] == before["generation"]
    assert ask(f"unix:{sock_dir}/b.sock") == b"1"


def test_an_application_that_cannot_be_loaded_fails_the_reload_and_the_former_pools_serve_on(site, sock_dir):
    broken = pool("c", "unix:c.sock").replace("app:app", "nothing:app")
    write(sock_dir, pool("a", "unix:a.sock"), broken)
    answer = site.tell("reload", wait=True)
    assert not answer["ok"]
    assert "nothing" in answer["error"]
    assert ask(f"unix:{sock_dir}/a.sock") == b"1"
    assert ask(f"unix:{sock_dir}/b.sock") == b"1"
    write(sock_dir, pool("a", "unix:a.sock"))
    site.reload()
    site.until(lambda _: names(site) == ["a"])


def test_a_pool_that_is_added_and_cannot_be_loaded_does_not_make_the_others_unready(site, sock_dir):
    top = TOP + 'status_bind = "unix:status.sock"\n'
    broken = pool("c", "unix:c.sock").replace("app:app", "nothing:app")
    write(sock_dir, pool("a", "unix:a.sock"), broken, top=top)
    assert not site.tell("reload", wait=True)["ok"]
    assert ask(f"unix:{sock_dir}/status.sock", "/ping") == b"pong\n"


@pytest.mark.parametrize("name", ["pid", "control", "slow_log_file", "access_log_file", "status_bind"])
def test_a_file_that_cannot_be_had_fails_the_reload_and_all_stays(site, sock_dir, name):
    top = "".join(line for line in TOP.splitlines(keepends=True) if not line.startswith((name, "access_log")))
    address = "unix:nowhere/file" if name == "status_bind" else "nowhere/file"
    write(sock_dir, pool("a", "unix:a.sock"), top=f'{top}{name} = "{address}"\n')
    answer = site.tell("reload", wait=True)
    assert not answer["ok"]
    assert f"{sock_dir}/nowhere" in answer["error"]
    assert ask(f"unix:{sock_dir}/a.sock") == b"1"
    assert names(site) == ["a", "b"]
    write(sock_dir, pool("a", "unix:a.sock"))
    site.reload()


def test_files_and_the_control_socket_move(site, sock_dir):
    top = TOP.replace('"control"', '"moved"') + 'pid = "pid"\n'
    write(sock_dir, pool("a", "unix:a.sock", more='access_log = true\naccess_log_file = "access.log"'), top=top)
    assert site.tell("reload", wait=True)["ok"]
    assert not os.path.exists(sock_dir / "control")
    site._control = f"{sock_dir}/moved"
    assert int((sock_dir / "pid").read_text()) == site.pid
    site.let_leave()
    assert ask(f"unix:{sock_dir}/a.sock", "/here") == b"1"
    assert until(lambda: "GET /here" in (sock_dir / "access.log").read_text())
    write(sock_dir, pool("a", "unix:a.sock"), top=top.replace("pid = ", "#"))
    site.reload()
    assert not os.path.exists(sock_dir / "pid")
