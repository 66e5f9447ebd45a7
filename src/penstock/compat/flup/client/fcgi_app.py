"""This file is flup.client.fcgi_app: a WSGI application that asks a FastCGI application, and the names beside it."""

# ruff: noqa: N802, N803 - flup's names

from __future__ import annotations

import socket
import struct as struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from penstock.compat.flup.client.environs import GatewayApp, answer, as_bytes, read_body
from penstock.compat.flup.client.transfer import connect as connect_to
from penstock.compat.flup.client.transfer import transfer
from penstock.compat.flup.records import *  # noqa: F403 - the protocol's names, which programs import from here
from penstock.compat.flup.unsupported import refuse
from penstock.connection.events import OutputReceived, RequestEnded, ValuesReceived
from penstock.connection.webserver import WebServerConnection
from penstock.protocol import records
from penstock.protocol.params import encode
from penstock.protocol.spec import RecordType, Role


class FCGIApp(GatewayApp):
    """Passes WSGI requests on to a FastCGI application, each over a connection of its own.

    Args:
        command: not offered: start the application with a supervisor and name its socket.
        connect: a unix socket's path, or (host, port).
        host, port: the same as connect=(host, port).
        filterEnviron: pass on what the class's lists name; else every name in capitals.
    """

    def __init__(
        self,
        command: object = None,
        connect: Any = None,
        host: str | None = None,
        port: int | None = None,
        filterEnviron: bool = True,
    ) -> None:
        if host is not None:
            connect = (host, port)
        if (command is None) == (connect is None) or (host is not None and port is None):
            raise ValueError("say where the application listens: connect='/path' or connect=(host, port)")
        self._command = command
        self._connect = connect
        self._filterEnviron = filterEnviron

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Ask, wait for the whole response, and give it on.

        Raises:
            OSError: nobody answers, or the connection ends before the response does.
            MalformedHead: the response is none.
            ProtocolError: the application does not speak FastCGI as it should.
        """
        protocol = WebServerConnection()
        output = bytearray()

        def take(data: bytes) -> bool:
            if not data:
                raise ConnectionError("the application closed the connection before it had answered")
            for event in protocol.receive_data(data):
                if isinstance(event, OutputReceived):
                    if event.stream is RecordType.STDOUT:
                        output.extend(event.content)
                    elif "wsgi.errors" in environ:
                        environ["wsgi.errors"].write(event.content.decode("utf-8", "backslashreplace"))
                elif isinstance(event, RequestEnded):
                    if event.protocol_status and not output:
                        status = event.protocol_status
                        raise ConnectionError(f"the application refused the request: {getattr(status, 'name', status)}")
                    return True
            return False

        sock = self._getConnection()
        try:
            transfer(sock, self._request(protocol, environ), take)
        finally:
            sock.close()
        return answer(bytes(output), start_response)

    def _request(self, protocol: WebServerConnection, environ: dict[str, Any]) -> Iterator[bytes]:
        pairs = [(as_bytes(name), as_bytes(value)) for name, value in self._params(environ).items()]
        native = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in pairs]
        request_id, begin = protocol.begin(Role.RESPONDER, native, keep_conn=False)
        yield begin
        for piece in read_body(environ):
            if not protocol.accepts(request_id):
                return
            yield protocol.send(request_id, piece)
        if protocol.accepts(request_id):
            yield protocol.end_input(request_id)

    def _getConnection(self) -> socket.socket:
        """Connect; programs put their own function here."""
        if self._connect is None:
            refuse("FCGIApp(command=...)", "start the application with a supervisor, and say connect= with its socket")
        return connect_to(self._connect)

    def _fcgiGetValues(self, sock: socket.socket, vars: Iterable[str | bytes]) -> dict[bytes, bytes]:
        """What the application answers to FCGI_GET_VALUES over this connection."""
        protocol = WebServerConnection()
        names = [as_bytes(name).decode("latin-1") for name in vars]
        found: dict[bytes, bytes] = {}

        def take(data: bytes) -> bool:
            for event in protocol.receive_data(data):
                if isinstance(event, ValuesReceived):
                    found.update({as_bytes(name): as_bytes(value) for name, value in event.values.items()})
                return True
            return not data

        transfer(sock, iter([protocol.ask_values(names)]), take)
        return found

    def _fcgiParams(self, sock: socket.socket, requestId: int, params: Mapping[Any, Any]) -> None:
        """Send parameters by hand; none at all end them."""
        content = encode([(as_bytes(name), as_bytes(value)) for name, value in params.items()])
        sock.sendall(
            records.stream(RecordType.PARAMS, requestId, content) or records.record(RecordType.PARAMS, requestId)
        )
