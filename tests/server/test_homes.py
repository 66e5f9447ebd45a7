"""This file tests how a process finds out who started it; the same with real hand-over is in tests/homes."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from penstock.server.homes import Home, PassedSocket, find_home, passed_sockets

CGI = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET"}


def systemd(**more: str) -> dict[str, str]:
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"} | more


@pytest.fixture
def opened() -> Iterator[dict[str, int]]:
    """One descriptor of every kind, by what it is."""
    with ExitStack() as stack:

        def keep(sock: socket.socket) -> socket.socket:
            return stack.enter_context(sock)

        def listening(family: int, where: str | tuple[str, int]) -> int:
            sock = keep(socket.socket(family))
            sock.bind(where)
            sock.listen()
            return sock.fileno()

        def file(fd: int) -> int:
            stack.callback(os.close, fd)
            return fd

        pair = [keep(sock) for sock in socket.socketpair()]
        bound = keep(socket.socket(socket.AF_UNIX))
        bound.bind("")
        server = keep(socket.create_server(("127.0.0.1", 0)))
        client = keep(socket.create_connection(server.getsockname()))
        yield {
            "listening unix": listening(socket.AF_UNIX, ""),
            "listening IPv4": listening(socket.AF_INET, ("127.0.0.1", 0)),
            "listening, with a client": server.fileno(),
            "idle unix": keep(socket.socket(socket.AF_UNIX)).fileno(),
            "idle IPv4": keep(socket.socket()).fileno(),
            "bound": bound.fileno(),
            "datagram": keep(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno(),
            "connected unix": pair[0].fileno(),
            "connected IPv4": client.fileno(),
            "pipe": min(file(fd) for fd in os.pipe()),
            "/dev/null": file(os.open(os.devnull, os.O_RDWR)),
            "file": file(os.open(__file__, os.O_RDONLY)),
            "terminal": max(file(fd) for fd in os.openpty()),
            "closed": 1_000_000,
        }


LISTENING = ["listening unix", "listening IPv4", "listening, with a client"]
OTHERS = [
    *("idle unix", "idle IPv4", "bound", "datagram", "connected unix", "connected IPv4"),
    *("pipe", "/dev/null", "file", "closed"),
]


@pytest.mark.parametrize("kind", LISTENING)
@pytest.mark.parametrize("environ", [{}, CGI, systemd()], ids=["bare", "CGI", "systemd"])
def test_a_listening_socket_on_descriptor_0_decides_alone(kind, environ, opened):
    assert find_home(environ, opened[kind]) is Home.FASTCGI


@pytest.mark.parametrize("kind", [*OTHERS, "terminal"])
def test_what_systemd_passes_comes_next(kind, opened):
    assert find_home(systemd() | CGI, opened[kind]) is Home.SYSTEMD


@pytest.mark.parametrize("kind", OTHERS)
@pytest.mark.parametrize("name", list(CGI))
def test_a_request_in_the_environment_is_cgi_whatever_descriptor_0_is(kind, name, opened):
    assert find_home({name: CGI[name]}, opened[kind]) is Home.CGI


def test_but_whoever_sits_at_a_terminal_wants_to_read_the_answer(opened):
    assert find_home(CGI, opened["terminal"]) is Home.SHELL


@pytest.mark.parametrize("kind", [*OTHERS, "terminal"])
def test_everything_else_is_the_shell(kind, opened):
    assert find_home({"PATH": "/bin"}, opened[kind]) is Home.SHELL


def test_only_without_a_socket_is_one_request_all():
    assert [home.name for home in Home if home.once] == ["CGI", "SHELL"]


def test_looking_changes_nothing(opened):
    environ = systemd()
    for fd in opened.values():
        before = os.get_blocking(fd) if fd < 1_000_000 else None
        find_home(environ, fd)
        assert (os.get_blocking(fd) if fd < 1_000_000 else None) == before
    assert environ == systemd()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        systemd(LISTEN_PID="1"),
        systemd(LISTEN_PID=""),
        *(systemd(LISTEN_FDS=count) for count in ("", "0", "-1", "one", "1 ", "٣", "9" * 30)),
    ],
)
def test_sockets_for_somebody_else_or_in_no_number_are_none(environ):
    assert passed_sockets(environ) == []
    assert find_home(environ, 1_000_000) is Home.SHELL


def test_sockets_are_counted_from_descriptor_3_and_keep_their_names():
    environ = systemd(LISTEN_FDS="3", LISTEN_FDNAMES="web:admin")
    assert passed_sockets(environ) == [PassedSocket(3, "web"), PassedSocket(4, "admin"), PassedSocket(5, "")]
    assert passed_sockets(systemd(LISTEN_FDNAMES="")) == [PassedSocket(3, "")]
    assert passed_sockets(systemd()) == [PassedSocket(3, "")]
