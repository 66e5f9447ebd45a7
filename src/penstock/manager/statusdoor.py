"""This file answers on a FastCGI address of its own how everything is, also while all workers are busy.

GET /ping says pong as soon as a generation serves, and 503 before; every other path shows the status, in the form that
the query names: ?html, ?json, ?text, ?openmetrics.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, final

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import RequestBegan
from penstock.gateways.response import encode_head
from penstock.manager.guests import Guest, Reception
from penstock.manager.openmetrics import NotInstalled
from penstock.manager.reactor import Reactor
from penstock.manager.views import View, form_of, render
from penstock.protocol.errors import ProtocolError
from penstock.server.listen import Listener


@final
class StatusDoor(Reception["_Peer"]):
    """The listener and those who ask there.

    Args:
        listeners: of the address.
        look: makes the status.
        ready: whether requests would be served now.
    """

    def __init__(
        self,
        listeners: list[Listener],
        reactor: Reactor,
        look: Callable[[], Mapping[str, Any]],
        ready: Callable[[], bool],
    ) -> None:
        super().__init__(listeners, reactor)
        self._look = look
        self._ready = ready

    def welcome(self, sock: socket.socket) -> None:
        _Peer(sock, self)

    def answer(self, path: str, query: str) -> tuple[str, View]:
        """Status and page for a request."""
        if path.rstrip("/").endswith("/ping"):
            ready = self._ready()
            text = b"pong\n" if ready else b"no worker serves\n"
            return "200 OK" if ready else "503 Service Unavailable", View((("Content-Type", "text/plain"),), text)
        try:
            return "200 OK", render(form_of(query), self._look())
        except NotInstalled as error:
            return "501 Not Implemented", View((("Content-Type", "text/plain"),), f"{error}\n".encode())


@final
class _Peer(Guest):
    """A web server that asks."""

    def __init__(self, sock: socket.socket, door: StatusDoor) -> None:
        super().__init__(sock, door)
        self._door = door
        self._connection = ApplicationConnection()

    def heard(self, data: bytes) -> None:
        try:
            events = self._connection.receive_data(data)
        except ProtocolError:
            self.close()
            return
        answers = [self._connection.take_answers()]
        answers += [self._respond(event) for event in events if isinstance(event, RequestBegan)]
        self.say(b"".join(answers))

    def answered(self) -> None:
        if self._connection.must_close:
            self.close()

    def _respond(self, request: RequestBegan) -> bytes:
        params = dict(request.pairs)
        path = params.get("REQUEST_URI", "").partition("?")[0] or params.get("PATH_INFO", "/")
        status, (headers, body) = self._door.answer(path, params.get("QUERY_STRING", ""))
        head = encode_head(status, headers).to_bytes(len(body))
        if params.get("REQUEST_METHOD") == "HEAD":
            body = b""
        return self._connection.finish(request.request_id, head + body)
