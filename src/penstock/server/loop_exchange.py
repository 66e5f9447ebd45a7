"""This file is one open request on the event loop: body in with backpressure, output away with backpressure."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol, final

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import RequestBegan
from penstock.gateways.environ import BadRequest
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.response import body_size
from penstock.protocol.spec import Role
from penstock.server.admission import NoRoom, check_end, check_size, expected_length, read_params
from penstock.server.options import ServerOptions
from penstock.server.spool import Spool

UPGRADE_LOOK: Final = 0.05
"""Seconds in which a web server that carries no other protocol ends the input: most do with the PARAMS, some in a write
of its own."""

READ_AHEAD: Final = 262_144
"""Bytes of a body that wait for the application before its connection is read no further."""

_PIECE: Final = 65_536


class Carrier(Protocol):
    """What an exchange needs of the connection that it is open on."""

    protocol: ApplicationConnection
    congested: bool

    @property
    def lost(self) -> bool:
        """Nothing that is sent arrives any more, whether or not the event loop has come to say so."""

    def send(self, data: bytes) -> None:
        """Queue whole records."""

    def ended(self, exchange: LoopExchange) -> None:
        """The response is over, whole or not."""

    def doom(self) -> None:
        """Read no more, and close after the last open request."""

    def input_taken(self) -> None:
        """The application has read what was waiting for it."""

    def read_on(self) -> None:
        """Read, however much waits for the application."""

    def upgraded(self, exchange: LoopExchange) -> None:
        """The input of an exchange may pause for ever from now on."""


@final
class LoopExchange(AsyncRequest):
    """One open request.

    Attributes:
        ended: nothing more can be sent.
        unread: bytes of the body that wait for the application.
        is_upgraded: the input is another protocol's.
        is_held: output waits until the body is complete.
    """

    __slots__ = (
        "_body_first",
        "_carrier",
        "_complete",
        "_expected",
        "_held",
        "_options",
        "_spool",
        "_waiter",
        "began",
        "ended",
        "fault",
        "is_upgraded",
        "request_id",
        "started",
        "task",
    )

    def __init__(self, carrier: Carrier, begun: RequestBegan, options: ServerOptions) -> None:
        super().__init__(begun.role, {}, begun.names, begun.values)
        self._carrier = carrier
        self._options = options
        self._spool: Spool | None = None
        self._expected: int | None = None
        self._body_first = False
        self._held = b""
        self._complete = begun.role is Role.AUTHORIZER
        self._waiter: asyncio.Future[None] | None = None
        self.request_id = begun.request_id
        self.input_ended = self._complete
        self.fault: BadRequest | None = None
        self.ended = False
        self.started = False
        self.is_upgraded = False
        self.began = 0.0
        self.task: asyncio.Task[None] | None = None

    # -- what the connection tells

    def admit(self) -> None:
        """Judge the parameters.

        Raises:
            BadRequest: the request cannot be answered by an application.
        """
        self.params = read_params(self.role, self.names, self.values, self._options)
        self._expected = expected_length(self.role, self.params, self._options)
        # nginx sends no more of a body once the response has begun, and the application would wait for it in vain. So
        # output waits for the body, which is then received whole. Other web servers carry both ways at a time.
        self._body_first = self.params.get("SERVER_SOFTWARE", "").startswith("nginx/")

    @property
    def is_held(self) -> bool:
        return bool(self._held)

    @property
    def unread(self) -> int:
        return self._spool.unread if self._spool is not None else 0

    def take(self, content: bytes) -> None:
        """A piece of the body has arrived.

        Raises:
            BadRequest: it is too much, more than was announced, or cannot be kept.
        """
        if self._spool is None:
            self._spool = Spool(self._options.body_memory)
        size = self._spool.unread if self.is_upgraded else self._spool.received
        check_size(size + len(content), self._expected, self._options.max_body)
        try:
            self._spool.write(content)
        except OSError as error:
            raise NoRoom(f"the body cannot be kept in a temporary file: {error.strerror}") from error
        self._wake()

    def end_input(self) -> None:
        """The body is complete.

        Raises:
            WrongLength: it is shorter than was announced.
        """
        check_end(self._spool.received if self._spool is not None else 0, self._expected)
        self._complete = True
        if not self.unread:
            self.input_ended = True
        self._let_go()
        self._wake()

    def stop(self) -> None:
        """The server has begun to stop."""
        self.stopping = True
        if self.on_stop is not None:
            self.on_stop()

    def spoil(self, fault: BadRequest) -> None:
        """The body is wrong; the application meets that as a client that has left."""
        self.fault = fault
        self._let_go()
        self._wake()

    def disconnect(self) -> None:
        """The client has left, or the web server has aborted the request."""
        self.disconnected = True
        self._wake()

    def _let_go(self) -> None:
        """Send what has waited for the body."""
        self._body_first = False
        held, self._held = self._held, b""
        if held and not self._carrier.lost:
            self._send(held)

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        # Applications do receive from two tasks at a time (one waits for the disconnect): they share the waiter.
        if self._waiter is None or self._waiter.done():
            self._waiter = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._waiter)

    # -- reading, as AsyncRequest says

    async def read(self) -> bytes | None:
        while True:
            spool = self._spool
            if spool is not None and spool.unread:
                piece = spool.read(_PIECE)
                self.input_ended = self._complete and not spool.unread
                self._carrier.input_taken()
                return piece
            if self.fault is not None or self.disconnected:
                return None
            if self._complete:
                self.input_ended = True
                return b""
            await self._wait()

    async def upgrade(self) -> bool:
        try:
            async with asyncio.timeout(UPGRADE_LOOK):
                while not (self._complete or self.disconnected or self.fault is not None):
                    await self._wait()
        except TimeoutError:
            self.is_upgraded = True
            self._expected = None
            self._carrier.upgraded(self)
        return self.is_upgraded

    async def wait_disconnected(self) -> None:
        while not (self.disconnected or self.ended or self.fault is not None):
            await self._wait()

    # -- answering, as AsyncRequest says

    async def drain(self) -> None:
        while (self._held or self._carrier.congested) and not self.disconnected:
            await self._wait()
        if self.disconnected:
            raise Disconnected("the client has left")

    def on_writable(self) -> None:
        """The web server takes output again."""
        self.paused = False
        self._wake()

    def write(self, data: bytes) -> None:
        self._check()
        self.started = True
        if self._body_first and not self._complete:
            self._held += data
            self.paused = True
            self._carrier.read_on()
        else:
            self._send(data)

    def _send(self, data: bytes) -> None:
        carrier = self._carrier
        carrier.send(carrier.protocol.stdout(self.request_id, data))
        self.paused = carrier.congested

    def finish(self, data: bytes = b"") -> None:
        self._check()
        self.started = True
        carrier = self._carrier
        held, self._held = self._held, b""
        carrier.send(carrier.protocol.finish(self.request_id, held + data))
        self._end()

    def abort(self) -> None:
        if self.ended:
            return
        if not self.disconnected:
            self._carrier.protocol.drop(self.request_id)
            self._carrier.doom()
        self._end()

    def refuse(self, page: bytes) -> None:
        """End with a response of the server's own, or with none for a request that was aborted."""
        if not self.ended:
            if page:
                self.body_length = body_size(page)
            self._carrier.send(self._carrier.protocol.finish(self.request_id, page))
            self._end()

    def release(self) -> None:
        """Give back what the body took."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _check(self) -> None:
        # An application that sends without ever waiting keeps the event loop from telling that the client has left.
        if self.disconnected or self._carrier.lost:
            raise Disconnected("the client has left")
        if self.ended:
            raise Disconnected("the response has ended already")

    def _end(self) -> None:
        self.ended = True
        self._wake()
        self._carrier.ended(self)
