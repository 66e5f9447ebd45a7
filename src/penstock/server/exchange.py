"""This file is one open request inside the server: it takes the input in, checks it, and carries the output away."""

from __future__ import annotations

import io
import select
from collections.abc import Callable
from typing import BinaryIO, ClassVar, Final, final

from penstock.gateways.environ import BadRequest, content_length, merge, normalise, require_method
from penstock.gateways.request import Disconnected, Request, TruncatedInput
from penstock.protocol.params import Pair
from penstock.protocol.records import STREAM_SLICE
from penstock.protocol.spec import RecordType, Role
from penstock.server.channel import Channel
from penstock.server.options import ServerOptions
from penstock.server.spool import Spool

_ROLE_NAMES: Final = {role: role.name for role in Role}
_STDIN: Final = RecordType.STDIN
_EMPTY: Final = b""

HELD_OUTPUT: Final = 65536
"""Bytes of output kept back while the request body still arrives: nginx stops sending it once a response has begun."""


MoveInput = Callable[[Channel, "Exchange", bool], None]
"""Reads the connection for a handler; the flag says whether to wait until there is something for it."""


class BodyTooLarge(BadRequest):
    """The body passes `max_body`."""

    status: ClassVar[int] = 413


class NoRoom(BadRequest):
    """The body cannot be kept: the disk is full, or no temporary file can be made."""

    status: ClassVar[int] = 507


class WrongLength(BadRequest):
    """The body is not as long as CONTENT_LENGTH says: what follows on this connection cannot be trusted."""


