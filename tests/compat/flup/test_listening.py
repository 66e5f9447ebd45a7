"""This file tests where flup's servers listen, and whom they let in."""

# ruff: noqa: N802 - flup's names

from __future__ import annotations

import os
import socket
import stat
import threading
from pathlib import Path

import pytest

from penstock.compat.flup.listening import CannotListen, bind_text, socket_mode
from penstock.compat.flup.server import fcgi, scgi
from tests.compat.flup.live import hello, live


@pytest.fixture
def umask():
    """Sets the umask of the process for one test."""
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("/run/app.sock", "unix:/run/app.sock"),
        ("./hello-world.sock", "unix:./hello-world.sock"),
        (Path("/run/app.sock"), "unix:/run/app.sock"),
        (("127.0.0.1", 8000), "127.0.0.1:8000"),
        (("localhost", 4000), "localhost:4000"),
        (["localhost", 4000], "localhost:4000"),
        (("", 8000), "0.0.0.0:8000"),
        (("::1", 808, 0), "[::1]:808"),
        (("::", 808, 0, 0), "[::]:808"),
    ],
)
def test_a_bind_address_of_flup_is_an_address_of_penstock(address, text):
    assert bind_text(address) == text


@pytest.mark.parametrize("address", ["", 8000, ("localhost",), ("localhost", "8000"), (None, 8000), object(), b"/x"])
def test_anything_else_is_refused_with_what_it_should_be(address):
    with pytest.raises(ValueError, match=r"it is a path for a unix socket, or \(host, port\)"):
        bind_text(address)


@pytest.mark.parametrize(("given", "mode"), [(0, 0o777), (0o002, 0o775), (0o022, 0o755), (0o077, 0o700)])
def test_a_umask_makes_the_mode_that_bind_would_make(given, mode, sock_dir, umask):
    umask(0o777)  # the process's own does not count then
    path = f"{sock_dir}/s"
    with live(fcgi.WSGIServer(hello, bindAddress=path, umask=given)):
        assert stat.S_IMODE(os.stat(path).st_mode) == mode
    assert os.umask(0) == 0o777


@pytest.mark.parametrize(("own", "mode"), [(0o022, 0o660), (0o027, 0o660), (0o077, 0o660), (0o002, 0o660), (0, 0o666)])
def test_without_one_it_is_0660_unless_the_process_has_a_umask_that_lets_everybody_write(own, mode, umask):
    umask(own)
    assert socket_mode(None) == mode
    assert os.umask(0) == own


def test_a_socket_that_flup_has_left_behind_is_no_hindrance(sock_dir):
    path = f"{sock_dir}/s"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(path)
    with live(fcgi.WSGIServer(hello, bindAddress=path)) as running, running.client() as client:
        assert client.request("GET", "/").status == 200


def test_a_file_that_is_no_socket_is_left_alone(tmp_path):
    # flup deletes whatever lies at the path
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(CannotListen, match="a file that is no socket is there") as caught:
        fcgi.WSGIServer(hello, bindAddress=str(path)).run()
    assert isinstance(caught.value, OSError), "programs expect a socket.error"
    assert path.read_text() == "data"


def test_a_port_that_is_taken_is_an_oserror_in_one_sentence():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="the port is in use"):
        fcgi.WSGIServer(hello, bindAddress=taken.getsockname()).run()


def test_a_path_object_and_a_port_of_the_kernels_choice(sock_dir):
    for address in (sock_dir / "s", ("127.0.0.1", 0)):
        with live(fcgi.WSGIServer(hello, bindAddress=address)) as running, running.client() as client:
            assert client.request("GET", "/").body == b"hello"


def test_an_address_open_to_the_world_is_obeyed_with_a_warning(caplog, monkeypatch):
    monkeypatch.delenv("FCGI_WEB_SERVER_ADDRS", raising=False)
    with live(fcgi.WSGIServer(hello, bindAddress=("", 0))) as running, running.client() as client:
        assert client.request("GET", "/").status == 200
    assert "everyone who reaches" in caplog.text
    assert "FCGI_WEB_SERVER_ADDRS" in caplog.text
    caplog.clear()
    monkeypatch.setenv("FCGI_WEB_SERVER_ADDRS", "127.0.0.1")
    with live(fcgi.WSGIServer(hello, bindAddress=("", 0))) as running, running.client() as client:
        assert client.request("GET", "/").status == 200
    with live(fcgi.WSGIServer(hello, bindAddress=("127.0.0.1", 0))):
        assert "everyone" not in caplog.text


@pytest.mark.parametrize(
    ("allowed", "lets_in"), [(None, True), (["127.0.0.1"], True), (["192.0.2.1"], False), ([], False)]
)
def test_scgi_lets_in_whom_allowedServers_names(allowed, lets_in, caplog):
    server = scgi.WSGIServer(hello, bindAddress=("127.0.0.1", 0), allowedServers=allowed)
    with live(server) as running, running.connect() as peer:
        peer.sock.sendall(b"no netstring")  # which ends the connection in any case
        assert peer.closed()
    assert ("not in the allow-list" in caplog.text) is not lets_in


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_overridden_isClientAllowed_decides_too(kind, sock_dir):
    asked = []

    class Server(fcgi.WSGIServer):
        def _isClientAllowed(self, addr):
            asked.append(addr)
            return len(asked) > 1

    address = ("127.0.0.1", 0) if kind == "tcp" else f"{sock_dir}/s"
    with live(Server(hello, bindAddress=address)) as running:
        with running.connect() as peer:
            assert peer.closed()
        with running.client() as client:
            assert client.request("GET", "/").status == 200
    assert len(asked) == 2
    if kind == "tcp":
        assert asked[0][0] == "127.0.0.1"


def test_an_isClientAllowed_that_fails_lets_nobody_in(sock_dir, caplog):
    class Server(fcgi.WSGIServer):
        def _isClientAllowed(self, addr):
            raise LookupError(addr)

    with live(Server(hello, bindAddress=f"{sock_dir}/s")) as running, running.connect() as peer:
        assert peer.closed()
    assert "_isClientAllowed() failed" in caplog.text


def test_a_program_may_bring_a_socket_of_its_own(sock_dir):
    class Server(fcgi.WSGIServer):
        def _setupSocket(self):
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(f"{sock_dir}/own")
            sock.listen(5)
            return sock

        def _cleanupSocket(self, sock):
            cleaned.append(sock)
            fcgi.WSGIServer._cleanupSocket(self, sock)

    cleaned: list[socket.socket] = []
    with live(Server(hello)) as running, running.client() as client:
        assert client.request("GET", "/").status == 200
    assert cleaned[0].fileno() == -1


def test_a_program_may_change_what_flup_has_bound(sock_dir):
    path = f"{sock_dir}/s"

    class Server(fcgi.WSGIServer):
        def _setupSocket(self):
            sock = fcgi.WSGIServer._setupSocket(self)
            os.chmod(path, 0o604)
            return sock

    with live(Server(hello, bindAddress=path)) as running, running.client() as client:
        assert client.request("GET", "/").status == 200
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o604
    assert not os.path.exists(path)


@pytest.mark.parametrize("roles", [(7,), ("x",), 1, None])
def test_roles_that_are_none_are_refused_in_one_sentence(roles, sock_dir):
    server = fcgi.WSGIServer(hello, bindAddress=f"{sock_dir}/s", roles=roles)
    with pytest.raises(ValueError, match="it is a tuple of FCGI_RESPONDER and its kin"):
        server.run()
    assert os.listdir(sock_dir) == []
    assert threading.active_count() == 1
