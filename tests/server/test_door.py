"""Tests of accepting: descriptors that run out, peers that are not welcome, and the last newcomers before an end."""

from __future__ import annotations

import errno
import os
import socket
import time
from types import SimpleNamespace

import pytest

from penstock.server import door
from penstock.server.listen import Listener, open_listeners
from tests.server.peers import Gate, hello, request


class Accepting:
    """A listening socket that counts its accept() calls and fails when told to.

    Attributes:
        failing: the errno of the next calls; 0 for none.
    """

    def __init__(self, real: socket.socket) -> None:
        self._real = real
        self.calls = 0
        self.failures = 0
        self.failing = 0

    def accept(self):
        self.calls += 1
        if self.failing:
            self.failures += 1
            raise OSError(self.failing, os.strerror(self.failing))
        return self._real.accept()

    def __getattr__(self, name):
        return getattr(self._real, name)


@pytest.fixture
def accepting(sock_dir):
    """A listener whose accept() is watched; and the watch."""
    (listener,) = open_listeners(f"unix:{sock_dir}/s", environ={})
    watch = Accepting(listener.socket)
    object.__setattr__(listener, "socket", watch)
    yield listener, watch
    listener.close()


@pytest.fixture
def one_second(monkeypatch):
    """All is said in one second, however long it takes: so each cause gets one line."""
    monkeypatch.setattr("penstock.server.notices.time", SimpleNamespace(monotonic=lambda: 50.0))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EINVAL])
def test_when_accepting_fails_it_pauses_and_then_goes_on(serve, accepting, monkeypatch, one_second, caplog, number):
    pause = 0.1
    monkeypatch.setattr(door, "PAUSE", pause)
    listener, watch = accepting
    with serve(hello, listeners=[listener]) as server, server.connect() as kept:
        kept.ask()
        watch.failing = number
        waiting = [server.connect().send(request()) for _ in range(20)]
        while not watch.failures:
            assert kept.ask().status == 200  # those who are in are served
        before, began = watch.calls, time.monotonic()
        for _ in range(20):
            kept.ask()
        # It does not spin, however many wait.
        assert watch.calls <= before + 2 + (time.monotonic() - began) / pause
        watch.failing = 0
        for peer in waiting:
            assert peer.answer().status == 200
            peer.sock.close()
    assert caplog.text.count("cannot accept") == 1
    assert os.strerror(number) in caplog.text


def test_one_who_left_while_waiting_costs_the_others_nothing(serve, accepting):
    listener, watch = accepting
    with serve(hello, listeners=[listener]) as server:
        watch.failing = errno.ECONNABORTED
        peer = server.connect().send(request())
        while watch.failures < 3:
            pass
        watch.failing = 0
        assert peer.answer().status == 200
        peer.sock.close()


def test_descriptors_that_run_out_while_it_drains_are_waited_for(serve, accepting, monkeypatch):
    monkeypatch.setattr(door, "MOST_DRAIN", 20.0)
    listener, watch = accepting
    gate = Gate()

    def app(environ, start_response):
        gate()
        return hello(environ, start_response)

    with serve(app, listeners=[listener]) as server:
        threads = server.server._options.threads
        first = [server.connect().send(request()) for _ in range(threads)]
        gate.arrivals(threads)
        queued = [server.connect().send(request()) for _ in range(5)]
        watch.failing = errno.EMFILE
        server.server.stop()
        gate.open()
        for peer in first:
            assert peer.answer().status == 200
        failures = watch.failures
        while watch.failures < failures + 2:
            pass
        watch.failing = 0
        for peer in queued:
            assert peer.answer().status == 200
        for peer in first + queued:
            peer.sock.close()


def test_newcomers_who_never_end_do_not_keep_a_server_from_stopping(serve, accepting, monkeypatch):
    monkeypatch.setattr(door, "MOST_DRAIN", 0.05)
    monkeypatch.setattr(Listener, "begin_drain", lambda self: None)
    listener, _ = accepting
    with serve(hello, listeners=[listener]) as server:
        server.server.stop()
        refused = 0
        while not server.ended.is_set():
            try:
                server.ask()
            except (OSError, AssertionError, ValueError):
                refused += 1
        assert server.ended.is_set()


@pytest.mark.parametrize(("allow", "welcome"), [(["192.0.2.0/24"], False), (["127.0.0.1"], True), ([], False)])
def test_a_tcp_peer_that_is_not_in_the_allow_list_is_closed_unread(serve, allow, welcome, one_second, caplog):
    with serve(hello, listeners=open_listeners("127.0.0.1:0", allow=allow, environ={})) as server:
        for _ in range(20):
            with server.connect() as peer:
                try:
                    peer.send(request())
                    assert peer.answer().status == (200 if welcome else 0)
                except OSError:
                    assert not welcome
    assert caplog.text.count("127.0.0.1 was refused: not in the allow-list") == (0 if welcome else 1)


def test_several_listeners_serve_alike_and_are_all_drained(serve, sock_dir):
    listeners = open_listeners([f"unix:{sock_dir}/a", f"unix:{sock_dir}/b", "127.0.0.1:0"], environ={})
    with serve(hello, listeners=listeners):
        for listener in listeners:
            with socket.socket(listener.socket.family) as sock:
                sock.connect(listener.socket.getsockname())
                sock.sendall(request(keep=False))
                received = b""
                while piece := sock.recv(4096):
                    received += piece
                assert b"hello, world" in received
    assert os.listdir(sock_dir) == []
