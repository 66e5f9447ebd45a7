"""Tests of the thread server: requests and connections in their ordinary life, and in most of their odd ones."""

from __future__ import annotations

import socket
import threading

import pytest

from penstock.protocol.spec import ProtocolStatus, RecordType, Role
from penstock.testing import build
from tests.processes import PATIENCE
from tests.server.peers import PLAIN, Gate, Recorder, begin, echo, hello, request

OVER = b"Content-Type: text/plain\r\nStatus: 200 OK\r\n\r\n"


class TestConnections:
    def test_a_kept_connection_serves_one_request_after_another(self, serve):
        with serve(echo) as server, server.connect() as peer:
            for number in range(20):
                body = b"x" * (number * 1000)
                answer = peer.ask("/", body)
                assert (answer.status, answer.body, answer.app_status) == (200, body, 0)
            assert len(server.server._channels) == 1

    def test_without_keep_conn_it_is_closed_after_the_answer(self, serve):
        with serve(hello) as server:
            for _ in range(10):
                with server.connect() as peer:
                    assert peer.ask("/", keep=False).body == b"hello, world\n"
                    assert peer.closed()

    def test_a_request_may_come_byte_by_byte(self, serve):
        wire = request("/", b"body", request_id=513)
        with serve(echo) as server, server.connect() as peer:
            peer.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
            for at in range(len(wire)):
                peer.send(wire[at : at + 1])
            assert peer.answer(513).body == b"body"

    def test_an_answer_leaves_in_one_piece(self, serve):
        with serve(hello, validate=False) as server, server.connect() as peer:
            peer.send(request())
            piece = peer.sock.recv(65536)
            assert piece.endswith(build.record(RecordType.STDOUT) + build.record(RecordType.END_REQUEST, 1, bytes(8)))

    def test_one_that_sends_nothing_holds_up_nobody(self, serve):
        with serve(hello) as server, server.connect(), server.connect() as half:
            half.send(request()[:11])
            assert server.ask().status == 200

    def test_idle_ones_are_never_closed_by_us(self, serve):
        with serve(hello, io_timeout=0.05) as server, server.connect() as idle, server.connect() as fresh:
            idle.ask()
            for _ in range(3):
                with server.connect() as slow:
                    slow.send(request()[:11])
                    assert slow.closed()  # so the time is over, again and again
            assert idle.ask().status == 200
            assert fresh.ask().status == 200

    def test_many_at_a_time(self, serve):
        with serve(hello) as server:
            peers = [server.connect() for _ in range(200)]
            for peer in peers:
                peer.send(request())
            assert {peer.answer().body for peer in peers} == {b"hello, world\n"}
            for peer in peers:
                peer.sock.close()
            server.until(lambda: len(server.server._channels) <= 1)

    def test_a_listener_for_tcp_works_alike_and_does_not_wait_to_fill_segments(self, serve):
        with serve(hello, bind="127.0.0.1:0") as server, server.connect() as peer:
            assert peer.ask().body == b"hello, world\n"
            (channel,) = server.server._channels
            assert channel.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    def test_a_default_timeout_of_the_application_holds_up_nobody(self, serve):
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(PATIENCE)
        try:
            with serve(hello, threads=1, poller=None) as server, server.connect(), server.connect() as second:
                second.send(request())
                assert second.answer().status == 200
        finally:
            socket.setdefaulttimeout(before)


class TestManagement:
    def test_values_are_told_before_between_and_inside_requests(self, serve):
        question = build.get_values("FCGI_MAX_REQS", "FCGI_MPXS_CONNS", "UNKNOWN")
        with serve(echo) as server, server.connect() as peer:
            wire = request("/", b"body")
            threads = b"4" if server.server.shared else b"1"
            for piece in (question, wire[:-8] + question, wire[-8:]):
                peer.send(piece)
                if question in piece:
                    kind, number, content = peer.record() or (0, 0, b"")
                    assert (kind, number) == (RecordType.GET_VALUES_RESULT, 0)
                    assert content == b"\r\1FCGI_MAX_REQS" + threads + b"\x0f\1FCGI_MPXS_CONNS1"
            assert peer.answer().body == b"body"

    def test_an_unknown_management_record_is_answered_as_such(self, serve):
        with serve(hello) as server, server.connect() as peer:
            peer.send(build.record(99, 0, b"?"), request())
            assert peer.record() == (RecordType.UNKNOWN_TYPE, 0, b"c" + bytes(7))
            assert peer.answer().status == 200

    def test_one_that_asks_and_never_reads_is_closed(self, serve):
        with serve(hello) as server, server.connect() as peer:
            with pytest.raises((BrokenPipeError, ConnectionResetError)):  # noqa: PT012 - one of the many fails
                for _ in range(100_000):
                    peer.send(build.get_values("FCGI_MAX_REQS") * 50)
            assert server.ask().status == 200


