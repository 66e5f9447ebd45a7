"""This file takes away what a server writes its logs to; it serves on, with closed descriptors too."""

from __future__ import annotations

import os

import pytest

from tests.faults.measure import Meter
from tests.faults.peer import Peer
from tests.interop.backend import PLAIN, start

HELLO = b"hello, world\n"


@pytest.mark.parametrize("stdout", [">/dev/full", ">&-", "<&- >&-"], ids=["full", "closed", "stdin closed too"])
@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_without_a_place_for_the_access_log_requests_are_answered(processes, sock_dir, stdout, transport):
    bind = f"unix:{sock_dir}/app" if transport == "unix" else "127.0.0.1:0"
    wrapper = ("sh", "-c", f'exec "$@" {stdout}', "sh")
    backend = start(processes, "--threads", "2", bind=(bind,), app=PLAIN, wrapper=wrapper)
    with Peer(backend) as peer, Peer(backend) as other:
        for _ in range(100):
            assert peer.ask("/hello") == HELLO
            assert other.ask("/hello") == HELLO
    backend.check_sound()
    # No connection, listener or lock file has become standard output, for which prints and access log are meant.
    for number in (0, 1):
        assert Meter(backend.pid).link(number) in ("/dev/null", "/dev/full")
    if transport == "unix":
        assert os.stat(f"{sock_dir}/app.lock").st_size == 0
    assert backend.process.stop() == 0
