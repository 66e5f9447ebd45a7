"""This file tests what the client says when there is no answer, in sentences that a person can act on."""

from __future__ import annotations

import os
import socket

import pytest

from penstock.client import (
    BadAddress,
    BadAnswer,
    CannotConnect,
    Client,
    ClientError,
    ConnectionLost,
    Refused,
    TimedOut,
)
from penstock.connection.state import Refusal
from penstock.protocol.records import end_request
from penstock.protocol.spec import ProtocolStatus, RecordType
from penstock.testing import build
from tests.client.peer import OK, Peer


@pytest.fixture
def path(sock_dir):
    return sock_dir / "app.sock"


def get(address: str, **options):
    with Client(address, **options) as client:
        return client.request("GET", "/")


def test_there_is_no_socket(path):
    with pytest.raises(CannotConnect, match=f"there is no socket at unix:{path}"):
        get(f"unix:{path}")


def test_nobody_listens(path, free_port):
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))
    for address in (f"unix:{path}", f"127.0.0.1:{free_port}"):
        with pytest.raises(CannotConnect, match="nobody listens at"):
            get(address)


@pytest.fixture
def nobody_special():
    """Root may connect to everything, so it becomes somebody else for a while."""
    was_root = os.geteuid() == 0
    if was_root:
        os.seteuid(65534)
    yield
    if was_root:
        os.seteuid(0)


def test_the_socket_is_not_for_us(path, request):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        path.chmod(0)
        request.getfixturevalue("nobody_special")
        with pytest.raises(CannotConnect, match="this user may not connect"):
            get(f"unix:{path}")


def test_the_path_is_too_long_or_no_socket(sock_dir):
    with pytest.raises(CannotConnect, match="too long"):
        get(f"unix:{sock_dir}/{'x' * 200}")
    (sock_dir / "file").touch()
    with pytest.raises(CannotConnect, match=f"unix:{sock_dir}/file"):
        get(f"unix:{sock_dir}/file")


def test_the_queue_of_the_listener_is_full(path):
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(path))
        listener.listen(0)
        first.connect(str(path))
        with pytest.raises(CannotConnect, match="too many connections wait"):
            get(f"unix:{path}")


@pytest.mark.parametrize("address", ["", "localhost", ":9000", "localhost:", "localhost:x", "localhost:123456", "/a/b"])
def test_the_address_is_written_wrong(address):
    with pytest.raises(BadAddress, match="is no address; write unix:/run/app.sock"):
        get(address)


def test_the_host_does_not_exist():
    with pytest.raises(CannotConnect, match=r"no connection to nowhere\.invalid:80"):
        get("nowhere.invalid:80")


@pytest.mark.parametrize(
    "said",
    [b"", OK + b"half", b"Status: 2"],
    ids=["nothing", "half a body", "half a head"],
)
def test_the_application_closes_before_the_end_of_its_answer(path, said):
    def script(conversation):
        assert conversation.whole()
        conversation.write(said)

    with (
        Peer(script, path) as peer,
        pytest.raises(ConnectionLost, match="closed the connection before it had answered"),
    ):
        get(peer.address)


def test_the_application_breaks_the_connection(path):
    def script(conversation):
        assert conversation.sock.recv(1)  # the rest stays unread, so closing resets

    with Peer(script, path) as peer, pytest.raises(ConnectionLost, match=r"broke the connection: .*reset"):
        get(peer.address)


def test_the_application_does_nothing(path):
    def script(conversation):
        while conversation.receive():
            pass

    with Peer(script, path) as peer, pytest.raises(TimedOut, match=r"did not move for 0\.05 s"):
        get(peer.address, timeout=0.05)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "the application sent an empty response"),
        (b"Status: 200 OK\r\n", "ended inside its head"),
        (b"Hello, world\n\n", "holds the line 'Hello, world', which is no header"),
        (b"HTTP/1.1 200 OK\r\nA: b\r\n\r\n", "which is no header"),
        (b"\r\nbody", "no header at all"),
        (b"Status: fine\r\n\r\n", "says Status: 'fine'"),
    ],
)
def test_what_comes_is_no_cgi_response(path, answer, words):
    def script(conversation):
        assert conversation.whole()
        conversation.finish(answer)
        conversation.receive()

    with Peer(script, path) as peer, pytest.raises(BadAnswer, match=words):
        get(peer.address)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak FastCGI as it should: a record of version 72"),
        (build.record(RecordType.STDOUT, 2, b"x"), "STDOUT for request 2, which is not open"),
        (build.record(RecordType.UNKNOWN_TYPE, 0, bytes(8)), "though nothing was asked"),
    ],
)
def test_what_comes_is_no_fastcgi(path, sent, words):
    def script(conversation):
        assert conversation.whole()
        conversation.sock.sendall(sent)
        conversation.receive()

    with Peer(script, path) as peer, pytest.raises(BadAnswer, match=words):
        get(peer.address)


