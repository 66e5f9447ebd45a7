"""This file is one open request inside the server: it takes the input in, checks it, and carries the output away."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import BinaryIO, Final, final

from penstock.gateways.environ import BadRequest
from penstock.gateways.request import Disconnected, Request, TruncatedInput
from penstock.gateways.response import body_size
from penstock.protocol.records import STREAM_SLICE
from penstock.protocol.spec import RecordType, Role
from penstock.server.admission import BrokenOff, NoRoom, Stalled, check_end, check_size, expected_length, read_params
from penstock.server.channel import Channel
from penstock.server.options import ServerOptions
from penstock.server.spool import Spool

_STDIN: Final = RecordType.STDIN
_EMPTY: Final = b""

HELD_OUTPUT: Final = 65536
"""Bytes of output kept back while the request body still arrives: nginx stops sending it once a response has begun."""


@final
class Exchange(Request):
    """One open request.

    Attributes:
        complete: all input has arrived.
        ended: the response is over, whether whole or not; nothing more can be sent.
        started: response bytes have been sent.
        handed: it has been given to a thread, or waits for one; that thread ends it.
        pumps: its handler reads the connection, through the pump, to get at the rest of the body.
        fault: what is wrong with the input; an application that reads on meets it as an error.
    """

    __slots__ = (
        "_channel",
        "_data",
        "_expected",
        "_held",
        "_held_size",
        "_options",
        "_stdin",
        "_stdin_ended",
        "_wanted",
        "complete",
        "ended",
        "fault",
        "handed",
        "pumps",
        "request_id",
        "started",
    )

    def __init__(self, channel: Channel, request_id: int, role: Role, options: ServerOptions) -> None:
        super().__init__(role, {})
        self._channel = channel
        self._options = options
        self._stdin: Spool | None = None
        self._data: Spool | None = None
        self._expected: int | None = None
        self._stdin_ended = False
        self._wanted = _STDIN
        self._held: list[bytes | memoryview] = []
        self._held_size = 0
        self.request_id = request_id
        self.complete = role is Role.AUTHORIZER
        self.ended = False
        self.started = False
        self.handed = False
        self.pumps = False
        self.fault: BadRequest | None = None

    # -- input

    def admit(self, names: list[str], values: list[str]) -> None:
        """Take the parameters.

        Raises:
            BadRequest: the request cannot be answered by an application.
        """
        self.params = read_params(self.role, names, values, self._options)
        self._expected = expected_length(self.role, self.params, self._options)

    def take(self, stream: RecordType, content: bytes) -> None:
        """Keep a piece of an input stream.

        Raises:
            BadRequest: it is too much, more than was announced, or cannot be kept.
        """
        spool = self._stdin if stream is _STDIN else self._data
        if spool is None:
            spool = Spool(self._options.body_memory)
            if stream is _STDIN:
                self._stdin = spool
            else:
                self._data = spool
        check_size(spool.received + len(content), self._expected if stream is _STDIN else None, self._options.max_body)
        try:
            spool.write(content)
        except OSError as error:
            raise NoRoom(f"the body cannot be kept in a temporary file: {error.strerror}") from error

    def end_input(self, stream: RecordType, complete: bool) -> None:
        """An input stream has ended; `complete` is true for the last one.

        Raises:
            WrongLength: it is shorter than was announced.
        """
        self.complete = complete
        if stream is _STDIN:
            self._stdin_ended = True
            received = self._stdin.received if self._stdin is not None else 0
            check_end(received, self._expected)
            if self._expected is None and received and not self._options.stream_body:
                # Frameworks stop reading at CONTENT_LENGTH, and without one they read nothing.
                self.params["CONTENT_LENGTH"] = str(received)

    def prepare(self) -> None:
        """Make the input readable for the gateway."""
        if self.complete:
            if self._stdin is not None:
                self.stdin = self._stdin.whole()
            if self.role is Role.FILTER:
                self.data = self._data.whole() if self._data is not None else io.BytesIO()
            return
        self.stdin = self._live(_STDIN)
        if self.role is Role.FILTER:
            self.data = self._live(RecordType.DATA)

    def _live(self, stream: RecordType) -> BinaryIO:
        return io.BufferedReader(_LiveInput(lambda size: self._read(stream, size)), 65536)

    def _read(self, stream: RecordType, size: int) -> bytes:
        channel = self._channel
        while True:
            # Another handler of this connection may be taking in what belongs to this one.
            with channel.reading:
                spool = self._stdin if stream is _STDIN else self._data
                chunk = spool.read(size) if spool is not None else _EMPTY
                if chunk:
                    return chunk
                if self.fault is not None:
                    raise TruncatedInput(self.fault.reason)
                if self.complete or (stream is _STDIN and self._stdin_ended):
                    return _EMPTY
                if self.aborted or self.ended:
                    raise TruncatedInput("the connection ended before the request's input did")
                self._wanted = stream
            pump = channel.pump
            assert pump is not None
            if not pump.wait(self):
                self.fault = Stalled("the rest of the request body did not arrive in time")
                channel.doom()

    def leave_pump(self) -> None:
        """The handler needs the connection's input no more; nothing happens if it does not read it anyway."""
        pump = self._channel.pump
        if self.pumps and pump is not None:
            pump.leave(self)

    @property
    def starving(self) -> bool:
        """Nothing of the stream that is read can be had before more has arrived."""
        if self.complete or self.aborted or self.ended or self.fault is not None:
            return False
        # What waits in a Filter's other stream is of no help.
        spool, ended = (self._stdin, self._stdin_ended) if self._wanted is _STDIN else (self._data, False)
        return not (ended or (spool is not None and spool.unread))

    # -- what the channel tells

    def starve(self) -> None:
        """No more input comes. What is not complete never will be."""
        if self.complete or self.ended:
            return
        if self.handed:
            self.fault = self.fault or BrokenOff("the connection is closed because of another request on it")
        else:
            self.forget()

    def cut(self) -> None:
        """Nobody takes the answer any more."""
        self.aborted = True

    def forget(self) -> None:
        """Be gone without an answer, unless a handler will see to that."""
        if not self.handed:
            self.aborted = True
            self._end()
            self._channel.open.discard(self)
            self.release()

    # -- output, as Request says

    def write(self, data: bytes | memoryview) -> None:
        self._check()
        if not self.complete and self._hold(data):
            return
        self._flush()
        self._send(data)

    def finish(self, data: bytes | memoryview = b"") -> None:
        self._check()
        if self._held:
            data = b"".join((*self._held, data))
            self._held.clear()
        size = len(data)
        if size > STREAM_SLICE:
            cut = size - size % STREAM_SLICE
            self._send(memoryview(data)[:cut])
            data = memoryview(data)[cut:]
        self._end()
        channel = self._channel
        try:
            channel.out.send(channel.protocol.finish(self.request_id, data, self.app_status))
        finally:
            channel.open.discard(self)
            channel.settle()

    def abort(self) -> None:
        """Without END_REQUEST and by closing, for that is all a web server can tell a broken response by.

        As long as nothing has left, the request stays open for an error page.
        """
        self._held.clear()
        if self.ended or not self.started:
            return
        self._end()
        channel = self._channel
        channel.protocol.drop(self.request_id)
        channel.open.discard(self)
        channel.doom()
        channel.settle()

    def refuse(self, page: bytes) -> None:
        """End with a response of the server's own, as far as the peer still takes it; `settle` is for the caller."""
        self._held.clear()
        self._end()
        if page:
            self.body_length = body_size(page)
        channel = self._channel
        channel.answer(channel.protocol.finish(self.request_id, page))
        channel.open.discard(self)

    def release(self) -> None:
        """Give back what the body took; the gateway is done."""
        if self._stdin is not None or self._data is not None:
            with self._channel.reading:
                for spool in (self._stdin, self._data):
                    if spool is not None:
                        spool.close()

    def _check(self) -> None:
        if self.aborted:
            raise Disconnected("the web server has given this request up")
        if self.ended:
            raise Disconnected("the response has ended already")

    def _end(self) -> None:
        self.ended = True
        self._channel.tenants.pop(self.request_id, None)

    def _hold(self, data: bytes | memoryview) -> bool:
        """Keep output back until the body is here, if that is little enough."""
        if self._held_size + len(data) > HELD_OUTPUT:
            return False
        # The memory behind a view belongs to the caller and may change once we return.
        self._held.append(bytes(data))
        self._held_size += len(data)
        pump = self._channel.pump
        if pump is not None:
            pump.move()
        if self.complete:
            self._flush()
        return True

    def _flush(self) -> None:
        if self._held:
            held = b"".join(self._held)
            self._held.clear()
            self._held_size = 0
            self._send(held)

    def _send(self, data: bytes | memoryview) -> None:
        channel = self._channel
        self.started = True
        if len(data) <= STREAM_SLICE:
            if data:
                channel.out.send(channel.protocol.stdout(self.request_id, data))
            return
        # One record at a time: a copy of a large response would cost its size once more.
        view = memoryview(data)
        for start in range(0, len(view), STREAM_SLICE):
            channel.out.send(channel.protocol.stdout(self.request_id, view[start : start + STREAM_SLICE]))


class _LiveInput(io.RawIOBase):
    """A request body that is read while it arrives."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read_some = read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        chunk = self._read_some(len(view))
        view[: len(chunk)] = chunk
        return len(chunk)
