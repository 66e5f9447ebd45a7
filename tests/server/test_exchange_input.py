"""Tests of one open request whose body is read while it arrives."""

from __future__ import annotations

import socket
import threading

import pytest

from penstock.gateways.request import TruncatedInput
from penstock.protocol.spec import Role
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


class TestStreamedInput:
    def test_can_be_read_as_it_is_sent(self, serve):
        read: list[bytes] = []
        gate = threading.Semaphore(0)

        def app(environ, start_response):
            stream = environ["wsgi.input"]
            for _ in range(3):
                read.append(stream.read(3))
                gate.release()
            read.append(stream.read(100))
            start_response("200 OK", PLAIN)
            return [b"|".join(read)]

        with serve(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/", length="11"))
            for piece in (b"one", b"two", b"thr"):
                peer.send(build.stdin(piece, end=False))
                assert gate.acquire(timeout=PATIENCE)
                assert read[-1] == piece
            peer.send(build.stdin(b"ee"))
            assert peer.answer().body == b"one|two|thr|ee"
            assert peer.ask().status == 200

    def test_lines_and_the_end_are_those_of_a_file(self, serve):
        def app(environ, start_response):
            stream = environ["wsgi.input"]
            lines = [stream.readline(), *stream]
            assert stream.read(1) == b""
            start_response("200 OK", PLAIN)
            return [repr(lines).encode()]

        with serve(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/"), build.stdin(b"one\ntw", end=False))
            peer.send(build.stdin(b"o\nthree"))
            assert peer.answer().body == repr([b"one\n", b"two\n", b"three"]).encode()

    def test_of_a_filter_both_streams(self, serve):
        def gateway(request):
            request.finish(OVER + request.stdin.read() + b"|" + request.data.read())

        with serve(None, gateway=gateway, roles=frozenset(Role), **STREAMED) as server, server.connect() as peer:
            peer.send(build.begin(Role.FILTER), build.params({"REQUEST_METHOD": "GET"}), build.stdin(b"body"))
            peer.send(build.data(b"file", cut=1))
            assert peer.answer().body == b"body|file"

    @pytest.mark.parametrize("how", ["close", "half", "abort", "stall"])
    def test_that_breaks_off_raises_and_is_never_taken_for_whole(self, serve, how):
        outcome: list[object] = []
        gate = Gate()

        def gateway(request):
            outcome.append(request.stdin.read(4))
            gate()
            try:
                outcome.append(request.stdin.read())
            except TruncatedInput as error:
                outcome.append(type(error))
                raise

        with serve(None, gateway=gateway, io_timeout=0.05 if how == "stall" else PATIENCE, **STREAMED) as server:
            with server.connect() as peer:
                peer.send(begin("/", length="100"), build.stdin(b"half and", end=False))
                gate.arrivals()
                if how == "half":
                    peer.sock.shutdown(socket.SHUT_WR)
                elif how == "abort":
                    peer.send(build.abort())
                elif how == "close":
                    peer.sock.close()
                gate.open()
                if how == "abort":
                    assert peer.answer() == (b"", True, 0, 0)
                elif how == "stall":
                    assert peer.answer().status == 408
                    assert peer.closed()
            server.until(lambda: len(server.server._channels) <= 1)
        assert outcome[:2] == [b"half", TruncatedInput]

    def test_over_the_limit_ends_in_a_413(self, serve):
        read: list[int] = []

        def gateway(request):
            while chunk := request.stdin.read(1000):
                read.append(len(chunk))

        with serve(None, gateway=gateway, max_body=5000, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/"), build.stdin(b"x" * 10_000, cut=1000))
            assert peer.answer().status == 413
            peer.send(request(request_id=2))
            assert peer.answer(2).status == 500  # it says nothing, and went on to be asked
        assert sum(read) <= 5000

    @pytest.mark.parametrize("sent", [9, 11])
    def test_of_another_length_than_announced_is_a_400_and_closes(self, serve, sent):
        def gateway(request):
            request.finish(OVER + request.stdin.read())

        with serve(None, gateway=gateway, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/", length="10"))
            peer.send(build.stdin(b"x" * sent, cut=1))
            assert peer.answer().status == 400
            assert peer.closed()

    def test_a_slow_handler_is_not_the_peers_fault(self, serve_shared):
        gate = Gate()

        def gateway(request):
            gate()
            request.finish(OVER + b"%d" % len(request.stdin.read()))

        with serve_shared(None, gateway=gateway, io_timeout=0.05, **STREAMED) as server, server.connect() as peer:
            wire = build.stdin(b"x" * 100_000)
            peer.send(begin("/"), wire[:70_000])  # half of a record waits
            gate.arrivals()
            with server.connect() as other:
                other.send(begin()[:9])
                assert other.closed()  # so the time is over for both
            peer.send(wire[70_000:])
            gate.open()
            assert peer.answer().body == b"100000"

    def test_requests_of_one_connection_stream_side_by_side(self, serve_shared):
        """Each handler gets its own pieces, even while another one waits for the socket."""

        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            stream = environ["wsgi.input"]
            return [b"".join(iter(lambda: stream.read(1), b""))]

        with serve_shared(app, **STREAMED) as server, server.connect() as peer:
            for _ in range(5):
                peer.send(*(begin("/", request_id=number) for number in (1, 2, 3)))
                for number in (3, 1, 2):  # the first is served last, though it waited first
                    peer.send(build.stdin(b"%d" % number, number, end=False))
                for number in (2, 3, 1):
                    peer.send(build.stdin(b"x" * 5000, number, cut=100))
                    assert peer.answer(number).body == b"%d" % number + b"x" * 5000

    def test_other_requests_are_served_once_a_body_has_been_read(self, serve_shared):
        gate = Gate()

        def app(environ, start_response):
            environ["wsgi.input"].read(100)
            if environ["PATH_INFO"] == "/wait":
                gate()
            return hello(environ, start_response)

        with serve_shared(app, **STREAMED) as server, server.connect() as peer:
            peer.send(begin("/wait"))
            peer.send(build.stdin(b"x"))
            gate.arrivals()
            assert peer.ask("/other", request_id=2).status == 200
            gate.open()
            assert peer.answer(1).status == 200
