"""This file tests what a supervisor opens, and what a forked child of a pool keeps of it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from penstock.manager.plan import Plan, PoolPlan
from penstock.manager.scoreboard import Running
from penstock.manager.sockets import Sockets
from penstock.server.listen import AddressError
from tests.manager.forked import in_child


def plan(folder: Path, *pools: str, status: str | None = None) -> Plan:
    return Plan(
        tuple(
            PoolPlan(name, "app:app", (f"unix:{folder}/{name}.sock",), access_log_file=f"{folder}/{name}.log")
            for name in pools
        ),
        slow_log_file=f"{folder}/slow.log",
        status_bind=status,
    )


def links() -> set[str]:
    return {os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/dev/fd/{fd}")}


def test_every_pool_has_its_sockets_and_its_log(sock_dir):
    sockets = Sockets(plan(sock_dir, "one", "two", status=f"unix:{sock_dir}/status.sock"), heard=False)
    assert [[listener.address for listener in pool] for pool in sockets.listeners] == [
        [f"unix:{sock_dir}/one.sock"],
        [f"unix:{sock_dir}/two.sock"],
    ]
    assert set(sockets.access_files) == {"one", "two"}
    sockets.close()
    assert not list(sock_dir.glob("*.sock*"))


def test_a_pool_that_writes_no_access_log_leaves_the_file_of_the_others_alone(sock_dir):
    one, two = plan(sock_dir, "one", "two").pools
    quiet = replace(two, access_log_file=one.access_log_file, user="nobody", serving={"access_log": False})
    sockets = Sockets(Plan((one, quiet)), heard=False)
    assert set(sockets.access_files) == {"one"}
    assert os.stat(f"{sock_dir}/one.log").st_uid == os.geteuid()
    sockets.close()


def test_where_one_address_is_wrong_nothing_is_left(sock_dir):
    with pytest.raises(AddressError):
        Sockets(plan(sock_dir, "one", status="no address"), heard=False)
    assert not list(sock_dir.glob("*.sock*"))


def test_a_child_of_a_pool_keeps_the_log_of_that_pool_alone(sock_dir):
    wanted = plan(sock_dir, "one", "two")
    sockets = Sockets(wanted, heard=False)

    def child() -> set[str]:
        sockets.let_go(wanted.pools[0])
        return {Path(link).name for link in links() if link.startswith(str(sock_dir))}

    found = in_child(child)
    assert "one.log" in found
    assert not {"two.log", "slow.log"} & found
    sockets.close()


def test_a_request_that_was_cut_off_is_in_the_access_log_as_one_line(sock_dir):
    wanted = plan(sock_dir, "one")
    sockets = Sockets(wanted, heard=False)
    request = Running('GET /x"\n\x1b[31m', time.monotonic_ns())
    sockets.write_access(wanted.pools[0], request, 502, "worker-7-died")
    sockets.close()
    (line,) = (sock_dir / "one.log").read_text().splitlines()
    assert '"GET /x\\x22\\x0a\\x1b[31m' in line
    assert " 502 " in line
    assert "worker-7-died" in line
