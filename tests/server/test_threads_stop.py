"""Tests of stopping the thread server: nothing that was accepted is lost, and nothing that is idle is waited for."""

from __future__ import annotations

import os
import socket
import threading

import pytest

from penstock.server import door, threads
from penstock.server.listen import Listener
from penstock.testing import build
from tests.processes import PATIENCE
from tests.server.peers import PLAIN, Gate, Recorder, begin, echo, hello, request


@pytest.fixture(autouse=True)
def only_what_is_waited_for(monkeypatch):
    """A connection that has said nothing is given half a second; here the tests say when."""
    monkeypatch.setattr(threads, "FRESH_GRACE", 0.01)


def gated(gate: Gate):
    def app(environ, start_response):
        gate()
        return hello(environ, start_response)

    return app


def draining(server) -> None:
    """Begin to stop and wait until the server has noticed."""
    server.server.stop()
    for _ in range(100_000):
        if server.server.draining:
            return
        threading.Event().wait(0.0005)
    raise AssertionError("it does not drain")


def test_an_idle_server_stops(serve):
    with serve(hello) as server:
        server.server.stop()
        assert server.ended.wait(PATIENCE)


def test_idle_kept_connections_are_closed_at_once(serve):
    with serve(hello) as server:
        peers = [server.connect() for _ in range(50)]
        for peer in peers:
            peer.ask()
        server.server.stop()
        assert server.ended.wait(PATIENCE)
        for peer in peers:
            assert peer.closed()
            peer.sock.close()


def test_a_running_request_finishes_and_its_kept_connection_is_closed(serve):
    gate = Gate()
    with serve(gated(gate)) as server, server.connect() as peer, server.connect() as idle:
        idle.send(request())  # with one thread, one of the two waits for the other
        peer.send(request())
        gate.arrivals()
        server.server.stop()
        gate.open()
        assert (peer.answer().status, idle.answer().status) == (200, 200)
        assert peer.closed()
        assert idle.closed()


def test_a_request_that_is_half_here_is_waited_for(serve):
    with serve(echo) as server, server.connect() as peer:
        wire = request("/", b"body")
        peer.send(wire[:-20])
        server.until(lambda: bool(server.server.timers))
        draining(server)
        peer.send(wire[-20:])
        assert peer.answer().body == b"body"
        assert peer.closed()


def test_one_that_begins_to_speak_just_then_has_the_usual_time_to_finish(serve, monkeypatch):
    monkeypatch.setattr(threads, "FRESH_GRACE", PATIENCE)
    wire = request("/", b"body")
    with serve(echo) as server, server.connect() as peer, server.connect() as silent:
        server.until(lambda: len(server.server._channels) >= 3)
        draining(server)
        peer.send(wire[:10])
        while not any(channel.protocol.partial_record for channel in list(server.server._channels)):
            threading.Event().wait(0.0005)
        server.server.timers.set(server.server, 0)
        server.server._wake()
        assert silent.closed()  # the time for those who say nothing is over
        peer.send(wire[10:])
        assert peer.answer().body == b"body"


def test_a_request_that_has_arrived_unread_is_answered(serve):
    gate = Gate()
    with serve(gated(gate)) as server:
        count = server.server._options.threads
        busy = [server.connect() for _ in range(count)]
        kept = server.connect()
        gate.open()
        kept.ask()
        gate.arrivals()
        gate.shut()
        for peer in busy:
            peer.send(request())
        gate.arrivals(count)
        kept.send(request())  # nobody has time to read this
        server.server.stop()
        gate.open()
        for peer in [*busy, kept]:
            assert peer.answer().status == 200
            assert peer.closed()
            peer.sock.close()


def test_everybody_who_waits_in_the_listeners_queue_is_answered(serve):
    gate = Gate()
    with serve(gated(gate)) as server:
        count = server.server._options.threads
        first = [server.connect().send(request()) for _ in range(count)]
        gate.arrivals(count)
        # All threads are busy, so these are accepted by nobody.
        queued = [server.connect().send(request(keep=number % 2 == 0)) for number in range(100)]
        server.server.stop()
        gate.open()
        for peer in first + queued:
            assert peer.answer().status == 200
            assert peer.closed()
            peer.sock.close()


