"""This file is our end of an SCGI connection: one request comes in, its response goes out, and that was all.

Whoever holds it cannot tell it from a FastCGI connection whose only request came without KEEP_CONN.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final, final

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import ApplicationEvent, InputEnded, InputReceived, RequestBegan, RequestRefused
from penstock.connection.limits import DEFAULT_LIMITS, Limits
from penstock.connection.state import Refusal
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.params import TooManyPairs
from penstock.protocol.records import Buffer
from penstock.protocol.scgi import HeaderReader, HeaderTooLong, decode_header
from penstock.protocol.spec import RecordType, Role

REQUEST_ID: Final = 1
"""The id that the only request of a connection goes by."""


@final
class ScgiConnection(ApplicationConnection):
    """The application's side of one SCGI connection, without I/O; to be used as `ApplicationConnection` is.

    What differs for those above: the one role is RESPONDER, output carries no framing, and `drop` followed by closing
    looks like a complete response, unless the response has a Content-Length.

    Args:
        limits: bounds of what the peer may make us hold; `params` counts the bytes of the header.
        roles: without RESPONDER the request is refused.
        values: nobody can ask for them here.
    """

    __slots__ = ("_begun", "_complete", "_header", "_left", "_open", "_refused", "_scgi_limits", "_serves", "_spent")

    def __init__(
        self,
        limits: Limits = DEFAULT_LIMITS,
        roles: Collection[Role] = (Role.RESPONDER,),
        values: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(limits, roles, values)
        self._scgi_limits = limits
        self._serves = Role.RESPONDER in roles
        self._header = HeaderReader(limits.params)
        self._left = 0
        self._begun = False
        self._open = False
        self._complete = False
        self._refused = False
        self._spent = False

    @property
    def open_requests(self) -> int:
        return 1 if self._open else 0

    @property
    def idle(self) -> bool:
        """Nothing of a request has arrived, or it has ended."""
        return not self._open and not self._header.pending

    @property
    def partial_record(self) -> bool:
        """The header has begun and is not whole yet."""
        return self._header.pending > 0

    @property
    def awaiting_input(self) -> bool:
        return self._header.pending > 0 or (self._open and not self._complete)

    @property
    def must_close(self) -> bool:
        return self._begun and not self._open

    # -- receiving

    def receive_data(self, data: bytes) -> list[ApplicationEvent]:
        """Take bytes from the socket; return what they mean, in order.

        Raises:
            RemoteProtocolError: the peer broke the protocol.
            LocalProtocolError: it did so before; no more is parsed.
        """
        if self._spent:
            raise LocalProtocolError(f"{len(data)} bytes were fed to a connection that has broken the protocol before")
        events: list[ApplicationEvent] = []
        if not self._begun:
            try:
                found = self._header.feed(data)
                if found is None:
                    return events
                header, data = found
                self._begin_request(*decode_header(header, self._scgi_limits.pairs), events)
            except (HeaderTooLong, TooManyPairs) as error:
                self._refuse_request(Refusal.PARAMS, str(error), events)
            except RemoteProtocolError:
                self._spent = True
                raise
        if not self._refused:
            self._take_body(data, events)
        return events

    def _begin_request(self, names: list[str], values: list[str], events: list[ApplicationEvent]) -> None:
        if not self._serves:
            self._refuse_request(Refusal.ROLE, "SCGI asks for responders alone, and none is served here", events)
            return
        self._begun = self._open = True
        length = values[0]
        # What is no number is judged above, with all else that can be wrong with a request, and gets an answer there.
        if len(length) <= 19 and length.isascii() and length.isdigit():
            self._left = int(length)
        events.append(RequestBegan(REQUEST_ID, Role.RESPONDER, False, names, values))

    def _refuse_request(self, reason: Refusal, detail: str, events: list[ApplicationEvent]) -> None:
        self._header = HeaderReader(0)
        self._begun = self._open = self._refused = self._complete = True
        self.input_pending = True
        events.append(RequestRefused(REQUEST_ID, reason, detail))

    def _take_body(self, data: bytes, events: list[ApplicationEvent]) -> None:
        if not self._complete:
            content = data[: self._left]
            if content:
                self._left -= len(content)
                events.append(InputReceived(REQUEST_ID, RecordType.STDIN, content))
                data = data[len(content) :]
            if not self._left:
                self._complete = True
                events.append(InputEnded(REQUEST_ID, RecordType.STDIN, True))
        if data:
            # Bytes behind the body belong to nothing; who closes has to know that more of them may come.
            self.input_pending = True

    # -- sending

    def is_open(self, request_id: int) -> bool:
        return self._open and request_id == REQUEST_ID

    def stdout(self, request_id: int, content: Buffer) -> bytes:
        """Response bytes, as they are.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._check_open(request_id)
        return bytes(content)

    def stderr(self, request_id: int, content: Buffer) -> bytes:  # noqa: ARG002 - there is nowhere to put it
        """Nothing: SCGI has no second stream.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._check_open(request_id)
        return b""

    def finish(self, request_id: int, content: Buffer = b"", app_status: int = 0) -> bytes:  # noqa: ARG002 - likewise
        """The last of the response; closing the connection ends it.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._close_request(request_id)
        return bytes(content)

    def refuse(self, request_id: int, reason: Refusal, content: Buffer = b"") -> bytes:  # noqa: ARG002 - likewise
        """A response in place of the application's.

        Raises:
            LocalProtocolError: the request is not open.
        """
        self._close_request(request_id)
        return bytes(content)

    def drop(self, request_id: int) -> None:
        """Forget a request whose response is not whole."""
        self._close_request(request_id)

    def _check_open(self, request_id: int) -> None:
        if not self.is_open(request_id):
            raise LocalProtocolError(f"request {request_id} is not open")

    def _close_request(self, request_id: int) -> None:
        self._check_open(request_id)
        if not self._complete:
            self.input_pending = True
        self._open = False
