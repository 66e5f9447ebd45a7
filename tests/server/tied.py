"""This file is a server that is tied to a test as to its supervisor, in a process of its own."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.processes import PATIENCE, Process
from tests.server.peers import Peer, request

PROGRAM = """
import asyncio, os, signal, socket, sys
from penstock.gateways.asgi import ASGIGateway
from penstock.gateways.lifespan import Lifespan
from penstock.gateways.webserver import cgi_params
from penstock.gateways.wsgi import WSGIGateway
from penstock.server.gifts import Exchange
from penstock.server.listen import open_listeners
from penstock.server.notices import new_reference
from penstock.server.options import ServerOptions
from penstock.server.tether import Tether, TetheredThreads
from penstock.server.tether_loop import TetheredLoop
from penstock.testing import build

kind, folder = sys.argv[1:]
if kind == "asyncio":
    sys.modules["uvloop"] = None  # it is not to be had

def say(words):
    os.write(2, f"{words}\\n".encode())

def wait():
    with open(f"{folder}/release") as release:
        release.read()

class Tied(Tether):
    def __setattr__(self, name, value):
        super().__setattr__(name, value)
        if name == "leaving":
            say(f"leaving {value}")

    def ready(self):
        say("ready")

    def most_connections(self, now):
        say(f"connections {now}")
        return 100

    def reopen(self):
        say("reopened")

    def began(self, params):
        say(f"began {params['REQUEST_URI']}")
        return params["REQUEST_URI"]

    def ended(self, ticket):
        say(f"ended {ticket}")

    def give(self, server, sock):
        given = super().give(server, sock)
        say(f"given {given}")
        return given

def app(environ, start_response):
    if environ["PATH_INFO"] == "/wait":
        wait()
    elif environ["PATH_INFO"] == "/fail":
        raise RuntimeError("no")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"hello"]

theirs = []
newcomers = []

def connect_and_leave():
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(f"{folder}/s")
    sock.sendall(build.request(cgi_params("GET", "/late"), b"", request_id=1, flags=0))
    newcomers.append(sock)
    server.lifecycle.handlers[signal.SIGUSR1]()

def take_and_leave():
    ours, other = socket.socketpair()
    theirs.append(other)
    tether.exchange.give(ours)
    ours.close()
    server.take_more()
    server.lifecycle.handlers[signal.SIGUSR1]()

async def aapp(scope, receive, send):
    if scope["type"] != "http":
        raise NotImplementedError
    act = {"/take": take_and_leave, "/connect": connect_and_leave}.get(scope["path"])
    if act is not None:
        def when_alone():
            if server.connections:
                asyncio.get_running_loop().call_soon(when_alone)
            else:
                act()

        when_alone()
    if scope["path"] == "/late":
        for _ in range(100):
            await asyncio.sleep(0)
    if scope["path"] == "/wait":
        await asyncio.to_thread(wait)
    elif scope["path"] == "/hold":
        say("holds the loop")
        wait()
    elif scope["path"] == "/fail":
        raise RuntimeError("no")
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})

listeners = open_listeners(f"unix:{folder}/s")
queue = listeners[0].socket.dup()  # a supervisor has it too
gate, lifeline = (os.open(f"{folder}/{name}", os.O_RDONLY | os.O_NONBLOCK) for name in ("gate", "lifeline"))
tether = Tied(gate, lifeline, Exchange())
options = ServerOptions.of(threads=int(kind) if kind.isdigit() else 1, graceful_timeout=30.0)
if not kind.isdigit():
    lifespan = Lifespan(aapp)
    gateway = ASGIGateway(aapp, new_reference=new_reference, state=lifespan.state)
    server = TetheredLoop(gateway, listeners, options, None, lifespan)
else:
    gateway = WSGIGateway(app, new_reference=new_reference, multithread=False, multiprocess=True)
    server = TetheredThreads(gateway, listeners, options)
server.tie(tether)
server.run()
say(f"left {sum(tether.exchange.take() is not None for _ in range(3))}")
queue.setblocking(False)
try:
    queue.accept()
    say("one waits in the queue")
except BlockingIOError:
    say("nobody waits in the queue")
    for sock in newcomers:
        sock.settimeout(5)
        say(f"received {sock.recv(65536)}")
say("over")
"""


class Tied:
    """A server that waits at its gate; each of its descriptors is a named pipe."""

    def __init__(self, process: Process, folder: Path) -> None:
        process.wait_for("^ready$")
        self.process = process
        self.folder = folder

    def touch(self, name: str) -> None:
        """The other end of a pipe is opened and closed again, so that this one can be read from."""
        os.close(os.open(self.folder / name, os.O_WRONLY))

    def connect(self) -> Peer:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(f"{self.folder}/s")
        return Peer(sock)

    @contextlib.contextmanager
    def kept(self) -> Iterator[Peer]:
        """An idle connection that has been answered once."""
        with self.connect() as peer:
            assert peer.ask("/").body == b"hello"
            yield peer

    @contextlib.contextmanager
    def busy(self) -> Iterator[Peer]:
        """A connection whose request runs until `release` is touched."""
        with self.connect() as peer:
            peer.send(request("/wait"))
            self.process.wait_for("began /wait")
            yield peer

    def ended(self) -> int:
        return self.process.wait()
