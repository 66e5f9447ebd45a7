"""Tests of taking requests in: lengths that are right and wrong, limits, aborts, and peers that leave or stall."""

from __future__ import annotations

import errno
import os
import re
import socket

import pytest

from penstock.connection.limits import Limits
from penstock.protocol.spec import RecordType
from penstock.server import spool
from penstock.testing import build
from tests.server.peers import PLAIN, Gate, Recorder, begin, echo, hello, request

OVER = b"Content-Type: text/plain\r\nStatus: 200 OK\r\n\r\n"
SHORT = {"io_timeout": 0.05}


def recorder() -> Recorder:
    return Recorder(lambda request: request.finish(OVER + request.stdin.read()))


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("streamed", [False, True])
class TestContentLength:
    @pytest.mark.parametrize("length", [None, "", "-1", "5", "05", "0000000000000000005"])
    def test_that_fits_is_answered_and_the_connection_goes_on(self, serve, length, keep, streamed):
        gateway = recorder()
        with serve(None, gateway=gateway, stream_body=streamed) as server, server.connect() as peer:
            answer = peer.ask("/", b"12345", length=length, keep=keep)
            assert (answer.status, answer.body) == (200, b"12345")
            if keep:
                assert peer.ask("/again").status == 200
            else:
                assert peer.closed()
        told = gateway.requests[0].params.get("CONTENT_LENGTH", "")
        assert int(told or 5) == 5

    @pytest.mark.parametrize("length", [None, "", "-1", "0"])
    def test_of_no_body_is_told_as_pep_3333_allows(self, serve, length, keep, streamed):
        with serve(echo, stream_body=streamed) as server:
            answer = server.ask("/", length=length, keep=keep)
            assert (answer.status, answer.body) == (200, b"")
            assert f"X-Length: {'none' if length is None else '0' if length == '0' else ''}\r\n" in answer.head

    @pytest.mark.parametrize("length", ["abc", "+10", "1_0", " 5", "5 ", "5, 5", "0x5", "-2", "5" * 20, "\xb2", "5.0"])
    def test_that_is_no_number_is_a_400_and_closes(self, serve, length, keep, streamed):
        gateway = recorder()
        with serve(None, gateway=gateway, stream_body=streamed) as server, server.connect() as peer:
            answer = peer.ask("/", b"12345", length=length, keep=keep)
            assert (answer.status, answer.ended) == (400, True)
            assert peer.closed()
        assert gateway.requests == []

    @pytest.mark.parametrize("length", ["0", "4", "6", "1000000"])
    def test_that_is_a_lie_is_a_400_and_closes(self, serve, length, keep, streamed):
        gateway = recorder()
        with serve(None, gateway=gateway, stream_body=streamed) as server, server.connect() as peer:
            # What follows on this connection must not be taken for a request.
            peer.send(request("/", b"12345", length=length, keep=keep), request("/evil", request_id=2))
            answer = peer.answer()
            assert (answer.status, answer.ended) == (400, True)
            assert peer.closed()
        assert gateway.requests == []

    def test_that_is_given_twice_counts_the_second_time(self, serve, keep, streamed):
        def twice(first: str, second: str) -> bytes:
            pairs = [("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/"), ("PATH_INFO", "/"), ("SCRIPT_NAME", "")]
            pairs += [("CONTENT_LENGTH", first), ("CONTENT_LENGTH", second)]
            return build.request(pairs, b"12345", flags=int(keep))

        with serve(hello, stream_body=streamed) as server, server.connect() as right, server.connect() as wrong:
            assert right.send(twice("4", "5")).answer().status == 200
            assert wrong.send(twice("5", "4")).answer().status == 400


