"""This file hands a listening socket over on descriptor 0, as mod_fcgid, lighttpd, spawn-fcgi and supervisor do."""

from __future__ import annotations

import json
import os
import signal
import socket
from pathlib import Path

import pytest

from penstock.client import Client, ClientError
from penstock.testing import build
from tests.homes.children import NOTHING, PATH_ALONE, PROGRAM, Starter, address_of
from tests.interop.backend import Gate
from tests.processes import PATIENCE, Processes

CLOSED = {1: NOTHING, 2: NOTHING}


def ask(listener: socket.socket, url: str) -> bytes:
    with Client(address_of(listener), PATIENCE) as client:
        response = client.request("GET", url)
        assert response.status == 200
        return response.body


def read_facts(listener: socket.socket) -> dict:
    return json.loads(ask(listener, "/facts"))


def begin(listener: socket.socket, path: str, query: str) -> socket.socket:
    """Send a request and return its connection."""
    client = socket.socket(listener.family)
    client.settimeout(PATIENCE)
    client.connect(listener.getsockname())
    params = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": query}
    client.sendall(build.begin(flags=0) + build.params(params) + build.stdin())
    return client


def read_to_end(client: socket.socket) -> bytes:
    with client.makefile("rb") as file:
        return file.read()


@pytest.fixture(params=["unix", "tcp"])
def listener(request: pytest.FixtureRequest) -> socket.socket:
    """A listening socket of either family."""
    return request.getfixturevalue(request.param)


def test_a_child_serves_its_socket_with_descriptors_1_and_2_closed_and_path_alone(listener, start: Starter):
    child = start(fds={0: listener.fileno(), **CLOSED})
    facts = read_facts(listener)
    assert facts["pid"] == child.pid
    assert set(facts["environ"]) <= {"PATH", "LC_CTYPE"}  # Python itself adds LC_CTYPE
    assert [facts["descriptors"][number] for number in "012"] == [["/dev/null", True]] * 3
    others = [inherited for number, (_, inherited) in facts["descriptors"].items() if int(number) > 2]
    assert others
    assert not any(others), "what the application starts gets none of the sockets"
    assert facts["wsgi"]["wsgi.run_once"] is False


def test_printing_harms_nothing_where_descriptors_1_and_2_are_closed(listener, start: Starter):
    start(fds={0: listener.fileno(), **CLOSED})
    assert ask(listener, "/print") == b"said"
    assert ask(listener, "/") == b"Hello\n"


def test_a_failure_with_nowhere_to_log_it_is_still_a_500(listener, start: Starter):
    start(fds={0: listener.fileno(), **CLOSED})
    with Client(address_of(listener), PATIENCE) as client:
        assert client.request("GET", "/fail").status == 500
        assert client.request("GET", "/").status == 200


def test_errors_reach_standard_error_where_there_is_one(unix, start: Starter):
    child = start(fds={0: unix.fileno(), 1: NOTHING})
    assert ask(unix, "/print") == b"said"
    written = child.read_errors()
    assert "written to wsgi.errors\n" in written
    assert "printed to stderr\n" in written
    assert "\nprinted\n" not in f"\n{written}", "what was to go nowhere does"


def test_a_file_that_the_program_opened_first_is_not_written_to_as_if_it_were_standard_output(unix, start, tmp_path):
    database = tmp_path / "database"
    child = start("--open-first", database, fds={0: unix.fileno(), 1: NOTHING})
    facts = read_facts(unix)
    assert facts["descriptors"]["1"][0] == str(database), "it got the number that was free"
    assert ask(unix, "/print") == b"said"
    assert child.stop(signal.SIGTERM) == 0
    assert database.read_bytes() == b""


def test_a_listening_socket_on_all_three_descriptors_is_served_and_is_not_standard_output(unix, start: Starter):
    # systemd with StandardInput=socket and nothing said of the others
    start(fds=dict.fromkeys((0, 1, 2), unix.fileno()))
    assert ask(unix, "/print") == b"said"
    descriptors = read_facts(unix)["descriptors"]
    assert [descriptors[number][0] for number in "012"] == ["/dev/null"] * 3


