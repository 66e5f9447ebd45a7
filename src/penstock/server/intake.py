"""This file takes requests in: from what arrived on a channel to exchanges that are ready for a handler."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from penstock.connection.events import (
    ApplicationEvent,
    InputEnded,
    InputReceived,
    RequestAborted,
    RequestBegan,
    RequestRefused,
)
from penstock.connection.state import Refusal
from penstock.gateways.environ import BadRequest
from penstock.gateways.request import AsyncRequest, Request
from penstock.gateways.response import body_size, error_page
from penstock.protocol.errors import ProtocolError
from penstock.protocol.spec import Role
from penstock.server.admission import Stalled, WrongLength
from penstock.server.channel import Channel
from penstock.server.exchange import Exchange
from penstock.server.notices import Notices, new_reference
from penstock.server.options import ServerOptions
from penstock.server.timers import Timers

REFUSAL_STATUS: Final = {Refusal.REQUESTS: 503, Refusal.MULTIPLEXING: 503, Refusal.PARAMS: 431}
RETRY_AFTER: Final = 1


Done = Callable[[Request], None]
"""Told of every request that was answered without a handler."""


@final
class Intake:
    """Reads channels on behalf of a server.

    Args:
        options: how peers are treated.
        timers: where a stalled peer's deadline is kept.
        notices: told of everything that a peer did wrong.
        done: told of requests that are over before a handler saw them.
    """

    def __init__(self, options: ServerOptions, timers: Timers, notices: Notices, done: Done) -> None:
        self._options = options
        self._timers = timers
        self._notices = notices
        self._done = done

    def receive(self, channel: Channel) -> list[Exchange]:
        """Read what has arrived, once; to be called with `channel.reading` held.

        Returns:
            The requests that can be handled now; where bodies are streamed, those whose parameters are complete.
        """
        if channel.over:
            return []
        data = channel.receive()
        if data is None:
            return []
        if not data:
            self._end_of_input(channel)
            return []
        protocol = channel.protocol
        try:
            events = protocol.receive_data(data)
        except ProtocolError as error:
            self._notices.warn(f"a connection was closed for a protocol error: {error}")
            channel.linger()
            return []
        ready: list[Exchange] = []
        for event in events:
            self._act(channel, event, ready)
            if channel.doomed:
                break
        answers = protocol.take_answers()
        if answers:
            channel.answer(answers)
        if channel.over:
            return ready
        if protocol.awaiting_input:
            # Whole pieces of a body are progress. Drops of a record or of the parameters are not: one deadline for all.
            if channel not in self._timers or any(type(event) is InputReceived for event in events):
                channel.spared = False
                self._timers.set(channel, self._options.io_timeout)
        elif self._timers:
            self._timers.clear(channel)
        return ready

    def stalled(self, channel: Channel) -> None:
        """The peer owes input and the deadline is over: answer what can be answered, then close.

        To be called with `channel.reading` held.
        """
        self._notices.warn(f"a web server sent nothing for {self._options.io_timeout:g} s in the middle of a request")
        exchanges = _exchanges(channel)
        for exchange in exchanges:
            if not exchange.handed:
                self._reject(channel, exchange, Stalled("the request did not arrive in time"))
        # A connection that carries other requests is spared, unless it hangs in the middle of a record.
        if channel.protocol.partial_record or not any(exchange.handed for exchange in exchanges):
            channel.doom()
            channel.settle()

    def _act(self, channel: Channel, event: ApplicationEvent, ready: list[Exchange]) -> None:
        if isinstance(event, RequestBegan):
            self._begin(channel, event, ready)
            return
        exchange = channel.tenants.get(event.request_id)
        if isinstance(event, RequestRefused):
            self._refuse(channel, event)
        elif isinstance(event, RequestAborted):
            self._abort(channel, event.request_id, exchange, ready)
        elif isinstance(exchange, Exchange):
            self._input(channel, exchange, event, ready)

    def _begin(self, channel: Channel, event: RequestBegan, ready: list[Exchange]) -> None:
        exchange = Exchange(channel, event.request_id, event.role, self._options)
        channel.tenants[event.request_id] = exchange
        channel.open.add(exchange)
        if channel.closing:
            exchange.cut()  # A handler has closed it meanwhile, and could not know of this one.
        channel.served += 1
        try:
            exchange.admit(event.names, event.values)
        except BadRequest as error:
            self._reject(channel, exchange, error)
            return
        if exchange.complete or self._options.stream_body:
            exchange.handed = True
            ready.append(exchange)

    def _input(
        self, channel: Channel, exchange: Exchange, event: InputReceived | InputEnded, ready: list[Exchange]
    ) -> None:
        try:
            if isinstance(event, InputReceived):
                exchange.take(event.stream, event.content)
            else:
                exchange.end_input(event.stream, event.complete)
        except BadRequest as error:
            if exchange.handed:
                exchange.fault = error
                if isinstance(error, WrongLength):
                    channel.doom()
            else:
                self._reject(channel, exchange, error)
                return
        if exchange.handed:
            # Whatever its handler does from now on, the connection is for the others.
            if exchange.complete or exchange.fault is not None:
                exchange.leave_pump()
        elif exchange.complete:
            exchange.handed = True
            ready.append(exchange)

    def _reject(self, channel: Channel, exchange: Exchange, error: BadRequest) -> None:
        """Answer a request that no handler sees."""
        exchange.reference = new_reference()
        exchange.status = error.status
        self._notices.warn(f"answered {error.status} [{exchange.reference}]: {error.reason}")
        head_only = exchange.params.get("REQUEST_METHOD") == "HEAD"
        exchange.refuse(error_page(error.status, exchange.reference, head_only=head_only))
        exchange.release()
        if error.status == 400:
            # Where the length is a lie, the next request may be one too (request smuggling).
            channel.doom()
        self._done(exchange)
        channel.settle()

    def _refuse(self, channel: Channel, event: RequestRefused) -> None:
        status = REFUSAL_STATUS.get(event.reason)
        page = b""
        if status is None:
            self._notices.warn(f"a request was refused: {event.detail}")
        else:
            refused = Exchange(channel, event.request_id, Role.RESPONDER, self._options)
            page = refusal_page(refused, status)
            self._notices.warn(f"answered {status} [{refused.reference}]: {event.detail}")
            self._done(refused)
        channel.answer(channel.protocol.refuse(event.request_id, event.reason, page))
        channel.settle()

    def _abort(self, channel: Channel, request_id: int, exchange: object, ready: list[Exchange]) -> None:
        if isinstance(exchange, Exchange):
            exchange.aborted = True
            if exchange in ready:
                ready.remove(exchange)
            elif exchange.handed:
                exchange.leave_pump()
                return  # Whoever runs it ends it.
            exchange.refuse(b"")
            exchange.release()
            self._done(exchange)
        elif channel.protocol.is_open(request_id) and not _is_being_answered(channel, request_id):
            channel.answer(channel.protocol.finish(request_id))  # Its parameters were not complete yet.
        channel.settle()

    def _end_of_input(self, channel: Channel) -> None:
        """The peer sends no more. It may still read, so requests that are complete are answered."""
        channel.at_eof = True
        channel.unwatch()
        self._timers.clear(channel)
        for exchange in _exchanges(channel):
            if not exchange.complete:
                exchange.cut()
                if not exchange.handed:
                    self._notices.warn("a web server closed the connection in the middle of a request body")
                    exchange.forget()
                    self._done(exchange)
        channel.settle()


def refusal_page(refused: Request | AsyncRequest, status: int) -> bytes:
    """The page for a request that was refused, which is told what it was answered with, for the log."""
    refused.status = status
    refused.reference = new_reference()
    page = error_page(status, refused.reference, retry_after=RETRY_AFTER if status == 503 else None)
    refused.body_length = body_size(page)
    return page


def _is_being_answered(channel: Channel, request_id: int) -> bool:
    return any(isinstance(tenant, Exchange) and tenant.request_id == request_id for tenant in list(channel.open))


def _exchanges(channel: Channel) -> list[Exchange]:
    return [tenant for tenant in list(channel.tenants.values()) if isinstance(tenant, Exchange)]
