"""This room asks a FastCGI application something, as a web server would: blocking, one request at a time.

with Client("unix:/run/app.sock") as client:
    response = client.request("GET", "/hello?name=you")
    print(response.status, response.headers, response.body)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import final

from penstock.client.errors import (
    BadAddress,
    BadAnswer,
    CannotConnect,
    ClientError,
    ConnectionLost,
    Refused,
    TimedOut,
)
from penstock.client.exchange import Body, Exchange, length_of, modified_of
from penstock.client.wire import Trace, Wire
from penstock.connection.events import TypeUnknown, ValuesReceived
from penstock.connection.state import STREAMS
from penstock.gateways.webserver import Head, Header, Response, cgi_params
from penstock.protocol.errors import LocalProtocolError
from penstock.protocol.spec import MAX_CONNS, MAX_REQS, MPXS_CONNS, RecordType, Role

__all__ = [
    "BadAddress",
    "BadAnswer",
    "Body",
    "CannotConnect",
    "Client",
    "ClientError",
    "ConnectionLost",
    "Exchange",
    "Head",
    "Refused",
    "Response",
    "TimedOut",
    "Trace",
    "cgi_params",
]


@final
class Client:
    """Asks one application, over one connection as long as it is kept. A context manager.

    Args:
        address: `unix:/path`, `host:port` or `[v6]:port`.
        timeout: seconds without any progress after which an application is given up.
        trace: is shown every record.
    """

    def __init__(self, address: str, timeout: float = 60.0, trace: Trace | None = None) -> None:
        self._address = address
        self._timeout = timeout
        self._trace = trace
        self._kept: Wire | None = None

    def request(
        self,
        method: str,
        url: str,
        headers: Iterable[Header] = (),
        body: Body = None,
        *,
        role: Role = Role.RESPONDER,
        params: Mapping[str, str | None] | None = None,
        data: Body = None,
        keep_conn: bool = True,
    ) -> Response:
        """Ask and wait for the whole answer.

        Args:
            method: the HTTP method.
            url: a path with its query, or a whole URL.
            headers: names and values of the HTTP request.
            body: STDIN; its length is sent as CONTENT_LENGTH where it can be known beforehand.
            role: what the application is asked to be.
            params: parameters to set or, where the value is None, to leave out, after those made of the rest.
            data: the second input stream of a Filter; a file goes with the time of its last change.
            keep_conn: keep the connection for the next request.

        Raises:
            ClientError: there is no answer, or it is not what FastCGI and CGI ask for.
            ValueError: method, url, headers and params make no request, or the role has no such input.
        """
        with self.stream(
            method, url, headers, body, role=role, params=params, data=data, keep_conn=keep_conn
        ) as exchange:
            return exchange.read()

    def stream(
        self,
        method: str,
        url: str,
        headers: Iterable[Header] = (),
        body: Body = None,
        *,
        role: Role = Role.RESPONDER,
        params: Mapping[str, str | None] | None = None,
        data: Body = None,
        keep_conn: bool = True,
    ) -> Exchange:
        """Ask, and read the answer as it comes; arguments and errors are those of `request`."""
        given = {RecordType.STDIN: body, RecordType.DATA: data}
        sources = {stream: given.pop(stream) for stream in STREAMS[role]}
        for stream, source in given.items():
            if source is not None:
                raise ValueError(f"the role {role.name} has no {stream.name}")
        made: dict[str, str | None] = {**cgi_params(method, url, headers, content_length=length_of(body))}
        if role is Role.FILTER:
            length = length_of(data)
            made["FCGI_DATA_LAST_MOD"] = str(modified_of(data))
            made["FCGI_DATA_LENGTH"] = None if length is None else str(length)
        made |= params or {}
        pairs = [(name, value) for name, value in made.items() if value is not None]
        wire = self._wire()
        try:
            request_id, begin = wire.protocol.begin(role, pairs, keep_conn)
            wire.queue(begin)
            return Exchange(wire, request_id, sources, self._keep)
        except LocalProtocolError as error:
            wire.close()
            raise ValueError(str(error)) from None
        except BaseException:
            wire.close()
            raise

    def values(self, names: Iterable[str] = (MAX_CONNS, MAX_REQS, MPXS_CONNS)) -> dict[str, str]:
        """Ask with GET_VALUES what the application can do (section 4.1); names it does not know are left out.

        Raises:
            ClientError: there is no answer.
        """
        wire = self._wire()
        try:
            wire.queue(wire.protocol.ask_values(names))
            while True:
                for event in wire.move():
                    if isinstance(event, ValuesReceived):
                        self._keep(wire)
                        return event.values
                    if isinstance(event, TypeUnknown):
                        raise BadAnswer(f"{self._address} does not know GET_VALUES")
        except BaseException:
            wire.close()
            raise

    def close(self) -> None:
        """Close the kept connection, if there is one."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _wire(self) -> Wire:
        kept, self._kept = self._kept, None
        if kept is not None:
            if kept.quiet:
                return kept
            kept.close()
        return Wire(self._address, self._timeout, self._trace)

    def _keep(self, wire: Wire) -> None:
        if wire.quiet and self._kept is None:
            self._kept = wire
        else:
            wire.close()