@pytest.mark.parametrize("status", [1, 2, 3, 9])
def test_the_application_refuses_the_request(path, status):
    def script(conversation):
        assert conversation.whole()
        conversation.sock.sendall(end_request(1, 0, status))
        conversation.receive()

    name = ProtocolStatus(status).name if status < 9 else "status 9"
    with Peer(script, path) as peer, pytest.raises(Refused, match=f"refused the request: {name}") as caught:
        get(peer.address)
    assert caught.value.protocol_status == status


def test_an_answer_that_is_refused_after_its_end_does_not_cost_the_connection(path):
    def script(conversation):
        assert conversation.whole()
        conversation.sock.sendall(conversation.protocol.refuse(1, Refusal.PARAMS))
        assert conversation.whole()
        conversation.finish(OK)

    with Peer(script, path) as peer, Client(peer.address) as client:
        with pytest.raises(BadAnswer):
            client.request("GET", "/")
        assert client.request("GET", "/").status == 200
        assert peer.connections == 1


def test_an_application_that_does_not_know_get_values(path):
    def script(conversation):
        conversation.sock.recv(65536)
        conversation.sock.sendall(build.record(RecordType.UNKNOWN_TYPE, 0, b"\x09" + bytes(7)))
        assert not conversation.sock.recv(1)

    unknown = pytest.raises(BadAnswer, match="does not know GET_VALUES")
    with Peer(script, path) as peer, Client(peer.address) as client, unknown:
        client.values()


def test_an_application_that_closes_when_it_is_asked_for_values(path):
    def script(conversation):
        conversation.sock.recv(65536)

    with Peer(script, path) as peer, Client(peer.address) as client, pytest.raises(ConnectionLost):
        client.values()


def test_a_request_that_is_read_on_after_it_was_given_up(path):
    def script(conversation):
        while conversation.receive():
            pass

    with Peer(script, path) as peer, Client(peer.address) as client:
        exchange = client.stream("GET", "/")
        exchange.close()
        exchange.abort()
        with pytest.raises(ConnectionLost, match="given up"):
            list(exchange)


def test_an_aborted_request_without_a_response_has_no_head(path):
    def script(conversation):
        assert conversation.whole()
        while type(conversation.next_event()).__name__ != "RequestAborted":
            pass
        conversation.sock.sendall(end_request(1))
        conversation.receive()

    with Peer(script, path) as peer, Client(peer.address) as client, client.stream("GET", "/") as exchange:
        exchange.abort()
        assert list(exchange) == []
        with pytest.raises(BadAnswer, match="aborted request was ended without a response"):
            _ = exchange.head


def test_a_body_that_fails_takes_its_connection_along(path):
    def script(conversation):
        while conversation.receive():
            pass

    def body():
        yield b"x"
        raise RuntimeError("the disk is gone")

    failed = pytest.raises(RuntimeError, match="the disk is gone")
    with Peer(script, path) as peer, Client(peer.address) as client, failed:
        client.request("POST", "/", body=body())


def test_a_parameter_that_is_no_bytes_is_our_own_mistake(path):
    refused = pytest.raises(ValueError, match="no byte")
    with Peer(lambda conversation: None, path) as peer, Client(peer.address) as client, refused:
        client.request("GET", "/", params={"A": "\u4e2d"})


def test_all_of_them_are_client_errors():
    for error in (BadAddress, BadAnswer, CannotConnect, ConnectionLost, Refused, TimedOut):
        assert issubclass(error, ClientError)