def test_nobody_in_the_queue_is_lost_when_serving_takes_longer_than_the_drain(serve, monkeypatch):
    monkeypatch.setattr(door, "MOST_DRAIN", 0.0)
    gate = Gate()

    def app(environ, start_response):
        gate()
        threading.Event().wait(3 * door.QUIET)  # the work
        return hello(environ, start_response)

    with serve(app) as server:
        count = server.server._options.threads
        first = [server.connect().send(request()) for _ in range(count)]
        gate.arrivals(count)
        queued = [server.connect().send(request()) for _ in range(40)]
        server.server.stop()
        gate.open()
        for peer in first + queued:
            assert peer.answer().status == 200
            peer.sock.close()


def test_new_connections_are_kept_away(serve):
    gate = Gate()
    with serve(gated(gate)) as server, server.connect() as peer:
        peer.send(request())
        gate.arrivals()
        server.server.stop()
        if server.server.shared:
            server_gone = False
            while not server_gone:
                try:
                    server.connect().sock.close()
                except OSError:
                    server_gone = True
        gate.open()
        assert peer.answer().status == 200


def test_one_that_connected_and_never_spoke_does_not_hold_the_end_up(serve):
    with serve(hello) as server, server.connect() as silent, server.connect():
        silent.sock.getpeername()
        server.server.stop()
        assert server.ended.wait(PATIENCE)
        assert silent.closed()


def test_one_that_comes_during_the_drain_and_never_speaks_does_not_either(serve_shared, monkeypatch):
    monkeypatch.setattr(Listener, "begin_drain", lambda self: None)  # as it is with a socket that others listen on
    # Time for the two to come, and for one of them to speak, also on a busy machine.
    monkeypatch.setattr(door, "QUIET", 0.5)
    monkeypatch.setattr(threads, "FRESH_GRACE", 0.3)
    gate = Gate()
    with serve_shared(gated(gate)) as server, server.connect() as peer:
        peer.send(request())
        gate.arrivals()
        draining(server)
        with server.connect() as late, server.connect() as speaking:
            speaking.send(request())
            assert late.closed()
            gate.open()
            assert peer.answer().status == 200
            assert speaking.answer().status == 200


def test_a_connection_that_half_closed_is_answered_before_the_end(serve):
    gate = Gate()
    with serve(gated(gate)) as server, server.connect() as peer:
        peer.send(request())
        peer.sock.shutdown(socket.SHUT_WR)
        gate.arrivals()
        server.server.stop()
        gate.open()
        assert peer.answer().status == 200


def test_streamed_requests_finish_too(serve):
    gate = Gate()

    def app(environ, start_response):
        gate()
        return echo(environ, start_response)

    with serve(app, stream_body=True) as server, server.connect() as peer:
        peer.send(begin("/"))
        gate.arrivals()
        server.server.stop()
        gate.open()
        peer.send(build.stdin(b"late"))
        assert peer.answer().body == b"late"
        assert peer.closed()


def test_stopping_twice_and_after_the_end_is_harmless(serve):
    with serve(hello) as server:
        server.server.stop()
        server.server.stop()
        assert server.ended.wait(PATIENCE)
        server.server.stop()


def test_a_server_that_was_stopped_before_it_ran_ends_at_once(serve):
    gateway = Recorder(lambda request: None)
    with serve(None, gateway=gateway) as server:
        server.server.stop()
    assert gateway.requests == []


def test_no_thread_and_no_descriptor_is_left(serve):
    with serve(hello) as warm:
        warm.ask()
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        with serve(hello) as server, server.connect() as peer:
            peer.ask()
            server.ask(keep=False)
    assert len(os.listdir("/proc/self/fd")) == before


def test_responses_in_mid_stream_are_finished(serve_shared):
    gate = Gate()

    def app(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"one"
        gate()
        yield b"two"

    with serve_shared(app) as server:
        peers = [server.connect().send(request()) for _ in range(4)]
        gate.arrivals(4)
        server.server.stop()
        gate.open()
        for peer in peers:
            assert peer.answer().body == b"onetwo"
            assert peer.closed()
            peer.sock.close()
