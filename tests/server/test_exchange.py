"""Tests of one open request: what goes out and when, also while input still comes."""

from __future__ import annotations

import socket
import threading

import pytest

from penstock.gateways.request import Disconnected
from penstock.protocol.spec import RecordType
from penstock.testing import build
from tests.processes import PATIENCE
from tests.server.peers import PLAIN, Gate, Peer, begin, hello, request

OVER = b"Content-Type: text/plain\r\nStatus: 200 OK\r\n\r\n"
BIG = 2 * 1024 * 1024
STREAMED = {"stream_body": True}


class Sending(threading.Thread):
    """A web server that sends all it has before it reads a byte, as mod_fcgid and Caddy do."""

    def __init__(self, peer: Peer, *pieces: bytes) -> None:
        super().__init__(daemon=True)
        self._peer = peer
        self._wire = b"".join(pieces)
        self.error: OSError | None = None
        self.start()

    def run(self) -> None:
        try:
            self._peer.send(self._wire)
        except OSError as error:
            self.error = error

    def done(self) -> None:
        """Wait until everything is sent."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the application does not read"
        assert self.error is None


class TestOutput:
    @pytest.mark.parametrize("size", [0, 1, 65527, 65528, 65529, 131056, 300_000, BIG])
    @pytest.mark.parametrize("keep", [True, False])
    def test_of_any_size_arrives_whole(self, serve, size, keep):
        body = bytes(range(251)) * (size // 251 + 1)

        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            return [body[:size]]

        with serve(app, validate=False) as server, server.connect() as peer:
            answer = peer.ask(keep=keep)
            assert answer.body == body[:size]
            assert f"Content-Length: {size}\r\n" in answer.head

    def test_a_chunk_is_with_the_web_server_before_the_next_is_made(self, serve):
        gate = Gate()

        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b"first"
            gate()
            yield b"second"

        with serve(app) as server, server.connect() as peer:
            peer.send(request())
            assert peer.chunk().endswith(b"first")
            gate.open()
            assert peer.answer().output == b"second"

    @pytest.mark.parametrize("where", ["write", "finish"])
    def test_a_web_server_that_reads_nothing_for_too_long_loses_its_connection(self, serve, where):
        """Also at the very end: else a kept connection would look idle, with half a record in it."""
        errors: list[str] = []
        given_up = threading.Event()

        def gateway(request):
            (channel,) = server.server._channels
            channel.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            send = request.write if where == "write" else request.finish
            try:
                send(OVER + b"x" * 60_000)
            except Disconnected as error:
                errors.append(str(error))
                given_up.set()
                raise

        with serve(None, gateway=gateway, io_timeout=0.05) as server, server.connect() as peer:
            peer.send(request())
            assert given_up.wait(PATIENCE)
            assert not peer.answer().ended
        assert errors == ["the web server has taken no output for 0.05 s"]

    def test_nothing_can_be_sent_after_the_end(self, serve):
        errors: list[Exception] = []

        def gateway(request):
            request.finish(OVER)
            for late in (lambda: request.write(b"x"), lambda: request.finish(b"y")):
                with pytest.raises(Disconnected) as caught:
                    late()
                errors.append(caught.value)
            request.abort()

        with serve(None, gateway=gateway) as server, server.connect() as peer:
            assert peer.ask().body == b""
            assert peer.ask().body == b""
        assert len(errors) == 4

    def test_views_of_memory_are_sent_as_they_are_at_that_moment(self, serve):
        def gateway(request):
            memory = bytearray(b"first" + b"x" * 100_000)
            request.write(OVER)
            request.write(memoryview(memory))
            memory[:5] = b"XXXXX"
            request.finish(memoryview(b"last"))

        for options in ({}, STREAMED):
            with serve(None, gateway=gateway, **options) as server:
                assert server.ask().body == b"first" + b"x" * 100_000 + b"last"


class TestBothWays:
    """Input and output move together, whichever the web server wants to be done with first (R2)."""

    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.parametrize("streamed", [True, False])
    def test_an_early_413_reaches_a_web_server_that_sends_everything_first(self, serve, keep, streamed):
        with serve(hello, max_body=1000, stream_body=streamed) as server, server.connect() as peer:
            sending = Sending(peer, begin("/", length="900000", keep=keep), build.stdin(b"x" * 900_000))
            sending.done()
            assert peer.answer().status == 413
            if not keep:
                assert peer.closed()

    @pytest.mark.parametrize("keep", [True, False])
    def test_an_early_413_reaches_one_that_stops_sending(self, serve, keep):
        with serve(hello, max_body=1000) as server, server.connect() as peer:
            peer.send(begin("/", length="900000", keep=keep), build.stdin(b"x" * 100_000, end=False))
            assert peer.answer().status == 413

    @pytest.mark.parametrize("keep", [True, False])
    def test_a_large_answer_before_the_body_is_read_reaches_one_that_sends_everything_first(self, serve, keep):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b"y" * BIG
            yield b"%d" % len(environ["wsgi.input"].read(BIG))

        with serve(app, **STREAMED) as server, server.connect() as peer:
            sending = Sending(peer, begin("/", keep=keep), build.stdin(b"x" * 900_000))
            sending.done()
            assert peer.answer().body == b"y" * BIG + b"900000"

    @pytest.mark.parametrize("keep", [True, False])
    def test_a_large_answer_without_reading_the_body_reaches_one_that_stops_sending(self, serve, keep):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b"y" * BIG

        with serve(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/", keep=keep), build.stdin(b"x" * 10_000, end=False))
            answer = peer.answer()
            assert (answer.body, answer.ended) == (b"y" * BIG, True)
            if keep:
                assert peer.ask(request_id=2).ended

    def test_a_small_answer_is_held_until_the_body_is_here(self, serve):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            stream = environ["wsgi.input"]
            while chunk := stream.read(10):
                yield chunk

        with serve(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/"), build.stdin(b"0123456789" * 3, cut=10, end=False), build.get_values())
            assert peer.record() == (RecordType.GET_VALUES_RESULT, 0, b"")  # and nothing of the answer
            peer.send(build.stdin(b"end"))
            assert peer.answer().body == b"0123456789" * 3 + b"end"

    def test_an_answer_that_was_held_gives_way_to_an_error_page(self, serve, caplog):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b"held"
            environ["wsgi.input"].read(3)
            raise LookupError("late")

        with serve(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/"), build.stdin(b"xyz", end=False))
            answer = peer.answer()
            assert (answer.status, answer.ended) == (500, True)
            assert b"held" not in answer.output
        reference = caplog.text.partition("] the application failed")[0].rpartition("[")[2]
        assert reference.encode() in answer.body

    def test_a_web_server_that_half_closes_does_not_make_a_waiting_write_spin(self, serve, monkeypatch):
        """CVE-2024-49769: the end of the input stays readable for ever."""
        gate = Gate()
        moves: list[int] = []

        def app(environ, start_response):
            environ["wsgi.input"].read(100)
            start_response("200 OK", PLAIN)
            gate()
            yield b"y" * BIG

        with serve(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/"))
            peer.send(build.stdin(b"x"))
            gate.arrivals()
            (channel,) = [found for found in server.server._channels if found.tenants]
            real = channel.receive

            def receive(self):
                moves.append(1)
                return real()

            monkeypatch.setattr(type(channel), "receive", receive)
            peer.sock.shutdown(socket.SHUT_WR)
            gate.open()
            read = 0
            while read < BIG:  # slowly, so that it has to wait many times
                read += len(peer.sock.recv(20_000))
            assert len(moves) < 10
