"""This file is one request of the client on its way: the input that is still to be sent, and the answer as it comes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from stat import S_ISREG
from time import time
from typing import BinaryIO, TypeAlias, cast, final

from penstock.client.errors import BadAnswer, ConnectionLost, Refused
from penstock.client.wire import Wire
from penstock.connection.events import OutputReceived, RequestEnded, WebServerEvent
from penstock.connection.webserver import WebServerConnection
from penstock.gateways.webserver import Head, MalformedHead, Response, ResponseReader
from penstock.protocol.records import STREAM_SLICE, Buffer
from penstock.protocol.spec import ProtocolStatus, RecordType

Body: TypeAlias = Buffer | BinaryIO | Iterable[bytes] | None
"""What may be sent as an input stream: bytes, a file from where it stands, or pieces as they come.

While the next piece is waited for, nothing is read either.
"""


@final
class Exchange:
    """One request that is on its way; iterate it for the body's pieces as they come. A context manager.

    Attributes:
        stderr: what the application has written for the web server's error log so far.
        ended: the application has ended the request; the two below are true then.
        app_status: the exit code that a CGI program would have had.
        protocol_status: whether the application took the request at all.
    """

    def __init__(
        self, wire: Wire, request_id: int, sources: Mapping[RecordType, Body], give_back: Callable[[Wire], None]
    ) -> None:
        self.stderr = bytearray()
        self.ended = False
        self.app_status = 0
        self.protocol_status: ProtocolStatus | int = ProtocolStatus.REQUEST_COMPLETE
        self._wire: Wire | None = wire
        self._request_id = request_id
        self._input = _records(wire.protocol, request_id, sources)
        self._aborted = False
        self._give_back = give_back
        self._reader = ResponseReader()
        self._body: deque[bytes] = deque()
        if all(source is None or isinstance(source, Buffer) for source in sources.values()):
            self._fill(wire, STREAM_SLICE)  # a small body travels in one segment with the parameters

    @property
    def head(self) -> Head:
        """Status, reason and headers; waits for them.

        Raises:
            ClientError: they do not come.
        """
        while self._reader.head is None:
            if self.ended:
                raise BadAnswer("the aborted request was ended without a response")
            self._step()
        return self._reader.head

    def __iter__(self) -> Iterator[bytes]:
        while True:
            while self._body:
                yield self._body.popleft()
            if self.ended:
                return
            self._step()

    def read(self) -> Response:
        """Wait for the whole answer.

        Raises:
            ClientError: it does not come.
        """
        body = b"".join(self)
        return Response(self.head, body, bytes(self.stderr), self.app_status, self.protocol_status)

    def abort(self) -> None:
        """Send ABORT_REQUEST: the application should end the request soon, with or without a response (section 5.4).

        Iterate on to see it do so; `head` exists only if it was sent before.
        """
        if self._wire is not None and not self._aborted:
            self._aborted = True
            self._wire.queue(self._wire.protocol.abort(self._request_id))

    def close(self) -> None:
        """Give the request up by closing the connection, as web servers do; nothing to do once it has ended."""
        if self._wire is not None:
            self._wire.close()
            self._wire = None

    def __enter__(self) -> Exchange:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _step(self) -> None:
        wire = self._wire
        if wire is None:
            raise ConnectionLost("the request was given up before its answer was complete")
        try:
            self._fill(wire, 1)
            for event in wire.move():
                self._take(event)
            if self.ended:
                self._finish(wire)
        except BaseException:
            self.close()
            raise

    def _fill(self, wire: Wire, enough: int) -> None:
        while wire.waiting < enough and (piece := next(self._input, None)) is not None:
            wire.queue(piece)

    def _take(self, event: WebServerEvent) -> None:
        if isinstance(event, OutputReceived):
            if event.stream is RecordType.STDERR:
                self.stderr += event.content
                return
            try:
                body = self._reader.feed(event.content)
            except MalformedHead as error:
                raise BadAnswer(str(error)) from None
            if body:
                self._body.append(body)
        elif isinstance(event, RequestEnded):
            self.ended = True
            self.app_status = event.app_status
            self.protocol_status = event.protocol_status

    def _finish(self, wire: Wire) -> None:
        self._wire = None
        self._give_back(wire)
        try:
            self._reader.finish()
        except MalformedHead as error:
            if self._aborted:
                return
            status = self.protocol_status
            if status:
                name = status.name if isinstance(status, ProtocolStatus) else f"status {status}"
                raise Refused(f"the application refused the request: {name}", status) from None
            raise BadAnswer(str(error)) from None


def _records(protocol: WebServerConnection, request_id: int, sources: Mapping[RecordType, Body]) -> Iterator[bytes]:
    """The input streams as records, for as long as the application wants them."""
    for stream, source in sources.items():
        for piece in _pieces(source):
            if not protocol.accepts(request_id, stream):
                return
            yield protocol.send(request_id, piece, stream)
        if not protocol.accepts(request_id, stream):
            return
        yield protocol.end_input(request_id, stream)


def _pieces(source: Body) -> Iterator[memoryview]:
    if source is None:
        return
    if isinstance(source, Buffer):
        source = (bytes(source),)
    elif hasattr(source, "read"):
        read = cast(BinaryIO, source).read
        source = iter(lambda: read(STREAM_SLICE), b"")
    for piece in source:
        view = memoryview(piece)
        for start in range(0, len(view), STREAM_SLICE):
            yield view[start : start + STREAM_SLICE]


def length_of(source: Body) -> int | None:
    """Bytes of an input stream, where they can be known without reading it."""
    if isinstance(source, Buffer):
        return len(source)
    if not hasattr(source, "seek"):
        return None
    file = cast(BinaryIO, source)
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except OSError:  # a pipe
        return None
    return end - here


def modified_of(source: Body) -> int:
    """When an input stream was last changed, in seconds of Unix time: the file's own time, or now for what is no file.

    A filter may answer from a cache by this alone (section 6.4), so what may have changed must not look old.
    """
    try:
        about = os.fstat(cast(BinaryIO, source).fileno())
    except (AttributeError, OSError):  # OSError: an io.BytesIO says so
        return int(time())
    return int(about.st_mtime if S_ISREG(about.st_mode) else time())