@final
class Exchange(Request):
    """One open request.

    Attributes:
        complete: all input has arrived.
        ended: the response is over, whether whole or not; nothing more can be sent.
        aborted: the web server has given the request up.
        started: response bytes have been sent.
        handed: it has been given to a thread, or waits for one; that thread ends it.
        pumps: its handler reads the connection itself, to get at the rest of the body.
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
        "aborted",
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
        self._held: list[bytes | memoryview] = []
        self._held_size = 0
        self.request_id = request_id
        self.complete = role is Role.AUTHORIZER
        self.ended = False
        self.aborted = False
        self.started = False
        self.handed = False
        self.pumps = False
        self.fault: BadRequest | None = None

    # -- input

    def admit(self, pairs: list[Pair]) -> None:
        """Take the parameters.

        Raises:
            BadRequest: the request cannot be answered by an application.
        """
        params = self.params = merge(pairs)
        normalise(params, self._options.mount)
        params["FCGI_ROLE"] = _ROLE_NAMES[self.role]
        if self.role is Role.AUTHORIZER:
            return
        require_method(params)
        expected = content_length(params)
        if expected is not None:
            self._expected = expected
            if expected > self._options.max_body:
                raise BodyTooLarge(f"a body of {expected} bytes; {self._options.max_body} are allowed")

    def take(self, stream: RecordType, content: bytes) -> None:
        """Keep a piece of an input stream.

        Raises:
            BadRequest: it is too much, more than was announced, or cannot be kept.
        """
        if stream is _STDIN:
            spool = self._stdin
            if spool is None:
                spool = self._stdin = Spool(self._options.body_memory)
            size = spool.received + len(content)
            if self._expected is not None and size > self._expected:
                raise WrongLength(f"the body is longer than its CONTENT_LENGTH of {self._expected}")
        else:
            spool = self._data
            if spool is None:
                spool = self._data = Spool(self._options.body_memory)
            size = spool.received + len(content)
        if size > self._options.max_body:
            raise BodyTooLarge(f"more than the {self._options.max_body} bytes of body that are allowed")
        try:
            spool.write(content)
        except OSError as error:
            raise NoRoom(f"the body cannot be kept in a temporary file: {error.strerror}") from error

    def end_input(self, stream: RecordType, complete: bool) -> None:
        """An input stream has ended; `complete` is true for the last one.

        Raises:
            BadRequest: it is shorter than was announced.
        """
        self.complete = complete
        if stream is _STDIN:
            received = self._stdin.received if self._stdin is not None else 0
            if self._expected is None:
                # Frameworks stop reading at CONTENT_LENGTH, and without one they read nothing.
                if received and not self._options.stream_body:
                    self.params["CONTENT_LENGTH"] = str(received)
            elif received != self._expected:
                raise WrongLength(f"the body has {received} bytes and its CONTENT_LENGTH says {self._expected}")

    def prepare(self, move_input: MoveInput) -> None:
        """Make the input readable for the gateway.

        Args:
            move_input: how a body that is still on its way is moved on.
        """
        if self.complete:
            if self._stdin is not None:
                self.stdin = self._stdin.whole()
            if self.role is Role.FILTER:
                self.data = self._data.whole() if self._data is not None else io.BytesIO()
            return
        self.stdin = self._live(_STDIN, move_input)
        if self.role is Role.FILTER:
            self.data = self._live(RecordType.DATA, move_input)
        self._channel.pump = lambda: move_input(self._channel, self, False)

    def _live(self, stream: RecordType, move_input: MoveInput) -> BinaryIO:
        raw = _LiveInput(lambda size: self._read(stream, size, move_input))
        return io.BufferedReader(raw, 65536)

    def _read(self, stream: RecordType, size: int, move_input: MoveInput) -> bytes:
        while True:
            spool = self._stdin if stream is _STDIN else self._data
            chunk = spool.read(size) if spool is not None else _EMPTY
            if chunk:
                return chunk
            if self.fault is not None:
                raise TruncatedInput(self.fault.reason)
            if self.complete:
                return _EMPTY
            if self.aborted or self.ended:
                raise TruncatedInput("the connection ended before the request's input did")
            move_input(self._channel, self, True)

    @property
    def starving(self) -> bool:
        """Nothing can be read before more has arrived."""
        spools = (self._stdin, self._data)
        return not (
            self.complete or self.aborted or self.ended or self.fault or any(s is not None and s.unread for s in spools)
        )

    def wait_readable(self, seconds: float) -> bool:
        """Wait until more of the connection can be read; false when nothing came in time."""
        poll = select.poll()
        poll.register(self._channel.fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    # -- output, as Request says

    def write(self, data: bytes | memoryview) -> None:
        self._check()
        if not self.complete and self._hold(data):
            return
        self._flush()
        self._send(data)

    def finish(self, data: bytes | memoryview = b"") -> None:
        self._check()
        self._flush()
        size = len(data)
        if size > STREAM_SLICE:
            cut = size - size % STREAM_SLICE
            self._send(memoryview(data)[:cut])
            data = memoryview(data)[cut:]
        self._end()
        channel = self._channel
        try:
            channel.send(channel.protocol.finish(self.request_id, data))
        finally:
            channel.settle()

    def abort(self) -> None:
        """Without END_REQUEST and by closing, for that is all a web server can tell a broken response by."""
        if self.ended:
            return
        self._end()
        channel = self._channel
        channel.protocol.drop(self.request_id)
        channel.doom()
        channel.settle()

    def refuse(self, page: bytes) -> None:
        """End with a response of the server's own, as far as the peer still takes it."""
        self._held.clear()
        self._end()
        channel = self._channel
        channel.send_now(channel.protocol.finish(self.request_id, page))

    def give_up(self) -> None:
        """End a request that the web server has aborted."""
        self.refuse(b"")
        self._channel.settle()

    def cut(self) -> None:
        """The channel has closed underneath us."""
        self.aborted = True

    def release(self) -> None:
        """Give back what the body took; the gateway is done."""
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
        self._channel.pump = None
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
            pump()
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
                channel.send(channel.protocol.stdout(self.request_id, data))
            return
        # One record at a time: a copy of a large response would cost its size once more.
        view = memoryview(data)
        for start in range(0, len(view), STREAM_SLICE):
            channel.send(channel.protocol.stdout(self.request_id, view[start : start + STREAM_SLICE]))


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
