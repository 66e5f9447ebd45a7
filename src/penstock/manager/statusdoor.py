"""This file answers on a FastCGI address of its own how everything is, also while all workers are busy.

GET /ping says pong as soon as a generation serves, and 503 before; every other path shows the status, in the form that
the query names: ?html, ?json, ?text, ?openmetrics.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import RequestBegan
from penstock.gateways.response import encode_head
from penstock.manager.openmetrics import NotInstalled
from penstock.manager.reactor import Reactor
from penstock.manager.views import View, form_of, render
from penstock.protocol.errors import ProtocolError
from penstock.server.listen import Listener

_MOST_PEERS: Final = 32
_PATIENCE: Final = 10.0
_RECEIVE: Final = 65_536


@final
class StatusDoor:
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
        self._listeners = listeners
        self._reactor = reactor
        self._look = look
        self._ready = ready
        self._peers: set[_Peer] = set()
        for listener in listeners:
            reactor.watch(listener.socket, self._accepting(listener))

    def let_go(self) -> None:
        """In a forked child: close our ends; the path stays the supervisor's."""
        for listener in self._listeners:
            listener.close()
        for peer in self._peers:
            peer.sock.close()

    def close(self) -> None:
        """Answer nobody any more."""
        for listener in self._listeners:
            self._reactor.forget(listener.socket)
            listener.close()
        for peer in list(self._peers):
            peer.close()

    def _accepting(self, listener: Listener) -> Callable[[], None]:
        def accept() -> None:
            try:
                sock, address = listener.socket.accept()
            except OSError:
                return
            if not listener.allows(address) or len(self._peers) >= _MOST_PEERS:
                sock.close()
                return
            sock.setblocking(False)
            self._peers.add(_Peer(sock, self._reactor, self._answer, self._peers))

        return accept

    def _answer(self, path: str, query: str) -> tuple[str, View]:
        if path.rstrip("/").endswith("/ping"):
            ready = self._ready()
            text = b"pong\n" if ready else b"no worker serves\n"
            return "200 OK" if ready else "503 Service Unavailable", View((("Content-Type", "text/plain"),), text)
        try:
            return "200 OK", render(form_of(query), self._look())
        except NotInstalled as error:
            return "501 Not Implemented", View((("Content-Type", "text/plain"),), f"{error}\n".encode())


@final
class _Peer:
    """A web server that asks."""

    def __init__(
        self,
        sock: socket.socket,
        reactor: Reactor,
        answer: Callable[[str, str], tuple[str, View]],
        others: set[_Peer],
    ) -> None:
        self.sock = sock
        self._reactor = reactor
        self._answer = answer
        self._others = others
        self._connection = ApplicationConnection()
        self._output = bytearray()
        self._alarm = reactor.alarm(self.close)
        self._alarm.set(_PATIENCE)
        reactor.watch(sock, self._on_readable)

    def close(self) -> None:
        self._alarm.clear()
        self._reactor.forget(self.sock)
        self._others.discard(self)
        self.sock.close()

    def _on_readable(self) -> None:
        try:
            data = self.sock.recv(_RECEIVE)
            events = self._connection.receive_data(data)
        except BlockingIOError:
            return
        except (OSError, ProtocolError):
            self.close()
            return
        if not data:
            self.close()
            return
        self._alarm.set(_PATIENCE)
        self._output += self._connection.take_answers()
        for event in events:
            if isinstance(event, RequestBegan):
                self._output += self._respond(event)
        self._go_on()

    def _respond(self, request: RequestBegan) -> bytes:
        params = dict(request.pairs)
        path = params.get("REQUEST_URI", "").partition("?")[0] or params.get("PATH_INFO", "/")
        status, (headers, body) = self._answer(path, params.get("QUERY_STRING", ""))
        head = encode_head(status, headers).to_bytes(len(body))
        if params.get("REQUEST_METHOD") == "HEAD":
            body = b""
        return self._connection.finish(request.request_id, head + body)

    def _go_on(self) -> None:
        """Send what there is; read on only when it is out, for who does not take answers need not ask more."""
        try:
            del self._output[: self.sock.send(self._output)]
        except BlockingIOError:
            pass
        except OSError:
            self.close()
            return
        if self._output:
            self._reactor.watch(self.sock, self._go_on, write=True)
        elif self._connection.must_close:
            self.close()
        else:
            self._reactor.watch(self.sock, self._on_readable)
