"""This file runs one of flup's servers in a thread of the tests."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from typing import Any

from penstock.client import Client
from penstock.compat.flup.handling import HookedGateway
from penstock.gateways.webserver import Response, cgi_params
from penstock.protocol.spec import Role
from penstock.testing import run_gateway
from tests.processes import PATIENCE
from tests.server.peers import Peer

PLAIN = [("Content-Type", "text/plain")]


class Live:
    """A server at work.

    Attributes:
        server: flup's server.
        address: where clients find it.
        result: what run() has returned; None before.
    """

    def __init__(self, server: Any) -> None:
        self.server = server
        self.address = ""
        self.result: bool | None = None
        self._name: Any = None
        self._family = socket.AF_UNIX
        self._failure: BaseException | None = None
        self._news = threading.Event()
        self._set_up = server._setupSocket
        server._setupSocket = self._noticed
        self._thread = threading.Thread(target=self._run, name="flup's server", daemon=True)
        self._thread.start()
        assert self._news.wait(PATIENCE)
        if self._failure is not None:
            raise self._failure

    def _noticed(self) -> socket.socket:
        sock: socket.socket = self._set_up()
        self._name, self._family = sock.getsockname(), sock.family
        unix = self._family == socket.AF_UNIX
        self.address = f"unix:{self._name}" if unix else f"127.0.0.1:{self._name[1]}"
        self._news.set()
        return sock

    def _run(self) -> None:
        try:
            self.result = self.server.run()
        except BaseException as error:
            self._failure = error
        finally:
            self._news.set()

    def client(self) -> Client:
        return Client(self.address, timeout=PATIENCE)

    def connect(self) -> Peer:
        """A web server by hand."""
        sock = socket.socket(self._family)
        sock.settimeout(PATIENCE)
        sock.connect(self._name)
        return Peer(sock)

    def join(self) -> bool | None:
        """Wait for the end of run(); what it returned."""
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive(), "run() does not return"
        if self._failure is not None:
            raise self._failure
        return self.result

    def stop(self) -> bool | None:
        """End run() from another thread, as programs do."""
        self.server._exit()
        return self.join()


@contextlib.contextmanager
def live(server: Any) -> Iterator[Live]:
    """Run a server of flup's."""
    running = Live(server)
    try:
        yield running
    finally:
        running.stop()


def answer(
    server: Any, method: str = "GET", url: str = "/", body: bytes = b"", *, role: Role = Role.RESPONDER, **params: str
) -> Response:
    """One request through a server's hooks, in memory."""
    gateway = HookedGateway(server, multithread=True, multiprocess=False)
    data = b"the data" if role is Role.FILTER else None
    return run_gateway(gateway, cgi_params(method, url) | params, body, role=role, data=data)


def hello(environ, start_response):
    start_response("200 OK", PLAIN)
    return [b"hello"]


def show(environ, start_response):
    """Every entry of the environ as a line."""
    start_response("200 OK", PLAIN)
    return [f"{name}={value}\n".encode("latin-1") for name, value in sorted(environ.items())]


def entries(response: Response) -> dict[str, str]:
    """What `show` has shown."""
    return dict(line.split("=", 1) for line in response.body.decode("latin-1").splitlines())