class TestRoles:
    def test_only_the_responder_is_served_by_default(self, serve, caplog):
        with serve(hello) as server, server.connect() as peer:
            for role in (Role.AUTHORIZER, Role.FILTER, 9):
                peer.send(build.begin(role), build.params({"REQUEST_METHOD": "GET"}))
                answer = peer.answer()
                assert (answer.output, answer.protocol_status) == (b"", ProtocolStatus.UNKNOWN_ROLE)
            peer.send(request(request_id=2))
            assert peer.answer(2).status == 200
        assert "role 2 is not served here" in caplog.text

    def test_an_authorizer_needs_no_input(self, serve):
        gateway = Recorder(lambda request: request.finish(OVER))
        with serve(None, gateway=gateway, roles=frozenset(Role)) as server, server.connect() as peer:
            for stdin in (b"", build.stdin(), build.stdin(b"left over")):
                peer.send(build.begin(Role.AUTHORIZER), build.params(), stdin)
                assert peer.answer().output == OVER
        assert [request.role for request in gateway.requests] == [Role.AUTHORIZER] * 3
        assert gateway.requests[0].params["FCGI_ROLE"] == "AUTHORIZER"

    def test_a_filter_gets_both_of_its_inputs(self, serve):
        seen: list[tuple[bytes, bytes]] = []

        def act(request):
            seen.append((request.stdin.read(), request.data.read()))
            request.finish(OVER)

        with serve(None, gateway=act, roles=frozenset(Role)) as server, server.connect() as peer:
            for data in (b"file", b""):
                peer.send(build.begin(Role.FILTER), build.params({"REQUEST_METHOD": "GET"}))
                peer.send(build.stdin(b"body"), build.data(data))
                assert peer.answer().output == OVER
        assert seen == [(b"body", b"file"), (b"body", b"")]