class TestLimits:
    def test_a_length_over_the_limit_is_a_413_at_once(self, serve):
        gateway = recorder()
        with serve(None, gateway=gateway, max_body=10) as server, server.connect() as peer:
            peer.send(begin("/", length="11"))
            assert peer.answer().status == 413
            peer.send(build.stdin(b"x" * 11))
            assert peer.ask("/", b"x" * 10).body == b"x" * 10
        assert len(gateway.requests) == 1

    def test_bytes_over_the_limit_are_a_413_when_they_come(self, serve):
        gateway = recorder()
        with serve(None, gateway=gateway, max_body=10) as server, server.connect() as peer:
            peer.send(begin("/"), build.stdin(b"x" * 10, end=False))
            peer.send(build.stdin(b"x", end=False))
            assert peer.answer().status == 413
            peer.send(build.stdin(b"rest"))
            assert peer.ask().status == 200
        assert len(gateway.requests) == 1

    @pytest.mark.parametrize("keep", [True, False])
    @pytest.mark.parametrize("limits", [Limits(params=2000), Limits(pairs=30)])
    def test_parameters_over_a_limit_are_a_431(self, serve, limits, keep):
        many = {f"HTTP_X_{number}": "x" * 100 for number in range(40)}
        with serve(hello, limits=limits) as server, server.connect() as peer:
            assert peer.ask("/", keep=keep, extra=many).status == 431
            assert peer.ask().status == 200 if keep else peer.closed()

    def test_a_page_of_our_own_is_in_both_logs_with_its_size_and_its_reference(self, serve, caplog):
        with serve(hello, limits=Limits(params=2000), max_body=10) as server, server.connect() as peer:
            pages = [peer.ask(extra={"HTTP_X": "x" * 3000}), peer.ask("/", b"x" * 11)]
        for page, line in zip(pages, server.access_lines, strict=True):
            (reference,) = re.findall(r"<p>Request (\w+)</p>", page.body.decode())
            assert f" {page.status} {len(page.body)}B " in line
            assert line.endswith(f" {reference}")
            assert f"answered {page.status} [{reference}]: " in caplog.text

    def test_a_body_that_finds_no_room_is_a_507_and_the_next_one_is_served(self, serve, monkeypatch):
        class Full:
            def write(self, data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

            def close(self):
                pass

        gateway = recorder()
        with serve(None, gateway=gateway, body_memory=10) as server, server.connect() as peer:
            with monkeypatch.context() as patched:
                patched.setattr(spool, "_unlinked_file", Full)
                assert peer.ask("/", b"x" * 11).status == 507
                assert peer.ask("/", b"x" * 10).status == 200
            assert peer.ask("/", b"x" * 11).status == 200
        assert len(gateway.requests) == 2

    def test_no_method_is_a_500_with_a_hint_for_the_administrator(self, serve, caplog):
        with serve(hello) as server, server.connect() as peer:
            peer.send(build.request({"REQUEST_URI": "/"}))
            assert peer.answer().status == 500
        assert "include fastcgi_params" in caplog.text

    def test_a_nul_in_a_parameter_is_a_400(self, serve):
        with serve(hello) as server:
            assert server.ask(extra={"HTTP_X": "a\0b"}).status == 400

    def test_a_refusal_of_head_has_no_body_and_its_own_access_line(self, serve):
        with serve(hello, max_body=10) as server:
            answer = server.ask(method="HEAD", length="11")
            assert (answer.status, answer.body) == (413, b"")
        (line,) = server.access_lines
        assert '"HEAD /" 413 0B' in line

    def test_refusals_are_one_line_in_the_log_however_many_there_are(self, serve, caplog):
        with serve(hello, max_body=10) as server:
            for _ in range(20):
                server.ask(length="11")
        assert caplog.text.count("are allowed") == 1


class TestAborting:
    def test_before_its_parameters_are_complete_a_request_is_just_ended(self, serve):
        with serve(hello) as server, server.connect() as peer:
            for sent in (b"", build.params({"A": "B"}, end=False)):
                peer.send(build.begin(), sent, build.abort())
                answer = peer.answer()
                assert (answer.output, answer.ended, answer.protocol_status) == (b"", True, 0)
            assert peer.ask().status == 200

    def test_in_its_body_it_is_ended_and_the_application_never_called(self, serve):
        gateway = recorder()
        with serve(None, gateway=gateway) as server, server.connect() as peer:
            peer.send(begin("/aborted"), build.stdin(b"x", end=False), build.abort(), build.stdin(b"late"))
            assert peer.answer() == (b"", True, 0, 0)
            peer.send(request("/together"), build.abort())
            peer.answer()
            assert peer.ask("/next").status == 200
        assert gateway.requests[-1].params["PATH_INFO"] == "/next"
        assert gateway.requests[0].params["PATH_INFO"] != "/aborted"

    def test_while_it_runs_it_cannot_be_answered_any_more(self, serve_shared):
        gate = Gate()

        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b"begun"
            gate()
            yield b"never"

        with serve_shared(app) as server, server.connect() as peer:
            peer.send(request())
            assert peer.chunk().endswith(b"begun")
            gate.arrivals()
            peer.send(build.abort(), build.get_values("FCGI_MAX_REQS"))
            assert (peer.record() or (0,))[0] == RecordType.GET_VALUES_RESULT  # so it has seen the abort
            gate.open()
            assert peer.answer() == (b"", True, 0, 0)
            gate.arrivals(0)
            assert peer.ask(request_id=2).ended

    def test_after_its_end_or_for_another_id_means_nothing(self, serve):
        with serve(hello) as server, server.connect() as peer:
            peer.ask()
            peer.send(build.abort(), build.abort(7))
            assert peer.ask().status == 200


class TestLeaving:
    @pytest.mark.parametrize(
        "sent", [b"", request()[:3], begin()[:30], begin(), begin() + build.stdin(b"x", end=False)]
    )
    @pytest.mark.parametrize("how", ["close", "half", "reset"])
    def test_before_a_request_is_complete_calls_no_application(self, serve, sent, how):
        gateway = recorder()
        with serve(None, gateway=gateway, bind="127.0.0.1:0" if how == "reset" else "") as server:
            with server.connect() as peer:
                peer.send(sent)
                if how == "half":
                    peer.sock.shutdown(socket.SHUT_WR)
                    assert peer.closed()
                elif how == "reset":
                    peer.reset()
            server.until(lambda: len(server.server._channels) <= 1)
        assert {request.params["REQUEST_METHOD"] for request in gateway.requests} <= {"GET"}

    @pytest.mark.parametrize("keep", [True, False])
    def test_with_half_of_the_connection_after_a_request_still_gets_the_answer(self, serve, keep):
        with serve(echo) as server:
            for body in (b"", b"x" * 500_000):
                with server.connect() as peer:
                    peer.send(request("/", body, keep=keep))
                    peer.sock.shutdown(socket.SHUT_WR)
                    assert peer.answer().body == body
                    assert peer.closed()

    def test_while_it_runs_is_no_error_of_anybodys(self, serve, caplog):
        gate = Gate()

        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            if environ["PATH_INFO"] == "/leaving":
                gate()
                return [b"x" * 1_000_000]
            return [b"y"]

        with serve(app) as server:
            with server.connect() as peer:
                peer.send(request("/leaving"))
                gate.arrivals()
            gate.open()
            server.until(lambda: len(server.server._channels) <= 1)
        assert "Traceback" not in caplog.text
        assert not [record for record in caplog.records if record.levelname == "ERROR"]


class TestStalling:
    def test_in_the_parameters_closes(self, serve):
        with serve(hello, **SHORT) as server:
            for sent in (request()[:4], begin()[:20], build.begin(), begin()[:-8]):
                with server.connect() as peer:
                    peer.send(sent)
                    assert peer.closed()
            assert server.ask().status == 200

    @pytest.mark.parametrize("keep", [True, False])
    def test_in_the_body_is_a_408_and_calls_no_application(self, serve, keep):
        gateway = recorder()
        with serve(None, gateway=gateway, **SHORT) as server:
            for sent in (b"", build.stdin(b"x", end=False), build.stdin(b"xy")[:9]):
                with server.connect() as peer:
                    peer.send(begin(keep=keep), sent)
                    assert peer.answer().status == 408
                    assert peer.closed()
        assert gateway.requests == []

    def test_spares_the_other_requests_of_a_connection(self, serve_shared):
        gate = Gate()

        def app(environ, start_response):
            gate()
            return hello(environ, start_response)

        with serve_shared(app, **SHORT) as server, server.connect() as peer:
            peer.send(request(request_id=1), begin(request_id=2))
            gate.arrivals()
            assert peer.answer(2).status == 408
            gate.open()
            assert peer.answer(1).status == 200
            assert peer.ask(request_id=3).status == 200

    def test_in_the_middle_of_a_record_does_not_lose_the_answer_to_another_request(self, serve_shared):
        gate = Gate()

        def app(environ, start_response):
            gate()
            return hello(environ, start_response)

        with serve_shared(app, **SHORT) as server, server.connect() as peer:
            peer.send(request(request_id=1), begin(request_id=2)[:-3])
            gate.arrivals()
            (channel,) = server.server._channels
            with server.connect() as other:
                other.send(begin())
                while not channel.doomed:
                    other.record()  # the other one stalls just as long
            gate.open()
            assert peer.answer(1).status == 200
            assert peer.closed()

    def test_of_our_own_is_not_held_against_the_peer(self, serve):
        """A single thread that was busy for longer than the timeout finds input that came meanwhile."""
        gate = Gate()

        def app(environ, start_response):
            if environ["PATH_INFO"] == "/busy":
                gate()
            return hello(environ, start_response)

        with serve(app, threads=1, poller=None, **SHORT) as server, server.connect() as slow, server.connect() as busy:
            slow.send(begin("/slow"), build.stdin(b"half", end=False))
            server.until(lambda: bool(server.server.timers))
            busy.send(request("/busy"))
            gate.arrivals()
            slow.send(build.stdin(b"half"))
            deadline = server.server.timers._deadlines
            while min(deadline.values(), default=0) > server.server.timers.clock():
                continue
            gate.open()
            assert slow.answer().status == 200
            assert busy.answer().status == 200


class TestClosingTogether:
    def test_a_request_that_can_never_be_complete_does_not_keep_a_doomed_connection_open(self, serve):
        with serve(hello) as server, server.connect() as peer:
            peer.send(begin(request_id=1, length="5") + request(request_id=3, length="no"))
            assert peer.answer(3).status == 400
            assert peer.closed()
            peer.sock.close()
            server.until(lambda: len(server.server._channels) <= 1)
