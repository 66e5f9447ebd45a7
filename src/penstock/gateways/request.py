"""This file is all that an application's gateway sees of a request: what came in, and how to answer."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from typing import Any, BinaryIO, TypeAlias

from penstock.protocol.spec import Role


class Disconnected(ConnectionError):
    """The web server is gone, has aborted the request, or stalled for too long: nobody reads the answer any more."""


class TruncatedInput(Disconnected):
    """The connection ended before the request's input did; what has been read is not the whole body."""


class StartupFailed(Exception):
    """The application has said, by ASGI's lifespan, that it cannot start."""


class Request:
    """One request. A server subclasses it with the three ways to answer.

    Attributes:
        role: what the web server asks the application to be (section 6).
        params: the parameters by name; merged and repaired, in native strings as PEP 3333 has them.
        stdin: the request body, a binary file at its beginning.
        data: the second input of a Filter, likewise; None in other roles.
        reference: a short name for this request, shown to the user in an error page and written into the log; "" until
            something went wrong.
        status: status code of the response, set by the gateway once it is known; 0 before.
        body_length: bytes of response body sent, counted by the gateway.
        aborted: nobody takes the answer any more: the web server has given the request up, or has left.
        app_status: what END_REQUEST carries (section 5.5), as a CGI program's exit code; to be set before the end.
    """

    __slots__ = ("aborted", "app_status", "body_length", "data", "params", "reference", "role", "status", "stdin")

    def __init__(self, role: Role, params: dict[str, str], stdin: BinaryIO | None = None) -> None:
        self.role = role
        self.params = params
        self.stdin = stdin if stdin is not None else io.BytesIO()
        self.data: BinaryIO | None = None
        self.reference = ""
        self.status = 0
        self.body_length = 0
        self.aborted = False
        self.app_status = 0

    @abstractmethod
    def write(self, data: bytes | memoryview) -> None:
        """Send bytes of the CGI response now.

        Raises:
            Disconnected: they could not be sent and never will be.
        """

    @abstractmethod
    def finish(self, data: bytes | memoryview = b"") -> None:
        """Send this as the last of the response and end the request.

        Raises:
            Disconnected: it could not be sent and never will be.
        """

    @abstractmethod
    def abort(self) -> None:
        """Break a response off that has begun, so that the web server can tell it is incomplete."""


class AsyncRequest:
    """One request for an event loop. A server subclasses it with reading and answering.

    Attributes:
        role, params, reference, status, body_length: as in `Request`.
        names, values: the parameters as they were sent, repeats included, in two lists of one length.
        disconnected: nobody reads the answer any more.
        input_ended: all of the body has been read.
        paused: the web server takes no more for now; `drain` waits until it does.
        stopping: the server has begun to stop.
        on_stop: called when it does; for what would not end by itself.
    """

    __slots__ = (
        "body_length",
        "disconnected",
        "input_ended",
        "names",
        "on_stop",
        "params",
        "paused",
        "reference",
        "role",
        "status",
        "stopping",
        "values",
    )

    def __init__(self, role: Role, params: dict[str, str], names: list[str], values: list[str]) -> None:
        self.role = role
        self.params = params
        self.names = names
        self.values = values
        self.reference = ""
        self.status = 0
        self.body_length = 0
        self.disconnected = False
        self.input_ended = False
        self.paused = False
        self.stopping = False
        self.on_stop: Callable[[], None] | None = None

    @abstractmethod
    async def read(self) -> bytes | None:
        """The next piece of the body, b"" at its end; None when the client has left before that."""

    @abstractmethod
    async def upgrade(self) -> bool:
        """Take the rest of the input as another protocol's: it has no length, no limit, and may pause for ever.

        Returns:
            False if the input has ended already: the web server will not carry another protocol.
        """

    @abstractmethod
    async def wait_disconnected(self) -> None:
        """Wait until the client has left or the response is over."""

    @abstractmethod
    async def drain(self) -> None:
        """Wait until the web server takes output again.

        Raises:
            Disconnected: it never will.
        """

    @abstractmethod
    def write(self, data: bytes) -> None:
        """Send bytes of the CGI response; does not wait."""

    @abstractmethod
    def finish(self, data: bytes = b"") -> None:
        """Send this as the last of the response and end the request; does not wait."""

    @abstractmethod
    def abort(self) -> None:
        """Break a response off that has begun, so that the web server can tell it is incomplete."""


Gateway: TypeAlias = Callable[[Request], None]
"""Runs the application for one request. It answers through the request and lets `Disconnected` pass."""

AsyncGateway: TypeAlias = Callable[[AsyncRequest], Coroutine[Any, Any, None]]
"""The same on an event loop."""
