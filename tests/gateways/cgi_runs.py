"""This file makes requests of plain CGI for tests, and runs them in memory."""

from __future__ import annotations

import io
from collections.abc import Mapping

from penstock.gateways.cgi import CGIRequest, run_cgi

GET = {"GATEWAY_INTERFACE": "CGI/1.1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "/a.cgi", "PATH_INFO": "/x"}
HELLO = b"Content-Type: text/plain\r\nStatus: 200 OK\r\n\r\nhello"


def post(length: int | str | None, **more: str) -> dict[str, str]:
    said = {} if length is None else {"CONTENT_LENGTH": str(length)}
    return GET | {"REQUEST_METHOD": "POST"} | said | more


def admitted(environ: Mapping[str, str], stdin: io.BytesIO | None = None, **options) -> CGIRequest:
    request = CGIRequest(stdin or io.BytesIO(), io.BytesIO())
    request.admit(environ, **options)
    return request


class Sink(io.BytesIO):
    """Standard output that keeps what it got when it is closed, takes little at a time, or ends."""

    def __init__(self, most: int = 1 << 30, room: int = 1 << 30) -> None:
        super().__init__()
        self.most = most
        self.room = room
        self.flushed = 0

    def write(self, data) -> int:
        if not self.room:
            raise BrokenPipeError(32, "Broken pipe")
        piece = bytes(data)[: min(self.most, self.room)]
        self.room -= len(piece)
        return super().write(piece)

    def flush(self) -> None:
        self.flushed = len(self.getvalue())


def run(gateway, environ: Mapping[str, str] = GET, body: bytes = b"", stdout: Sink | None = None, **options):
    """Exit status and output of one request."""
    sink = stdout or Sink()
    status = run_cgi(gateway, environ, io.BytesIO(body), sink, **options)
    return status, sink.getvalue()
