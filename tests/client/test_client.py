"""This file tests what the client sends, what it makes of answers, and when it keeps its connection."""

from __future__ import annotations

import io
import os
import threading
import time

import pytest

from penstock.client import Client
from penstock.protocol.records import end_request
from penstock.protocol.spec import ProtocolStatus, RecordType, Role
from tests.client.peer import OK, PATIENCE, Peer, echo


@pytest.fixture
def path(sock_dir):
    return sock_dir / "app.sock"


def answering(answer: bytes):
    """A script that answers each request with these bytes of CGI response."""

    def script(conversation):
        while conversation.whole():
            conversation.finish(answer)

    return script


def test_a_request_arrives_and_its_answer_comes_back(path):
    seen: dict[str, object] = {}

    def script(conversation):
        while conversation.whole():
            seen.update(conversation.params, body=conversation.body[RecordType.STDIN])
            conversation.finish(
                b"Set-Cookie: a=1\r\nX-A: \xe9\r\nSet-Cookie: b=2\r\nStatus: 201 Made\r\n\r\nthe body", app_status=7
            )

    with Peer(script, path) as peer, Client(peer.address) as client:
        response = client.request("POST", "/a%20b?c=d", [("X-Y", "z"), ("Content-Type", "text/plain")], b"hello")
    assert (response.status, response.reason, response.body) == (201, "Made", b"the body")
    assert response.headers == [("Set-Cookie", "a=1"), ("X-A", "é"), ("Set-Cookie", "b=2")]
    assert response.get("x-a") == "é"
    assert response.get("x-b", "none") == "none"
    assert (response.stderr, response.app_status) == (b"", 7)
    assert response.protocol_status is ProtocolStatus.REQUEST_COMPLETE
    expected = {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/a%20b?c=d",
        "PATH_INFO": "/a b",
        "QUERY_STRING": "c=d",
        "HTTP_X_Y": "z",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "body": b"hello",
    }
    assert {name: seen[name] for name in expected} == expected


def test_a_small_request_travels_in_one_segment(path):
    segments = []

    def script(conversation):
        segments.append(conversation.sock.recv(65536))
        conversation.protocol.receive_data(segments[0])
        conversation.request_id = 1
        conversation.finish(OK)

    with Peer(script, path) as peer, Client(peer.address) as client:
        client.request("POST", "/", body=b"x" * 1000)
    assert segments[0].endswith(b"\x01\x05\x00\x01\x00\x00\x00\x00")


def test_the_connection_is_kept_for_the_next_request(path):
    with Peer(echo, path) as peer, Client(peer.address) as client:
        assert [client.request("POST", "/", body=body).body for body in (b"1", b"2", b"3")] == [b"1", b"2", b"3"]
        assert peer.connections == 1


def test_without_keep_conn_each_request_has_its_own_connection(path):
    with Peer(echo, path) as peer, Client(peer.address) as client:
        for _ in range(3):
            client.request("GET", "/", keep_conn=False)
        assert peer.connections == 3


def test_a_kept_connection_that_the_application_has_closed_is_replaced(path):
    closed = threading.Event()

    def script(conversation):
        assert conversation.whole()
        conversation.finish(OK)
        conversation.sock.close()
        closed.set()

    with Peer(script, path) as peer, Client(peer.address) as client:
        client.request("GET", "/")
        assert closed.wait(PATIENCE)
        closed.clear()
        client.request("GET", "/")
        assert closed.wait(PATIENCE)
        assert peer.connections == 2


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_speaks_over_tcp(address):
    try:
        peer = Peer(echo, address)
    except OSError:
        pytest.skip(f"no {address} here")
    with peer, Client(peer.address) as client:
        assert client.request("POST", "/", body=b"x").body == b"x"


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (None, None),
        (b"", "0"),
        (b"abc", "3"),
        (bytearray(b"abc"), "3"),
        (io.BytesIO(b"abc"), "3"),
        ((piece for piece in (b"a", b"", b"bc")), None),
        ([b"a", b"bc"], None),
    ],
)
def test_a_body_may_be_bytes_a_file_or_pieces_and_its_length_is_said_where_it_is_known(path, body, length):
    seen = []

    def script(conversation):
        assert conversation.whole()
        seen.append((conversation.params.get("CONTENT_LENGTH"), conversation.body.get(RecordType.STDIN, b"")))
        conversation.finish(OK)

    with Peer(script, path) as peer, Client(peer.address) as client:
        client.request("POST", "/", body=body)
    assert seen == [(length, b"" if length in (None, "0") and not body else b"abc")]


def test_a_file_is_sent_from_where_it_stands(path, tmp_path):
    (tmp_path / "upload").write_bytes(b"x" * 10 + b"y" * 100_000)
    with Peer(echo, path) as peer, Client(peer.address) as client, open(tmp_path / "upload", "rb") as file:
        file.seek(10)
        assert client.request("POST", "/", body=file).body == b"y" * 100_000


