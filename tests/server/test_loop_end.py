"""The end of a process that served ASGI: it comes in time, it comes of itself, and nothing is cut short by an alarm."""

from __future__ import annotations

import signal
import socket

import pytest

from tests.processes import PATIENCE
from tests.server.peers import Peer, request

PROGRAM = """
import asyncio, atexit, sys, time

def say(word):
    print(word, file=sys.stderr, flush=True)

async def stubborn():
    while True:
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            say("not yet")

async def app(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    say("asked")
    if scope["path"] == "/thread":
        await asyncio.to_thread(time.sleep, 600)
    elif scope["path"] == "/stubborn":
        await stubborn()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})

def late():
    time.sleep(1)
    say("the end")
"""


def serve(processes, sock_dir, more: str = ""):
    program = sock_dir / "app.py"
    program.write_text(PROGRAM + more)
    process = processes.penstock("serve", program, "--bind", f"unix:{sock_dir}/s", "--graceful-timeout", "0.5s")
    process.wait_for("listening on")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(f"{sock_dir}/s")
    return process, Peer(sock)


def test_what_a_program_does_at_its_exit_may_take_longer_than_the_grace(processes, sock_dir):
    process, peer = serve(processes, sock_dir, "atexit.register(late)\n")
    with peer:
        assert peer.ask().body == b"hello"
    assert process.stop() == 0
    assert "the end" in process.stderr


@pytest.mark.parametrize("path", ["/thread", "/stubborn"])
def test_a_request_that_cannot_be_cancelled_keeps_the_process_no_longer_than_the_grace(processes, sock_dir, path):
    process, peer = serve(processes, sock_dir)
    with peer:
        peer.send(request(path))
        process.wait_for("asked")
        assert process.stop(signal.SIGTERM) == 0
