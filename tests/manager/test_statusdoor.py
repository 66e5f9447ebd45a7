"""This file tests the supervisor's own FastCGI address: what a web server gets there, and what a hostile one does."""

from __future__ import annotations

import json
import os
import socket
import threading
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.client import Client, Response
from penstock.manager.reactor import Reactor
from penstock.manager.statusdoor import StatusDoor
from penstock.protocol.spec import Role
from penstock.server.listen import open_listeners
from penstock.testing import build
from tests.processes import PATIENCE

WORKER = {
    "pid": 7,
    "generation": 1,
    "state": "busy",
    "requests": 5,
    "request": "GET /<script>alert(1)</script>?\x1b[2J\u202e\ud800",
    "since": 1.0,
    "active": 1,
    "rss": 1,
    "cpu": 0.5,
}
POOL = {
    "name": "main",
    "app": "blog:app",
    "bind": ["unix:/x.sock"],
    "queue": {"pending": None, "limit": None},
    "min": 1,
    "max": 8,
    "requests": 123,
    "state": "serving",
    "generation": 1,
    "workers": [WORKER],
}
STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 1,
    "uptime": 12.3,
    "generation": 2,
    "reloads": {"ok": 1, "failed": 1},
    "last_reload": {"ok": False, "error": "<b>bad\ud800</b>", "at": "2026-03-01T12:00:00+0000"},
    "requests": 123,
    "pools": [POOL],
    "log_lines_dropped": 0,
    "spawns": 3,
    "exits": {"SIGKILL": 1},
    "slow_requests": 0,
    "timeouts": 0,
}


class Place:
    """A door whose loop runs in a thread."""

    def __init__(self, folder: str) -> None:
        self.status = STATUS
        self.ready = True
        self.reactor = Reactor()
        self.path = f"{folder}/status.sock"
        self.door = StatusDoor(
            open_listeners(f"unix:{self.path}"), self.reactor, lambda: self.status, lambda: self.ready
        )
        self._tick = self.reactor.alarm(lambda: self._tick.set(0.01))
        self._tick.set(0.01)
        self._thread = threading.Thread(target=self.reactor.run)
        self._thread.start()

    def ask(self, url: str, method: str = "GET", **more: Any) -> Response:
        with Client(f"unix:{self.path}", PATIENCE) as client:
            return client.request(method, url, **more)

    def connect(self) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(self.path)
        return sock

    def close(self) -> None:
        self.reactor.stopped = True
        self._thread.join()
        self.door.close()
        self.reactor.close()


@pytest.fixture
def place(sock_dir, caplog):
    made = Place(str(sock_dir))
    yield made
    made.close()
    assert "fault of penstock" not in caplog.text


def test_the_page_is_html_in_which_requests_are_text(place):
    answer = place.ask("/penstock")
    assert answer.status == 200
    assert dict(answer.headers)["Content-Type"] == "text/html; charset=utf-8"
    page = answer.body.decode()
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "<b>bad" not in page
    assert "\x1b" not in page
    assert "\u202e" not in page


def test_the_other_forms_are_named_by_the_query(place):
    assert json.loads(place.ask("/?json").body)["pools"][0]["workers"][0]["request"] == WORKER["request"]
    assert b"blog:app  serving" in place.ask("/?text").body
    assert b"\x1b" not in place.ask("/?text").body


def test_openmetrics_is_what_prometheus_reads(place):
    pytest.importorskip("prometheus_client")
    body = place.ask("/?openmetrics").body.decode()
    assert 'penstock_requests_total{pool="main"} 123.0' in body
    assert body.endswith("# EOF\n")


def test_head_has_the_head_of_get(place):
    head, get = place.ask("/?text", "HEAD"), place.ask("/?text")
    assert head.body == b""
    assert head.headers == get.headers
    assert dict(get.headers)["Content-Length"] == str(len(get.body))


def test_ping_says_whether_requests_would_be_served(place):
    answer = place.ask("/penstock/ping")
    assert (answer.status, answer.body) == (200, b"pong\n")
    place.ready = False
    assert place.ask("/ping").status == 503


def test_a_body_is_not_minded(place):
    assert place.ask("/ping", "POST", body=b"x" * 300_000).body == b"pong\n"


def test_one_connection_serves_many_questions(place):
    with Client(f"unix:{place.path}", PATIENCE) as client:
        for _ in range(50):
            assert client.request("GET", "/ping").body == b"pong\n"


def test_more_peers_than_there_are_places_are_sent_away_and_places_are_free_again(place):
    crowd = [place.connect() for _ in range(40)]
    assert [sock.recv(1) for sock in crowd[32:]] == [b""] * 8
    for sock in crowd:
        sock.close()
    for _ in range(100):
        try:
            assert place.ask("/ping").body == b"pong\n"
            return
        except Exception:
            continue
    raise AssertionError("no place has become free")


def test_a_peer_that_says_nothing_is_let_go(sock_dir, monkeypatch):
    monkeypatch.setattr("penstock.manager.guests.PATIENCE", 0.05)
    place = Place(str(sock_dir))
    try:
        with place.connect() as sock:
            assert sock.recv(1) == b""
    finally:
        place.close()


def test_who_does_not_take_its_answer_holds_up_nobody(place):
    place.status = {**STATUS, "pools": [{**POOL, "workers": [WORKER] * 5000}]}
    question = build.request({"REQUEST_METHOD": "GET", "QUERY_STRING": "json"}, b"", request_id=1, flags=1)
    with place.connect() as deaf:
        deaf.sendall(question)
        assert place.ask("/ping").body == b"pong\n"
        with place.connect() as other:
            other.sendall(question * 20)
            assert place.ask("/ping").body == b"pong\n"


@pytest.mark.parametrize("role", list(Role))
def test_every_role_gets_an_end(place, role):
    with place.connect() as sock:
        sock.sendall(build.request({"REQUEST_METHOD": "GET", "REQUEST_URI": "/ping"}, b"", request_id=1, role=role))
        assert sock.recv(65536)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.binary(max_size=200) | st.binary(max_size=60).map(lambda tail: build.begin(request_id=1) + tail))
def test_whatever_bytes_come_the_next_one_is_answered(place, data):
    with place.connect() as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        while sock.recv(65536):
            pass
    assert place.ask("/ping").body == b"pong\n"


@given(st.dictionaries(st.sampled_from(["REQUEST_URI", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD"]), st.binary()))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_whatever_is_asked_is_answered(place, params):
    texts = {name: value.decode("latin-1") for name, value in params.items()}
    with place.connect() as sock:
        sock.sendall(build.request(texts, b"", request_id=1))
        assert b"Status: " in sock.recv(65536)


def test_the_path_goes_with_the_door(sock_dir):
    place = Place(str(sock_dir))
    place.close()
    assert not os.path.exists(place.path)
