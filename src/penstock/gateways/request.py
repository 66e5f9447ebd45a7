"""This file is all that an application's gateway sees of a request: what came in, and how to answer."""

from __future__ import annotations

import io
from abc import abstractmethod
from collections.abc import Callable
from typing import BinaryIO, TypeAlias

from penstock.protocol.spec import Role


class Disconnected(ConnectionError):
    """The web server is gone, has aborted the request, or stalled for too long: nobody reads the answer any more."""


class TruncatedInput(Disconnected):
    """The connection ended before the request's input did; what has been read is not the whole body."""


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
    """

    __slots__ = ("body_length", "data", "params", "reference", "role", "status", "stdin")

    def __init__(self, role: Role, params: dict[str, str], stdin: BinaryIO | None = None) -> None:
        self.role = role
        self.params = params
        self.stdin = stdin if stdin is not None else io.BytesIO()
        self.data: BinaryIO | None = None
        self.reference = ""
        self.status = 0
        self.body_length = 0

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


Gateway: TypeAlias = Callable[[Request], None]
"""Runs the application for one request. It answers through the request and lets `Disconnected` pass."""
