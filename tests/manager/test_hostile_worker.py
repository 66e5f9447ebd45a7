"""This file tests that a worker which keeps talking, or keeps leaving dead processes, does not keep the supervisor."""

from __future__ import annotations

import pytest

from penstock.client import Client
from penstock.manager.messages import Message, hear
from tests.manager.supervised import serving
from tests.manager.world import world

LONG = b'{"event": "?", "a": [' + b"[]," * 15_000 + b"1]}"

APP = """
import os, socket
from functools import partial

LONG = b'{"event": "?", "a": [' + b"[]," * 15_000 + b"1]}"

def told():
    for number in map(int, os.listdir("/proc/self/fd")):
        if os.readlink(f"/proc/self/fd/{number}").startswith("socket:"):
            sock = socket.socket(fileno=os.dup(number))
            if sock.type == socket.SOCK_SEQPACKET:
                yield sock

def talk(sock):
    while os.path.exists("app.py"):  # this file
        sock.send(LONG)

def leave_orphans():
    while os.path.exists("app.py"):  # this file
        if not os.fork():
            os.fork()
            os._exit(0)
        os.wait()

def app(environ, start_response):
    for act in (*(partial(talk, sock) for sock in told()), leave_orphans):
        if not os.fork():
            try:
                act()
            finally:
                os._exit(0)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b""]
"""


@pytest.mark.parametrize(("said", "most"), [(LONG, 3), (b"{}", 200), (b"", 200)], ids=["long", "short", "empty"])
def test_who_keeps_talking_is_heard_for_a_moment(monkeypatch, said, most):
    with world("1") as made:
        generation = made.come()
        theirs = made._orders[generation]
        heard = []

        def more(ours) -> Message:
            heard.append(hear(ours))
            theirs.send(said)
            return heard[-1]

        theirs.send(said)
        monkeypatch.setattr("penstock.manager.pool.hear", more)
        made.pool.hear(generation)
        assert len(heard) <= most


def test_commands_are_answered_while_a_worker_talks_and_leaves_dead_processes(processes, sock_dir):
    (sock_dir / "app.py").write_text(APP)
    with serving(processes, sock_dir, "--workers", "1") as site:
        with Client(site.address) as client:
            assert client.request("GET", "/").status == 200
        for _ in range(3):
            assert site.tell("ping")["ok"]
        (sock_dir / "app.py").unlink()
