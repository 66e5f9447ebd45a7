"""This file runs the fuzzer for a moment, and shows that it finds what is broken on purpose."""

from __future__ import annotations

import subprocess
import sys
from random import Random

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import InputEnded, InputReceived, RequestBegan
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.spec import RecordType
from penstock.server.options import ServerOptions
from penstock.testing import transport
from tests.fuzz import grammar, structure
from tests.processes import ROOT
from tests.testing.servers import serving_threads


def test_no_law_is_broken_by_a_few_hundred_inputs(capsys):
    assert structure.run(seed=1, count=400) == 0
    said = capsys.readouterr().out
    assert "400 inputs" in said
    # It is no use to make only mistakes, or none.
    assert "no mistake" in said
    assert all(mistake.__name__ in said for mistake in grammar.MISTAKES)


def test_a_seed_and_a_number_make_the_same_input_again():
    for number in range(20):
        one, other = (structure.make(Random(f"5:{number}"), "")[0] for _ in range(2))
        assert one == other


class _Chatty(ApplicationConnection):
    """Tells of the end of an input twice."""

    def receive_data(self, data):
        events = super().receive_data(data)
        return events + [event for event in events if isinstance(event, InputEnded)]


class _Fragile(ApplicationConnection):
    """Meets an error that is no protocol error."""

    def receive_data(self, data):
        try:
            return super().receive_data(data)
        except RemoteProtocolError as error:
            raise KeyError(2) from error


class _Inventive(ApplicationConnection):
    """Tells of a request that nobody began."""

    def receive_data(self, data):
        events = super().receive_data(data)
        return [event._replace(request_id=4) if isinstance(event, RequestBegan) else event for event in events]


class _Deaf(ApplicationConnection):
    """Loses the end of an input."""

    def receive_data(self, data):
        return [event for event in super().receive_data(data) if not isinstance(event, InputEnded)]


class _Hoarding(ApplicationConnection):
    """Never lets go of anything."""

    __slots__ = ("hoard",)

    def receive_data(self, data):
        events = super().receive_data(data)
        self.hoard = [*getattr(self, "hoard", []), bytearray(20 * structure.MIB)]
        return events


class _Eager(ApplicationConnection):
    """Hands out content before the request began."""

    def receive_data(self, data):
        events = super().receive_data(data)
        began = any(isinstance(event, RequestBegan) for event in events)
        return [InputReceived(1, RecordType.STDIN, b"x"), *events] if began else events


@pytest.mark.parametrize("broken", [_Chatty, _Fragile, _Inventive, _Deaf, _Hoarding, _Eager])
def test_a_connection_that_breaks_a_law_is_found(broken, monkeypatch, capsys):
    monkeypatch.setattr(structure, "ApplicationConnection", broken)
    assert structure.run(seed=1, count=200) == 1
    said = capsys.readouterr()
    assert "BROKEN by input" in said.out
    assert "--seed 1 --first" in said.out
    assert "Traceback" in said.err


class _Repeating(WebServerConnection):
    """Tells everything twice."""

    def receive_data(self, data):
        return super().receive_data(data) * 2


def test_a_web_servers_connection_that_breaks_a_law_is_found(monkeypatch):
    monkeypatch.setattr(structure, "WebServerConnection", _Repeating)
    assert structure.run(seed=1, count=100) == 1


def test_a_server_that_runs_survives_it_too(sock_dir):
    serving = serving_threads(sock_dir, ServerOptions(threads=2))
    with serving(transport.echo):
        assert structure.run(seed=1, count=40, address=f"unix:{sock_dir}/app.sock") == 0


def test_it_is_a_program(tmp_path):
    ran = subprocess.run(
        [sys.executable, str(ROOT / "tests/fuzz/structure.py"), "--seed", "3", "--first", "7", "--count", "2"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout.startswith("seed 3\nseed 3: ")
    assert "2 inputs" in ran.stdout
