"""This file tests that kept connections outlive the worker that accepted them: nobody who asks notices a reload."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from tests.faults.peer import Peer
from tests.interop.backend import start

BLOCKING = """\
import os
VERSION = 1
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{VERSION} {os.getpid()}".encode()]
"""
ASYNC = """\
import os
VERSION = 1
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": f"{VERSION} {os.getpid()}".encode()})
"""


@pytest.mark.parametrize("address", ["unix", "tcp"])
@pytest.mark.parametrize("source", [BLOCKING, ASYNC], ids=["wsgi", "asgi"])
def test_idle_connections_are_served_by_the_next_generation(processes, sock_dir, source, address):
    app = sock_dir / "pages.py"
    app.write_text(source)
    bind = f"unix:{sock_dir}/s" if address == "unix" else "127.0.0.1:0"
    backend = start(processes, "--workers", "2", "--control", f"{sock_dir}/control", bind=(bind,), app=str(app))
    with ExitStack() as stack:
        peers = [stack.enter_context(Peer(backend)) for _ in range(12)]
        for peer in peers:
            assert peer.ask("/").startswith(b"1 ")
        app.write_text(source.replace("VERSION = 1", "VERSION = 2"))
        assert processes.penstock("reload", f"{sock_dir}/control", "--wait").wait() == 0
        for peer in peers:
            # An old worker may still be about to hand it over; once it has, it stays handed over.
            assert any(peer.ask("/").startswith(b"2 ") for _ in range(1000))
            assert peer.ask("/").startswith(b"2 ")
    assert backend.process.stop() == 0
