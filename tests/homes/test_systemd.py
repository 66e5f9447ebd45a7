"""This file hands listening sockets over as systemd does: from descriptor 3 on, with LISTEN_FDS and LISTEN_PID."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from penstock.client import Client
from tests.homes.children import NOTHING, PATH_ALONE, PROGRAM, Starter, address_of
from tests.processes import PATIENCE, Processes, find_binary


def read_facts(address: str) -> dict:
    with Client(address, PATIENCE) as client:
        return json.loads(client.request("GET", "/facts").body)


def test_all_sockets_are_served_and_no_child_is_told_of_them(unix, tcp, start: Starter):
    env = PATH_ALONE | {"LISTEN_FDNAMES": "web:admin", "LISTEN_PIDFDID": "7"}
    child = start(fds={3: tcp.fileno(), 4: unix.fileno(), 1: NOTHING, 2: NOTHING}, env=env, listen=2)
    for listener in (unix, tcp):
        facts = read_facts(address_of(listener))
        assert facts["pid"] == child.pid
        assert not [name for name in facts["environ"] if name.startswith("LISTEN_")]
        assert not [what for number, (what, inherited) in facts["descriptors"].items() if inherited and int(number) > 2]
    assert child.stop(signal.SIGTERM) == 0


def test_sockets_for_another_process_are_left_alone_and_the_log_says_why(unix, start: Starter):
    env = PATH_ALONE | {"LISTEN_FDS": "1", "LISTEN_PID": "1"}
    child = start(fds={3: unix.fileno()}, env=env)
    assert child.wait() == 0, "it has answered as in a shell"
    assert f"the sockets of LISTEN_FDS are for process 1, and this is {child.pid}" in child.read_errors()


def test_what_is_no_listening_socket_is_refused_in_a_sentence(start: Starter):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = start(fds={3: theirs.fileno()}, listen=1)
        assert child.wait() == 1
    assert "cannot listen on fd:3: the socket on descriptor 3 is connected or idle" in child.read_errors()


def test_a_socket_that_is_missing_is_noticed_before_another_can_get_its_number(unix, start: Starter):
    child = start(fds={3: unix.fileno()}, listen=2)
    assert child.wait() == 1
    assert child.read_errors().startswith("cannot listen on fd:4: LISTEN_FDS says 2 and descriptor 4 is not open;")


def test_a_public_port_is_served_with_a_warning(start: Starter):
    with socket.create_server(("0.0.0.0", 0)) as public:
        child = start(fds={3: public.fileno()}, listen=1)
        assert read_facts(address_of(public))["pid"] == child.pid
    assert "FastCGI has no password" in child.read_errors()


def test_a_socket_on_descriptor_0_goes_first(unix, tcp, start: Starter):
    child = start(fds={0: unix.fileno(), 3: tcp.fileno()}, listen=1)
    assert read_facts(address_of(unix))["pid"] == child.pid


# systemd's own hand


@pytest.fixture
def activate() -> str:
    """The path of systemd-socket-activate, which needs no running systemd."""
    path = find_binary("systemd-socket-activate")
    if path is None:
        pytest.skip("systemd-socket-activate is not installed")
    return path


def test_systemd_starts_the_program_at_the_first_connection(activate, processes: Processes, sock_dir: Path, free_port):
    places = [f"{sock_dir}/s", f"127.0.0.1:{free_port}"]
    listens = [word for place in places for word in ("--listen", place)]
    process = processes.start(activate, *listens, "--fdname", "web:admin", *PROGRAM)
    process.wait_for("Listening on", count=2)
    with Client(f"unix:{sock_dir}/s", PATIENCE) as client:
        first = json.loads(client.request("GET", "/facts").body)
    second = read_facts(places[1])
    assert first["pid"] == second["pid"] == process.pid, "systemd becomes the program"
    assert not [name for name in second["environ"] if name.startswith("LISTEN_")]
    assert process.stop() == 0
    assert os.path.exists(f"{sock_dir}/s"), "systemd made it, and listens on"
