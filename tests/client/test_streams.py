"""This file tests what the client does with big bodies, answers that stream, and requests it leaves half-way."""

from __future__ import annotations

import os
import threading

import pytest

from penstock.client import Client
from penstock.protocol.spec import RecordType
from tests.client.peer import OK, PATIENCE, Peer, echo


@pytest.fixture
def path(sock_dir):
    return sock_dir / "app.sock"


BIG = 3 * 1024 * 1024 + 11


def test_an_application_that_answers_while_it_reads_does_not_block_the_upload(path):
    """Neither side's socket buffers hold this much: whoever only writes waits for ever."""

    def script(conversation):
        assert conversation.begun()
        conversation.write(OK)
        while (event := conversation.next_event())[1:] != (RecordType.STDIN, True):
            conversation.write(event.content)
        conversation.finish()

    body = os.urandom(BIG)
    with Peer(script, path) as peer, Client(peer.address) as client:
        assert client.request("POST", "/", body=body).body == body


def test_an_application_that_reads_nothing_before_it_has_written_all_gets_the_upload_then(path):
    def script(conversation):
        assert conversation.begun()
        conversation.write(OK + b"r" * BIG)
        while (event := conversation.next_event())[1:] != (RecordType.STDIN, True):
            assert set(event.content) == {ord("u")}
        conversation.finish()

    with Peer(script, path) as peer, Client(peer.address) as client:
        assert len(client.request("POST", "/", body=b"u" * BIG).body) == BIG


def test_an_answer_that_comes_before_the_upload_is_over_ends_the_request(path):
    def script(conversation):
        assert conversation.begun()
        conversation.finish(b"Status: 413 Too Big\r\n\r\nno")
        while conversation.receive():  # what was on its way
            pass

    with Peer(script, path) as peer, Client(peer.address) as client:
        response = client.request("POST", "/", body=b"u" * BIG)
        assert (response.status, response.body) == (413, b"no")
        client.close()


def test_an_answer_is_read_though_the_application_has_stopped_reading(path):
    def script(conversation):
        assert conversation.begun()
        conversation.finish(b"Status: 413 Too Big\r\n\r\nno")
        conversation.sock.close()  # with unread input, as careless applications do

    with Peer(script, path) as peer, Client(peer.address) as client:
        assert client.request("POST", "/", body=b"u" * BIG).status == 413


def test_a_streamed_answer_comes_piece_by_piece(path):
    turn = threading.Semaphore(0)

    def script(conversation):
        assert conversation.whole()
        conversation.write(OK)
        for piece in (b"one", b"two", b"three"):
            assert turn.acquire(timeout=PATIENCE)
            conversation.write(piece)
        assert turn.acquire(timeout=PATIENCE)
        conversation.finish()

    with Peer(script, path) as peer, Client(peer.address) as client, client.stream("GET", "/") as exchange:
        assert exchange.head.status == 200
        pieces = iter(exchange)
        learnt = []
        for _ in range(3):
            turn.release()
            learnt.append(next(pieces))
        assert learnt == [b"one", b"two", b"three"]
        assert not exchange.ended
        turn.release()
        assert list(pieces) == []
        assert exchange.ended


def test_a_body_is_asked_for_only_as_it_is_sent(path):
    """An upload that waits for something does not keep back what came before it."""
    arrived = threading.Event()

    def script(conversation):
        assert conversation.begun()
        assert conversation.next_event().content == b"first"
        arrived.set()
        assert conversation.next_event().content == b"second"
        assert conversation.next_event()[1:] == (RecordType.STDIN, True)
        conversation.finish(OK)

    def body():
        yield b"first"
        assert arrived.wait(PATIENCE)
        yield b"second"

    with Peer(script, path) as peer, Client(peer.address) as client:
        assert client.request("POST", "/", body=body()).status == 200


def test_two_answers_may_be_open_at_once_on_two_connections(path):
    with Peer(echo, path) as peer, Client(peer.address) as client:
        with client.stream("POST", "/", body=b"1") as one, client.stream("POST", "/", body=b"2") as two:
            assert two.read().body == b"2"
            assert one.read().body == b"1"
        assert peer.connections == 2
        client.request("GET", "/")
        assert peer.connections == 2


def test_leaving_a_stream_early_closes_its_connection(path):
    left = threading.Event()

    def script(conversation):
        assert conversation.whole()
        conversation.write(OK + b"a bit")
        assert not conversation.receive()
        left.set()

    with Peer(script, path) as peer, Client(peer.address) as client:
        with client.stream("GET", "/") as exchange:
            assert exchange.head.status == 200
        assert left.wait(PATIENCE)


def test_an_aborted_request_is_ended_by_the_application_and_the_connection_goes_on(path):
    def script(conversation):
        assert conversation.begun()
        conversation.write(OK + b"a bit")
        while type(conversation.next_event()).__name__ != "RequestAborted":
            pass
        conversation.finish()
        echo(conversation)

    def endless():
        while True:
            yield b"x" * 1000

    with Peer(script, path) as peer, Client(peer.address) as client:
        with client.stream("POST", "/", body=endless()) as exchange:
            assert exchange.head.status == 200
            exchange.abort()
            exchange.abort()
            assert b"".join(exchange) == b"a bit"
            assert exchange.ended
        assert client.request("POST", "/", body=b"next").body == b"next"
        assert peer.connections == 1
