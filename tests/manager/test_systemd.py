"""Tests of sd_notify: what a service manager reads, and that its absence and its slowness are nobody's trouble."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from penstock.manager.systemd import Notifier
from tests.manager.forked import in_child


@pytest.fixture(params=["path", "abstract"])
def manager(request, sock_dir):
    """The socket of a service manager, and its address as NOTIFY_SOCKET has it."""
    path = f"{sock_dir}/notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(path if request.param == "path" else "\0" + path)
        sock.settimeout(20)
        yield sock, path if request.param == "path" else "@" + path


@pytest.fixture
def notifier(manager):
    made = Notifier({"NOTIFY_SOCKET": manager[1]})
    yield made
    made.close()


def heard(manager) -> list[str]:
    return manager[0].recv(4096).decode().split("\n")


def test_each_state_is_one_message(manager, notifier):
    notifier.ready("serving")
    assert heard(manager) == ["READY=1", "STATUS=serving"]
    notifier.stopping()
    assert heard(manager) == ["STOPPING=1"]
    notifier.watchdog()
    assert heard(manager) == ["WATCHDOG=1"]
    notifier.extend_timeout(1.5)
    assert heard(manager) == ["EXTEND_TIMEOUT_USEC=1500000"]
    notifier.remove_fds("main")
    assert heard(manager) == ["FDSTOREREMOVE=1", "FDNAME=main"]


def test_a_reload_says_when_it_began(manager, notifier):
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading("new code")
    first, second, third = heard(manager)
    assert (first, third) == ("RELOADING=1", "STATUS=new code")
    assert before <= int(second.removeprefix("MONOTONIC_USEC=")) <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


def test_a_status_is_one_line_and_brings_no_other_assignment(manager, notifier):
    notifier.status("cannot import\nMAINPID=1\n  \udcff")
    assert heard(manager) == ["STATUS=cannot import MAINPID=1 \\udcff"]


def test_descriptors_are_handed_over_under_a_name(manager, notifier):
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        assert notifier.store_fds("pool-main", [one.fileno(), two.fileno()])
        data, fds, _, _ = socket.recv_fds(manager[0], 4096, 8)
        assert data == b"FDSTORE=1\nFDNAME=pool-main"
        copies = [socket.socket(fileno=fd) for fd in fds]
        assert [copy.getsockname() for copy in copies] == [one.getsockname(), two.getsockname()]
        for copy in copies:
            copy.close()


@pytest.mark.parametrize("name", ["", "a:b", "a\nb", "é", "x" * 256])
def test_a_name_that_systemd_would_not_take_is_refused(name, notifier):
    with pytest.raises(ValueError, match="is no name for descriptors"):
        notifier.store_fds(name, [0])
    with pytest.raises(ValueError, match="is no name for descriptors"):
        notifier.remove_fds(name)


def test_too_many_descriptors_are_refused(notifier):
    with pytest.raises(ValueError, match="254 descriptors do not fit"):
        notifier.store_fds("main", [0] * 254)


def test_the_environment_of_children_says_nothing_of_it(manager):
    environ = {"NOTIFY_SOCKET": manager[1], "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid()), "HOME": "/"}
    given = dict(environ)
    notifier = Notifier(environ)
    notifier.close()
    assert environ == {"HOME": "/"}
    assert environ | notifier.environ == given


@pytest.mark.parametrize("address", [None, "", "@", "relative", "vsock:2:1234", "/no/such/socket", "/" + "x" * 200])
def test_without_a_service_manager_nothing_happens(address):
    notifier = Notifier({} if address is None else {"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("still here")
    notifier.watchdog()
    assert not notifier.store_fds("main", [0])
    assert notifier.flush()
    notifier.close()


def test_a_manager_that_has_gone_is_no_error(manager, notifier):
    manager[0].close()
    notifier.ready()
    notifier.stopping()
    assert notifier.flush()


def test_a_manager_that_does_not_read_blocks_nobody_and_hears_the_important_things_later(manager, notifier):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)
        try:
            while True:
                other.sendto(b"noise", manager[0].getsockname())
        except BlockingIOError:
            pass
    notifier.ready()
    notifier.status("dropped")
    notifier.watchdog()
    notifier.stopping()
    assert not notifier.flush()
    assert not notifier.store_fds("main", [0])
    manager[0].setblocking(False)
    said = []
    while True:
        try:
            message = manager[0].recv(4096)
        except BlockingIOError:
            break
        if message != b"noise":
            said.append(message)
        notifier.flush()
    assert said == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize(
    ("environ", "interval"),
    [
        ({}, 0.0),
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-5"}, 0.0),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_systemd_asks(environ, interval):
    assert Notifier(environ).watchdog_interval == interval


def test_a_program_that_is_started_does_not_have_the_socket(notifier):
    def listing() -> bytes:
        command = "import os; print(sorted(os.listdir('/proc/self/fd')))"
        return subprocess.run([sys.executable, "-c", command], capture_output=True, check=True, close_fds=False).stdout

    with_it = in_child(listing)
    notifier.close()
    assert in_child(listing) == with_it