def test_a_pipe_has_no_length_and_is_sent_to_its_end(path):
    read_end, write_end = os.pipe()
    os.write(write_end, b"from a pipe")
    os.close(write_end)
    with Peer(echo, path) as peer, Client(peer.address) as client, open(read_end, "rb") as file:
        assert client.request("POST", "/", body=file).body == b"from a pipe"


def test_stderr_is_told_apart_from_the_answer(path):
    def script(conversation):
        assert conversation.whole()
        conversation.sock.sendall(conversation.protocol.stderr(1, b"oh "))
        conversation.write(OK)
        conversation.sock.sendall(conversation.protocol.stderr(1, b"no"))
        conversation.finish(b"body")

    with Peer(script, path) as peer, Client(peer.address) as client:
        response = client.request("GET", "/")
    assert (response.body, response.stderr) == (b"body", b"oh no")


def test_a_status_comes_with_the_answer_where_there_is_one(path):
    def script(conversation):
        assert conversation.whole()
        conversation.write(b"Status: 503 Busy\r\n\r\n")
        conversation.sock.sendall(end_request(1, 0, ProtocolStatus.OVERLOADED))

    with Peer(script, path) as peer, Client(peer.address) as client:
        response = client.request("GET", "/")
    assert (response.status, response.protocol_status) == (503, ProtocolStatus.OVERLOADED)


def test_a_filter_gets_both_streams_and_an_authorizer_none(path):
    seen = []

    def script(conversation):
        assert conversation.whole()
        seen.append((conversation.role, conversation.params["FCGI_DATA_LENGTH"], conversation.body))
        conversation.finish(OK)
        assert conversation.begun()
        conversation.finish(OK)
        assert conversation.next_event() is None

    with Peer(script, path) as peer, Client(peer.address) as client:
        client.request("GET", "/", role=Role.FILTER, body=b"in", data=b"file")
        client.request("GET", "/", role=Role.AUTHORIZER)
    assert seen == [(Role.FILTER, "4", {RecordType.STDIN: b"in", RecordType.DATA: b"file"})]


def test_a_filter_is_told_when_a_file_was_changed_and_that_anything_else_is_new(path, tmp_path):
    """It may answer from a cache by that alone."""
    seen = []

    def script(conversation):
        for _ in range(3):
            assert conversation.whole()
            seen.append(int(conversation.params["FCGI_DATA_LAST_MOD"]))
            conversation.finish(OK)

    file = tmp_path / "data"
    file.write_bytes(b"file")
    os.utime(file, (0, 86_400.5))
    before = int(time.time())
    with Peer(script, path) as peer, Client(peer.address) as client:
        with open(file, "rb") as opened:
            client.request("GET", "/", role=Role.FILTER, data=opened)
        client.request("GET", "/", role=Role.FILTER, data=b"data")
        client.request("GET", "/", role=Role.FILTER, data=io.BytesIO(b"data"))
    assert seen[0] == 86_400
    assert all(before <= moment <= time.time() for moment in seen[1:])


@pytest.mark.parametrize(
    ("role", "given"),
    [(Role.AUTHORIZER, {"body": b""}), (Role.AUTHORIZER, {"data": b""}), (Role.RESPONDER, {"data": b"x"})],
)
def test_a_role_gets_no_stream_that_it_does_not_have(role, given):
    with pytest.raises(ValueError, match=f"the role {role.name} has no"):
        Client("unix:/nowhere").request("GET", "/", role=role, **given)


def test_parameters_can_be_set_and_left_out(path):
    seen = {}

    def script(conversation):
        assert conversation.whole()
        seen.update(conversation.params)
        conversation.finish(OK)

    given = {"SCRIPT_NAME": "/app", "PATH_INFO": None, "EXTRA": "1"}
    with Peer(script, path) as peer, Client(peer.address) as client:
        client.request("GET", "/app/x", params=given)
    assert (seen["SCRIPT_NAME"], seen["EXTRA"], "PATH_INFO" in seen) == ("/app", "1", False)


def test_values_are_asked_for_and_the_connection_serves_on(path):
    with Peer(echo, path) as peer, Client(peer.address) as client:
        assert client.values() == {"FCGI_MPXS_CONNS": "1"}
        assert client.values(["X"]) == {}
        assert client.request("POST", "/", body=b"x").body == b"x"
        assert peer.connections == 1


def test_a_trace_shows_every_record_of_both_directions_in_order(path):
    shown = []
    with (
        Peer(echo, path) as peer,
        Client(peer.address, trace=lambda sign, record: shown.append((sign, *record))) as client,
    ):
        client.request("POST", "/", body=b"hi", params={"A": "1"})
    assert [(sign, kind) for sign, kind, _, _ in shown] == [
        (">", RecordType.BEGIN_REQUEST),
        (">", RecordType.PARAMS),
        (">", RecordType.PARAMS),
        (">", RecordType.STDIN),
        (">", RecordType.STDIN),
        ("<", RecordType.STDOUT),
        ("<", RecordType.STDOUT),
        ("<", RecordType.END_REQUEST),
    ]
    assert shown[3] == (">", RecordType.STDIN, 1, b"hi")
    assert shown[5] == ("<", RecordType.STDOUT, 1, OK + b"hi")
