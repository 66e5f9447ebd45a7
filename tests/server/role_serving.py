"""This file serves handlers on a unix socket in a thread, and asks them as a web server would, for tests of roles."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from penstock.gateways.handler import Handler, HandlerGateway, Request, RoleGateway
from penstock.gateways.webserver import Response, ResponseReader, cgi_params
from penstock.protocol.spec import RecordType, Role
from penstock.server.listen import open_listeners
from penstock.server.options import ServerOptions
from penstock.server.threads import ThreadServer
from penstock.testing.transport import PATIENCE, Connect, Dialogue

MODES = pytest.mark.parametrize("stream_body", [False, True], ids=["received first", "streamed"])
THREADS = pytest.mark.parametrize("threads", [1, 3])


@contextmanager
def serving(folder: Path, served: HandlerGateway | RoleGateway, **options: Any) -> Iterator[Connect]:
    """Serve a gateway on a unix socket in this folder, with any options, and see that the server stops at the end."""
    path = f"{folder}/s"
    given = ServerOptions(roles=served.roles, io_timeout=PATIENCE, **options)
    server = ThreadServer(served, open_listeners([f"unix:{path}"]), given)
    thread = threading.Thread(target=server.run)
    thread.start()

    def connect() -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(path)
        return sock

    try:
        yield connect
    finally:
        server.stop()
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the server has not stopped"


def pairs(method: str = "GET", url: str = "/", **more: str) -> list[tuple[str, str]]:
    """The parameters of a request, some of them said outright."""
    return list((cgi_params(method, url) | more).items())


def answer(dialogue: Dialogue, request_id: int) -> Response:
    """The answer to a request, once it has ended."""
    reader = ResponseReader()
    body = reader.feed(dialogue.response(request_id))
    return Response(reader.finish(), body)


def ask_filter(dialogue: Dialogue, data: bytes, stdin: bytes = b"", end: bool = True, **more: str) -> int:
    """Begin a request for a Filter, and send it both of its streams."""
    request_id = dialogue.begin(Role.FILTER, pairs(**more))
    dialogue.body(request_id, stdin)
    if data:
        dialogue.send(dialogue.protocol.send(request_id, data, RecordType.DATA))
    if end:
        dialogue.send(dialogue.protocol.end_input(request_id, RecordType.DATA))
    return request_id


class Upper(Handler):
    """A filter: what it got as stdin, a bar, and its data in capitals."""

    def process(self, request: Request) -> None:
        request.set_header("Content-Type", "text/plain")
        request.write(request.stdin.read() + b"|" + request.data.read().upper())
