"""This file is one accepted connection on the event loop: an asyncio protocol around `connection.application`."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from typing import Final, Protocol, cast, final

from penstock.connection.events import (
    ApplicationEvent,
    InputEnded,
    InputReceived,
    RequestAborted,
    RequestBegan,
    RequestRefused,
)
from penstock.gateways.environ import BadRequest
from penstock.gateways.response import error_page
from penstock.protocol.errors import ProtocolError
from penstock.protocol.spec import Role
from penstock.server.admission import Stalled, WrongLength
from penstock.server.channel import LINGER_IDLE
from penstock.server.intake import REFUSAL_STATUS, refusal_page
from penstock.server.loop_exchange import READ_AHEAD, LoopExchange
from penstock.server.notices import Notices, new_reference
from penstock.server.options import ServerOptions
from penstock.server.quiet import end_with_answer, nothing_comes

HIGH_WATER: Final = 65_536
"""Bytes of output that wait for the web server before an application has to wait too."""


class LoopHub(Protocol):
    """What a connection needs of its server."""

    options: ServerOptions
    notices: Notices
    values: dict[str, str]
    loop: asyncio.AbstractEventLoop
    draining: bool
    crowded: bool

    connections: set[LoopConnection]

    def give_away(self, sock: socket.socket) -> bool:
        """Leave an idle connection to others, if there are any who take it."""

    def start(self, exchange: LoopExchange) -> None:
        """Run the application for a request."""

    def done(self, exchange: LoopExchange) -> None:
        """A response is over."""

    def gone(self) -> None:
        """A connection is closed."""


@final
class LoopConnection(asyncio.Protocol):
    """One connection.

    Attributes:
        congested: the web server takes no more output for now.
    """

    def __init__(self, hub: LoopHub) -> None:
        self.protocol = hub.options.connection(hub.options.limits, hub.options.roles, hub.values)
        self.exchanges: dict[int, LoopExchange] = {}
        self.congested = False
        self.served = 0
        self._hub = hub
        self._doomed = False
        self._lingering = False
        self._reading = True
        self._deadline: asyncio.TimerHandle | None = None
        self._due = 0.0
        self._transport: asyncio.Transport

    # -- what asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are not asyncio's by inheritance.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._hub.connections.add(self)
        if self._hub.draining:
            self.end_with_answer()

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            self._set_deadline(LINGER_IDLE)
            return
        if self._doomed:
            return
        protocol = self.protocol
        try:
            events = protocol.receive_data(data)
        except ProtocolError as error:
            self._hub.notices.warn(f"a connection was closed for a protocol error: {error}")
            self._cut()
            self._linger()
            return
        progress = False
        for event in events:
            self._act(event)
            progress = progress or type(event) is InputReceived
            if self._doomed:
                return
        answers = protocol.take_answers()
        if answers:
            self.send(answers)
        if protocol.awaiting_input:
            if progress or self._deadline is None:
                self._set_deadline(self._hub.options.io_timeout)
        elif self._deadline is not None and not self.congested:
            self._clear_deadline()

    def eof_received(self) -> None:
        # None of the web servers closes one half only, so this is a client that has left.
        self._cut()

    def connection_lost(self, _error: Exception | None) -> None:
        self._clear_deadline()
        self._cut()
        self._hub.connections.discard(self)
        self._hub.gone()

    def pause_writing(self) -> None:
        self.congested = True
        self.read_on()  # mod_fcgid and Caddy take nothing before they have sent the whole body
        self._set_deadline(self._hub.options.io_timeout)

    def resume_writing(self) -> None:
        self.congested = False
        self._clear_deadline()
        for exchange in list(self.exchanges.values()):
            exchange.on_writable()

    # -- events

    def _act(self, event: ApplicationEvent) -> None:
        if isinstance(event, RequestBegan):
            self._begin(event)
            return
        exchange = self.exchanges.get(event.request_id)
        if isinstance(event, RequestRefused):
            self._refuse(event)
        elif isinstance(event, RequestAborted):
            if exchange is None:
                # It has been answered already, or its parameters were not complete yet.
                if self.protocol.is_open(event.request_id):
                    self.send(self.protocol.finish(event.request_id))
                    self._settle()
            else:
                exchange.disconnect()
                exchange.refuse(b"")
        elif exchange is not None:
            self._input(exchange, event)

    def _begin(self, event: RequestBegan) -> None:
        hub = self._hub
        exchange = LoopExchange(self, event, hub.options)
        self.exchanges[event.request_id] = exchange
        self.served += 1
        exchange.began = time.perf_counter()
        exchange.stopping = hub.draining
        try:
            exchange.admit()
        except BadRequest as error:
            self._reject(exchange, error)
            return
        hub.start(exchange)

    def _input(self, exchange: LoopExchange, event: InputReceived | InputEnded) -> None:
        try:
            if isinstance(event, InputReceived):
                exchange.take(event.content)
                # Only an exchange that is alone may stop the connection: the others' records travel on it too.
                output_waits = self.congested or exchange.is_held
                if exchange.unread > READ_AHEAD and len(self.exchanges) == 1 and self._reading and not output_waits:
                    self._reading = False
                    self._transport.pause_reading()
            else:
                exchange.end_input()
        except BadRequest as error:
            exchange.spoil(error)
            if not exchange.started:
                self._reject(exchange, error)
            elif isinstance(error, WrongLength):
                self.doom()

    def _reject(self, exchange: LoopExchange, error: BadRequest) -> None:
        exchange.reference = new_reference()
        exchange.status = error.status
        self._hub.notices.warn(f"answered {error.status} [{exchange.reference}]: {error.reason}")
        if error.status == 400:
            self.doom()
        head_only = exchange.params.get("REQUEST_METHOD") == "HEAD"
        exchange.refuse(error_page(error.status, exchange.reference, head_only=head_only))

    def _refuse(self, event: RequestRefused) -> None:
        status = REFUSAL_STATUS.get(event.reason)
        page = b""
        if status is None:
            self._hub.notices.warn(f"a request was refused: {event.detail}")
        else:
            refused = LoopExchange(
                self, RequestBegan(event.request_id, Role.RESPONDER, True, [], []), self._hub.options
            )
            page = refusal_page(refused, status)
            self._hub.notices.warn(f"answered {status} [{refused.reference}]: {event.detail}")
            self._hub.done(refused)
        self.send(self.protocol.refuse(event.request_id, event.reason, page))
        self._settle()

    # -- what exchanges ask

    @property
    def lost(self) -> bool:
        return self._transport.is_closing()

    def send(self, data: bytes) -> None:
        self._transport.write(data)

    def input_taken(self) -> None:
        if not self._reading and all(exchange.unread <= READ_AHEAD // 2 for exchange in self.exchanges.values()):
            self.read_on()

    def read_on(self) -> None:
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def upgraded(self, exchange: LoopExchange) -> None:
        self.protocol.let_pause(exchange.request_id)
        if not self.protocol.awaiting_input and not self.congested:
            self._clear_deadline()

    def ended(self, exchange: LoopExchange) -> None:
        self.exchanges.pop(exchange.request_id, None)
        self._hub.done(exchange)
        if not self._reading:
            self.input_taken()
        self._settle()

    def doom(self) -> None:
        self._doomed = True
        self.protocol.input_pending = True

    # -- ending

    def _settle(self) -> None:
        if self.protocol.must_close or (self._doomed and not self.exchanges):
            if self.protocol.input_pending:
                self._linger()
            else:
                # A child that the application has forked holds the descriptor too: closing ours alone ends nothing.
                self._transport.write_eof()
                self._transport.close()
        elif self._hub.crowded:
            self.close_if_idle()

    def end_with_answer(self) -> bool:
        """See `quiet.end_with_answer`."""
        with self._socket() as sock:
            return end_with_answer(sock)

    def close_if_idle(self) -> None:
        """Leave it to others, or close; not while a request is open or half of a record has arrived."""
        transport = self._transport
        if not self.protocol.idle or transport.is_closing() or transport.get_write_buffer_size():
            return
        with self._socket() as sock:
            # What has arrived and not been read yet is served by whoever has the connection then.
            if self._hub.give_away(sock):
                transport.abort()
            elif nothing_comes(sock):
                transport.close()

    def _socket(self) -> socket.socket:
        """A copy; asyncio keeps the one that it has to itself."""
        return socket.socket(fileno=os.dup(self._transport.get_extra_info("socket").fileno()))

    def _linger(self) -> None:
        """Closing with unread input would throw away what was just sent: read it, for a bounded time."""
        if self._lingering or self._transport.is_closing():
            return
        self._lingering = True
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()
        self._transport.write_eof()
        self._set_deadline(LINGER_IDLE)

    def _cut(self) -> None:
        """Nobody reads the answers any more."""
        for exchange in list(self.exchanges.values()):
            exchange.disconnect()
            exchange.abort()

    # -- deadlines

    def _set_deadline(self, seconds: float) -> None:
        self._due = self._hub.loop.time() + seconds
        if self._deadline is None:
            self._deadline = self._hub.loop.call_at(self._due, self._on_deadline)

    def _clear_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _on_deadline(self) -> None:
        self._deadline = None
        if self._hub.loop.time() < self._due:
            self._deadline = self._hub.loop.call_at(self._due, self._on_deadline)
        elif self._lingering:
            self._transport.abort()
        elif self.congested:
            self._hub.notices.warn(f"a web server has taken no output for {self._hub.options.io_timeout:g} s")
            self._transport.abort()
        else:
            self._stalled()

    def _stalled(self) -> None:
        seconds = self._hub.options.io_timeout
        self._hub.notices.warn(f"a web server sent nothing for {seconds:g} s in the middle of a request")
        for exchange in list(self.exchanges.values()):
            if not (exchange.input_ended or exchange.is_upgraded):
                exchange.spoil(Stalled("the request did not arrive in time"))
                if not exchange.started:
                    self._reject(exchange, Stalled("the request did not arrive in time"))
        if not self.exchanges or self.protocol.partial_record:
            self._linger()
