"""This file runs a gateway on a request in memory, without a connection, and returns what it answered."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import final

from penstock.gateways.environ import content_length, merge, normalise
from penstock.gateways.request import Gateway, Request
from penstock.gateways.webserver import Response, ResponseReader
from penstock.protocol.spec import Role
from penstock.testing.build import Params


class Aborted(Exception):
    """The gateway broke its response off, so that a web server would see an incomplete one.

    Attributes:
        output: the bytes that it had written until then.
    """

    def __init__(self, output: bytes) -> None:
        super().__init__(f"the gateway broke its response off after {len(output)} bytes")
        self.output = output


@final
class MemoryRequest(Request):
    """A request whose answer stays in memory.

    Attributes:
        writes: what the gateway wrote, write by write; the last one is that of `finish`, even if it was empty.
        ended: the gateway has finished the response.
        aborted: the gateway has broken it off.
    """

    def __init__(self, params: Params, stdin: bytes = b"", role: Role = Role.RESPONDER, data: bytes | None = None):
        pairs = list(params.items() if isinstance(params, Mapping) else params)
        made = merge(pairs)
        normalise(made)
        made["FCGI_ROLE"] = role.name
        if content_length(made) is None and stdin:
            made["CONTENT_LENGTH"] = str(len(stdin))
        super().__init__(role, made, io.BytesIO(stdin))
        if role is Role.FILTER:
            self.data = io.BytesIO(data or b"")
        self.writes: list[bytes] = []
        self.ended = False
        self.aborted = False

    @property
    def output(self) -> bytes:
        """All that was written, the head included."""
        return b"".join(self.writes)

    def write(self, data: bytes | memoryview) -> None:
        assert not self.ended, "the gateway writes after the end of its response"
        self.writes.append(bytes(data))

    def finish(self, data: bytes | memoryview = b"") -> None:
        self.write(data)
        self.ended = True

    def abort(self) -> None:
        assert not self.ended, "the gateway breaks off a response that has ended"
        self.ended = self.aborted = True


def run_gateway(
    gateway: Gateway,
    params: Params,
    stdin: bytes = b"",
    *,
    role: Role = Role.RESPONDER,
    data: bytes | None = None,
) -> Response:
    """Run a gateway on one request as a server would, and return its answer.

    Args:
        gateway: what runs the application.
        params: the parameters as a web server sends them, for one `gateways.webserver.cgi_params(...)`.
        stdin: the request body.
        role: what the application is asked to be.
        data: the second input of a Filter.

    Raises:
        Aborted: the gateway broke its response off.
        BadRequest: no server would hand such a request to a gateway.
        AssertionError: the gateway did not end its response exactly once.
        MalformedHead: what it wrote is no CGI response.
    """
    request = MemoryRequest(params, stdin, role, data)
    gateway(request)
    if request.aborted:
        raise Aborted(request.output)
    assert request.ended, "the gateway returned without ending its response"
    reader = ResponseReader()
    body = reader.feed(request.output)
    return Response(reader.finish(), body)
