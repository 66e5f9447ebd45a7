"""Tests of a server in a thread: what a program gets that serves while it does something else."""

from __future__ import annotations

import socket
import threading

import pytest

import penstock
from penstock.client import Client, ClientError
from penstock.gateways.request import StartupFailed
from tests.server.asgi_apps import hello as async_hello
from tests.server.peers import Gate, Peer, hello, request


@pytest.mark.parametrize("threads", [1, 4])
def test_it_serves_on_a_free_port_until_the_block_ends(quick_end, threads):
    with penstock.Server(hello, threads=threads) as server:
        with Client(server.address) as client:
            assert client.request("GET", "/").body == b"hello, world\n"
        assert server.address == server.addresses[0]
        assert server.address.startswith("127.0.0.1:")
    with Client(server.address) as client, pytest.raises(ClientError):
        client.request("GET", "/")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("penstock-")]


def test_asgi_applications_and_several_addresses_likewise(quick_end, sock_dir):
    with penstock.Server(async_hello, [f"unix:{sock_dir}/a", f"unix:{sock_dir}/b"]) as server:
        for address in server.addresses:
            with Client(address) as client:
                assert client.request("GET", "/").body == b"hello"
    assert list(sock_dir.iterdir()) == []


def test_running_requests_finish_before_the_block_is_over(quick_end):
    gate = Gate()
    bodies: list[bytes] = []

    def app(environ, start_response):
        gate()
        return hello(environ, start_response)

    def ask() -> None:
        with Client(server.address) as client:
            bodies.append(client.request("GET", "/").body)

    with penstock.Server(app, threads=2) as server:
        client = threading.Thread(target=ask)
        client.start()
        gate.arrivals()
        threading.Timer(0.05, gate.open).start()
    client.join()
    assert bodies == [b"hello, world\n"]


def test_what_takes_too_long_is_left_behind(quick_end, caplog):
    gate = Gate()

    def app(environ, start_response):
        gate()
        return hello(environ, start_response)

    server = penstock.Server(app, graceful_timeout=0.05)
    host, _, port = server.address.partition(":")
    with Peer(socket.create_connection((host, int(port)))) as peer:
        with server:
            peer.send(request())
            gate.arrivals()
        assert "did not end within 0.05 s" in caplog.text
        gate.open()
        assert peer.answer().body == b"hello, world\n"
    server._thread.join()


def test_a_lifespan_that_fails_comes_out_of_the_block(quick_end):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    with pytest.raises(StartupFailed, match="no database"), penstock.Server(app):
        pass


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"threads": "4"}, TypeError, "threads is a whole number such as 4, not '4'"),
        ({"threads": 0}, ValueError, "0 threads cannot serve anything"),
        ({"io_timeout": "60"}, TypeError, "io_timeout is a number of seconds such as 60.0, not '60'"),
        ({"stream_body": "yes"}, TypeError, "stream_body is True or False, not 'yes'"),
        ({"roles": "responder"}, TypeError, "roles is a collection of penstock.Role members"),
        ({"roles": ["responder"]}, ValueError, "a role is a member of penstock.Role"),
        ({"mount": 5}, TypeError, "mount is a path such as '/app', not 5"),
        ({"protocol": "http"}, ValueError, "there is no protocol 'http'; use fastcgi or scgi"),
        ({"bind": 5}, TypeError, "bind is an address such as 'unix:/run/app.sock', or several in a list, not 5"),
        ({"bind": [5]}, TypeError, "bind is an address such as 'unix:/run/app.sock', or several in a list, not 5"),
        ({"interface": "uwsgi"}, ValueError, "there is no interface 'uwsgi'"),
    ],
)
def test_what_is_written_wrong_is_said_in_a_sentence_and_leaves_nothing_open(options, error, text):
    with pytest.raises(error, match="^" + text.replace(".", r"\.")):
        penstock.Server(hello, **options)