class TestMultiplexing:
    def test_interleaved_requests_get_their_own_bodies(self, serve):
        with serve(echo) as server, server.connect() as peer:
            for number in (1, 3, 5):
                peer.send(begin("/", request_id=number))
            for piece in range(4):
                for number in (5, 1, 3):
                    peer.send(build.stdin(b"%d" % number * (piece + 1), number, end=False))
            for number in (3, 5, 1):
                peer.send(build.stdin(request_id=number))
            for number in (1, 3, 5):
                assert peer.answer(number).body == b"%d" % number * 10

    def test_many_requests_in_one_segment_are_all_answered(self, serve):
        with serve(echo) as server, server.connect() as peer:
            for _ in range(3):
                peer.send(b"".join(request("/", b"%d" % number, request_id=number) for number in range(1, 101)))
                for number in range(1, 101):
                    assert peer.answer(number).body == b"%d" % number

    def test_one_more_than_the_limit_is_a_503_and_the_rest_goes_on(self, serve):
        with serve(echo) as server, server.connect() as peer:
            peer.send(*(begin("/", request_id=number) for number in range(1, 102)))
            over = peer.answer(101)
            assert (over.status, over.protocol_status) == (503, ProtocolStatus.OVERLOADED)
            assert "\r\nRetry-After: 1" in over.head
            peer.send(*(build.stdin(b"%d" % number, number) for number in range(1, 101)))
            for number in range(1, 101):
                assert peer.answer(number).body == b"%d" % number

    def test_requests_of_one_connection_run_side_by_side(self, serve_shared):
        met = threading.Barrier(4, timeout=PATIENCE)

        def app(environ, start_response):
            met.wait()
            return hello(environ, start_response)

        with serve_shared(app) as server, server.connect() as peer:
            for together in (True, False):
                wires = [request(request_id=number) for number in (1, 2, 3, 4)]
                for piece in [b"".join(wires)] if together else wires:
                    peer.send(piece)
                assert [peer.answer(number).status for number in (1, 2, 3, 4)] == [200] * 4

    def test_requests_of_several_connections_run_side_by_side(self, serve_shared):
        met = threading.Barrier(4, timeout=PATIENCE)

        def app(environ, start_response):
            met.wait()
            return hello(environ, start_response)

        with serve_shared(app) as server:
            peers = [server.connect().send(request()) for _ in range(4)]
            assert [peer.answer().status for peer in peers] == [200] * 4
            for peer in peers:
                peer.sock.close()

    def test_a_long_answer_is_not_cut_by_another_ones_short_answers(self, serve_shared):
        gate = Gate()

        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            if environ["PATH_INFO"] == "/long":
                gate()
                return [b"long" * 1_000_000]
            return [b"short"]

        with serve_shared(app) as server, server.connect() as peer:
            peer.send(request("/long", request_id=1))
            gate.arrivals()
            gate.open()
            peer.sock.recv(1, socket.MSG_PEEK)  # it has begun, and cannot go on before it is read
            # Few enough to fit the buffers: all threads may be waiting for this peer to read.
            for number in range(2, 12):
                peer.send(request(request_id=number), build.get_values("FCGI_MAX_REQS"))
            peer.send(request(request_id=99, length="no"))
            peer.sock.recv(100_000, socket.MSG_PEEK)
            assert peer.answer(1).body == b"long" * 1_000_000
            assert [peer.answer(number).body for number in range(2, 12)] == [b"short"] * 10
            assert peer.answer(99).status == 400


class TestErrors:
    @pytest.mark.parametrize(
        "wire",
        [
            b"GET / HTTP/1.1\r\n\r\n",
            build.record(RecordType.BEGIN_REQUEST, 1, bytes(7)),
            build.begin(request_id=0),
            build.begin() + build.params({"A": "B"}) * 2,
            build.begin() + build.begin(),
            build.begin() + build.record(RecordType.PARAMS, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff") + build.params(),
            build.record(RecordType.GET_VALUES, 1, b""),
        ],
    )
    def test_a_protocol_error_closes_only_its_own_connection(self, serve, wire, caplog):
        with serve(hello) as server, server.connect() as good, server.connect() as bad:
            good.ask()
            bad.send(wire)
            assert bad.closed()
            assert good.ask().status == 200
        assert caplog.text.count("protocol error") == 1

    def test_nothing_is_parsed_after_a_protocol_error(self, serve):
        gateway = Recorder(lambda request: request.finish(OVER))
        with serve(None, gateway=gateway) as server, server.connect() as peer:
            peer.send(build.record(1, 1, b"bad"), request())
            assert peer.closed()
        assert gateway.requests == []

    def test_an_application_that_fails_in_mid_body_closes_without_an_end(self, serve):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b"half"
            raise LookupError

        with serve(app) as server:
            for keep in (True, False):
                with server.connect() as peer:
                    answer = peer.ask(keep=keep)
                    assert (answer.ended, answer.body) == (False, b"half")

    def test_a_gateway_that_says_nothing_or_fails_is_a_500(self, serve, caplog):
        def fail(request):
            raise LookupError("bug")

        def leave(request):
            raise SystemExit

        for gateway in (lambda request: None, fail, leave):
            with serve(None, gateway=gateway) as server, server.connect() as peer:
                assert peer.ask().status == 500
                assert peer.ask(method="HEAD").body == b""
            assert [" 500 " in line for line in server.access_lines] == [True, True]
        assert "this is a fault of penstock" in caplog.text
        assert "bug" in caplog.text

    def test_a_gateway_that_leaves_a_response_open_breaks_it_off(self, serve):
        with serve(None, gateway=lambda request: request.write(OVER + b"half")) as server:
            answer = server.ask()
            assert (answer.body, answer.ended) == (b"half", False)
