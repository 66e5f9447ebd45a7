"""Tests of how a connection ends, whoever else may hold its descriptor."""

from __future__ import annotations

import os
import socket
from types import SimpleNamespace

from penstock.server.lifecycle import Lifecycle
from tests.server.peers import PLAIN


def test_a_copy_of_the_descriptor_in_a_child_of_the_application_does_not_keep_the_connection(serve):
    copies: list[socket.socket] = []

    def app(environ, start_response):
        # What a fork leaves in the child.
        copies.extend(channel.sock.dup() for channel in server.server._channels)
        start_response("200 OK", PLAIN)
        return [b"answer"]

    with serve(app) as server:
        try:
            with server.connect() as peer:
                assert peer.ask(keep=False).body == b"answer"
                assert peer.closed()
        finally:
            for copy in copies:
                copy.close()


def test_a_hard_end_says_how_many_requests_it_cuts_off(monkeypatch, capfd):
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    Lifecycle(1, lambda: None, (), unfinished=lambda: 3).exit_now("out of time")
    assert codes == [0]
    assert capfd.readouterr().err == "penstock: out of time: 3 unfinished requests were cut off\n"


def test_a_stop_signal_keeps_newcomers_away_before_anything_else(monkeypatch):
    calls = []
    monkeypatch.setattr("signal.setitimer", lambda *_: None)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    listener = SimpleNamespace(begin_drain=lambda: calls.append("keep out"))
    Lifecycle(1, lambda: calls.append("wake"), [listener]).on_stop_signal()
    assert calls == ["keep out", "wake"]
