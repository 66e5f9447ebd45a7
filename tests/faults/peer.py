"""This file is a web server by hand: it sends any bytes, and reads records without judging them."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from penstock.gateways.webserver import cgi_params
from penstock.protocol.records import Record, RecordReader, parse_end_request
from penstock.protocol.spec import KEEP_CONN, ProtocolStatus, RecordType, Role
from penstock.testing import build
from tests.interop.backend import Backend


class Answer(NamedTuple):
    """What came for one request until its END_REQUEST."""

    stdout: bytes
    app_status: int
    protocol_status: int

    @property
    def status(self) -> str:
        """The status line of the response."""
        head = self.stdout.partition(b"\r\n\r\n")[0].decode("latin-1")
        return next(line[8:] for line in head.split("\r\n") if line.startswith("Status: "))

    @property
    def body(self) -> bytes:
        return self.stdout.partition(b"\r\n\r\n")[2]


def params(url: str, method: str = "GET", length: int | None = None) -> dict[str, str]:
    """The parameters of a request."""
    return cgi_params(method, url, content_length=length)


def request(
    url: str, body: bytes = b"", *, request_id: int = 1, flags: int = KEEP_CONN, role: Role = Role.RESPONDER
) -> bytes:
    """A whole request on the wire."""
    method, length = ("POST", len(body)) if body else ("GET", None)
    return build.request(params(url, method, length), body, request_id=request_id, flags=flags, role=role)


class Peer:
    """One connection; a context manager.

    Args:
        backend: whom to connect to, at its first address or the given one.
    """

    def __init__(self, backend: Backend, address: str | None = None) -> None:
        self.sock = backend.connect(address)
        self._reader = RecordReader()
        self._records: deque[Record] = deque()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *pieces: bytes) -> Peer:
        """Send bytes, whatever they are."""
        self.sock.sendall(b"".join(pieces))
        return self

    def record(self) -> Record | None:
        """The next record; None once the server has closed."""
        while not self._records:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._records.extend(self._reader.feed(data))
        return self._records.popleft()

    def answer(self, request_id: int = 1) -> Answer:
        """All that comes until the request ends; records of other requests may not come in between."""
        stdout = bytearray()
        while (found := self.record()) is not None:
            kind, number, content = found
            assert number == request_id, found
            if kind == RecordType.STDOUT:
                stdout += content
            else:
                assert kind == RecordType.END_REQUEST, found
                return Answer(bytes(stdout), *parse_end_request(content))
        raise AssertionError(f"the connection was closed before request {request_id} ended; {bytes(stdout)!r} came")

    def ask(self, url: str, body: bytes = b"", request_id: int = 1) -> bytes:
        """One request that has to be answered with a 200; the body of the response."""
        answer = self.send(request(url, body, request_id=request_id)).answer(request_id)
        assert answer.protocol_status == ProtocolStatus.REQUEST_COMPLETE
        assert answer.status == "200 OK", answer
        return answer.body

    def closed(self) -> bool:
        """Wait for what comes next: true if it is the end."""
        return self.record() is None


def close_all(peers: Iterable[Peer]) -> None:
    for peer in peers:
        peer.sock.close()


def reset(sock: socket.socket) -> None:
    """Close so that a TCP peer gets a reset and no orderly end."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