@pytest.mark.parametrize("apart", [False, True])
def test_no_request_is_logged_where_standard_output_is_the_error_log(apart, unix, start: Starter, tmp_path):
    with open(tmp_path / "error.log", "ab") as errors, open(tmp_path / "output", "ab") as output:
        child = start(fds={0: unix.fileno(), 1: (output if apart else errors).fileno(), 2: errors.fileno()})
        assert ask(unix, "/print") == b"said"
        assert child.stop(signal.SIGTERM) == 0
    errors_written = (tmp_path / "error.log").read_text()
    assert "written to wsgi.errors\n" in errors_written
    assert '"GET /print" 200' not in errors_written
    assert ('"GET /print" 200' in (tmp_path / "output").read_text()) == apart


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_ends_an_idle_child_with_0_and_leaves_the_path_to_its_maker(
    number, unix, sock_dir: Path, start: Starter
):
    child = start(fds={0: unix.fileno()})
    assert ask(unix, "/") == b"Hello\n"
    assert child.stop(number) == 0
    assert os.listdir(sock_dir) == ["s"]
    successor = start(fds={0: unix.fileno()})
    assert read_facts(unix)["pid"] == successor.pid


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_a_signal_in_the_middle_of_a_request_lets_it_finish(number, listener, sock_dir: Path, start: Starter):
    child = start(fds={0: listener.fileno(), **CLOSED})
    with Gate(sock_dir) as gate, begin(listener, "/wait", gate.path) as client:
        gate.arrivals()
        child.popen.send_signal(number)
        gate.open()
        assert b"waited" in read_to_end(client)
    assert child.wait() == 0


def test_the_second_signal_ends_a_child_at_once(unix, sock_dir: Path, start: Starter):
    child = start(fds={0: unix.fileno()})
    with Gate(sock_dir) as gate, begin(unix, "/wait", gate.path):
        gate.arrivals()
        child.popen.send_signal(signal.SIGTERM)
        child.popen.send_signal(signal.SIGUSR1)  # another one: the kernel would make one of two that are the same
        assert child.wait() == 0


def test_several_children_share_one_socket(unix, sock_dir: Path, start: Starter):
    children = [start(fds={0: unix.fileno(), **CLOSED}) for _ in range(2)]
    # With one thread each, a child that stands at the gate takes no second request: both have to be at work.
    with Gate(sock_dir) as gate, begin(unix, "/wait", gate.path) as one, begin(unix, "/wait", gate.path) as other:
        gate.arrivals(2)
        gate.open()
        assert b"waited" in read_to_end(one)
        assert b"waited" in read_to_end(other)
    for child in children:
        assert child.stop(signal.SIGTERM) == 0


def test_fcgi_web_server_addrs_keeps_other_peers_out(tcp, start: Starter):
    start(fds={0: tcp.fileno()}, env=PATH_ALONE | {"FCGI_WEB_SERVER_ADDRS": "192.0.2.1,192.0.2.2"})
    with pytest.raises(ClientError):
        ask(tcp, "/")


def test_fcgi_web_server_addrs_lets_its_peers_in(tcp, start: Starter):
    start(fds={0: tcp.fileno()}, env=PATH_ALONE | {"FCGI_WEB_SERVER_ADDRS": "192.0.2.1,127.0.0.1"})
    assert ask(tcp, "/") == b"Hello\n"


def test_a_public_port_is_served_with_a_warning_for_whoever_opened_it_meant_it(start: Starter):
    with socket.create_server(("0.0.0.0", 0)) as public:
        child = start(fds={0: public.fileno()})
        assert ask(public, "/") == b"Hello\n"
    assert "FastCGI has no password" in child.read_errors()


def test_a_public_port_with_a_list_of_peers_gets_no_warning(start: Starter):
    with socket.create_server(("0.0.0.0", 0)) as public:
        child = start(fds={0: public.fileno()}, env=PATH_ALONE | {"FCGI_WEB_SERVER_ADDRS": "127.0.0.1"})
        assert ask(public, "/") == b"Hello\n"
    assert "WARNING" not in child.read_errors()


def test_a_port_on_loopback_gets_no_warning(tcp, start: Starter):
    child = start(fds={0: tcp.fileno()})
    assert ask(tcp, "/") == b"Hello\n"
    assert "listening on" in child.read_errors()
    assert "WARNING" not in child.read_errors()


# spawn-fcgi itself


def test_spawn_fcgi_starts_the_program_in_the_foreground(spawn_fcgi, processes: Processes, sock_dir: Path):
    process = processes.start(spawn_fcgi, "-n", "-s", f"{sock_dir}/s", "-M", "0600", "--", *PROGRAM)
    assert process.wait_for(r"listening on (.*)")[1] == f"unix:{sock_dir}/s (fd:0)"
    with Client(f"unix:{sock_dir}/s", PATIENCE) as client:
        assert client.request("GET", "/").body == b"Hello\n"
    assert process.stop() == 0


def test_spawn_fcgi_starts_the_program_in_the_background(spawn_fcgi, processes: Processes, free_port: int):
    process = processes.start(spawn_fcgi, "-a", "127.0.0.1", "-p", str(free_port), "--", *PROGRAM)
    pid = int(process.wait_for(r"PID: (\d+)")[1])
    try:
        assert process.wait() == 0
        with Client(f"127.0.0.1:{free_port}", PATIENCE) as client:
            facts = json.loads(client.request("GET", "/facts").body)
        assert facts["pid"] == pid
        assert [facts["descriptors"][number][0] for number in "12"] == ["/dev/null"] * 2
    finally:
        os.kill(pid, signal.SIGTERM)
        assert os.waitpid(pid, 0)[1] == 0
