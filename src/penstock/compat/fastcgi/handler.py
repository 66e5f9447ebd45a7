"""This file is fastai's FcgiHandler: FastCGI for the servers of the standard library's socketserver.

The socketserver accepts a connection and makes a handler for it. Here penstock's server takes the connection from
there, for one request, so that whatever holds for its own connections holds for these.
"""

from __future__ import annotations

import io
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from socketserver import BaseServer, ForkingMixIn, StreamRequestHandler, ThreadingTCPServer, UnixStreamServer
from typing import Any, Final, NoReturn, final

from penstock.compat._output import OutputGateway, TextStream, to_text
from penstock.compat.fastcgi.records import Record
from penstock.gateways.request import Request
from penstock.protocol.spec import Role
from penstock.server.channel import Channel
from penstock.server.lifecycle import Lifecycle
from penstock.server.options import ServerOptions
from penstock.server.threads import ThreadServer

OPTIONS: Final = ServerOptions(threads=1, roles=frozenset(Role))

TextWrapper = TextStream
"""Text over one of a handler's streams; closing it only flushes."""


class ForkingUnixServer(ForkingMixIn, UnixStreamServer):
    """A socketserver with a process for each connection to a unix socket."""


class ReuseThreadingServer(ThreadingTCPServer):
    """A socketserver with a thread for each TCP connection, whose port is free again at once."""

    allow_reuse_address = True


def environ_of(request: Request) -> dict[str, str]:
    """The parameters as text.

    HTTP_CONTENT_TYPE and HTTP_CONTENT_LENGTH, which fastai's handlers look at, are what CONTENT_TYPE and CONTENT_LENGTH
    say, whether the web server sends them or not.
    """
    environ = {name: to_text(value) for name, value in request.params.items()}
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            environ[f"HTTP_{name}"] = environ[name]
    return environ


class FcgiHandler(StreamRequestHandler):
    """Answers one request of FastCGI; subclass it and override `handle`.

    The whole body is there when `handle` is called, and what it writes is sent when it returns, as a CGI response. The
    connection is closed then: a socketserver has a thread or a process for each, and an idle one would hold it. The
    decorator, and penstock.serve, keep connections.

    Attributes:
        environ: the parameters, see `environ_of`.
        streams: binary files by member of Record; `self["stdin"]`, "stdout", "stderr", "data" and "params" find them.
        length: bytes of the body.
    """

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        self.request = request
        self.client_address = client_address
        self.server = server
        if isinstance(request, socket.socket) and request.family != socket.AF_UNIX:
            request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
        OneConnection(request, self._answer).run()

    def _answer(self, request: Request) -> bytes:
        self._penstock = request
        self.setup()
        try:
            self.handle()
        finally:
            self.finish()
        output: io.BytesIO = self.streams[Record.STDOUT]
        return output.getvalue()

    def setup(self) -> None:
        """Take environ and streams from the request; an override calls this first."""
        request = self._penstock
        self.connection = self.request
        self.environ = environ_of(request)
        body = request.stdin.read()
        data = request.data.read() if request.data is not None else b""
        self.length = len(body)
        self.streams = {
            Record.STDIN: io.BytesIO(body),
            Record.DATA: io.BytesIO(data),
            Record.PARAMS: io.BytesIO(),
            Record.STDOUT: io.BytesIO(),
            Record.STDERR: io.BytesIO(),
        }

    def finish(self) -> None:
        """Write what the handler has said on its stderr to the process's log; FCGI_STDERR ends some web servers."""
        from penstock.server.notices import log

        said = self.streams[Record.STDERR].getvalue().decode("utf-8", "backslashreplace").strip()
        if said:
            log.error("%s", said)

    def __getitem__(self, key: str | Record) -> io.BytesIO:
        return self.streams[key if isinstance(key, Record) else Record[key.upper()]]

    @property
    def stdin(self) -> io.BytesIO:
        """The body."""
        return self["stdin"]

    @property
    def stdout(self) -> io.BytesIO:
        """Takes the response."""
        return self["stdout"]

    @property
    def stderr(self) -> io.BytesIO:
        """Takes what is for the log."""
        return self["stderr"]

    def print(self, s: str = "") -> None:
        """Write a line to stdout, as UTF-8, with CRLF at its end."""
        self.write(f"{s}\r\n".encode("utf-8", "surrogateescape"))

    def err(self, s: str = "") -> None:
        """Write a line to stderr likewise."""
        self.write(f"{s}\r\n".encode("utf-8", "surrogateescape"), err=True)

    def write(self, b: bytes, err: bool = False) -> None:
        """Write bytes to stdout, or to stderr."""
        self["stderr" if err else "stdout"].write(b)

    def content(self) -> str:
        """The body as text."""
        return self["stdin"].read().decode("utf-8", "surrogateescape")

    def _raw(self) -> NoReturn:
        raise NotImplementedError(
            "rfile and wfile would hold FastCGI's records, and penstock sees to those;"
            " use self['stdin'] and self['stdout']"
        )

    rfile = property(_raw)
    wfile = property(_raw)


class _NoSignals(Lifecycle):
    """The life of a server whose process obeys signals in its own way."""

    @contextmanager
    def signals(self, wakeup_fd: int) -> Iterator[None]:  # noqa: ARG002
        yield


@final
class OneConnection(ThreadServer):
    """Serves the first request of a connection that somebody else has accepted.

    Args:
        sock: the connection; closed at the end.
        answer: gives the CGI response.
    """

    def __init__(self, sock: socket.socket, answer: Any) -> None:
        super().__init__(OutputGateway(partial(self._first, answer)), [], OPTIONS)
        self.lifecycle = _NoSignals(OPTIONS.graceful_timeout, self._wake, ())
        sock.settimeout(None)
        self.welcome(sock).rest()

    def _first(self, answer: Any, request: Request) -> bytes:
        self.stop()
        output: bytes = answer(request)
        return output

    def discard(self, channel: Channel) -> None:
        """The connection is gone, and with it the reason to serve."""
        super().discard(channel)
        self.stop()
