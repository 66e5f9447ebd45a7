"""This file is flup.client.scgi_app: a WSGI application that asks an SCGI application."""

# ruff: noqa: N802, N803 - flup's names

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

from penstock.compat.flup.client.environs import GatewayApp, answer, as_bytes, content_length, read_body
from penstock.compat.flup.client.transfer import connect as connect_to
from penstock.compat.flup.client.transfer import transfer
from penstock.protocol.scgi import encode_header

__all__ = ["SCGIApp"]


def encodeNetstring(s: bytes) -> bytes:
    """A netstring."""
    return b"%d:%b," % (len(s), s)


class SCGIApp(GatewayApp):
    """Passes WSGI requests on to an SCGI application.

    Args:
        connect: a unix socket's path, or (host, port).
        host, port: the same as connect=(host, port).
        filterEnviron: pass on what the class's lists name; else every name in capitals.
    """

    def __init__(
        self, connect: Any = None, host: str | None = None, port: int | None = None, filterEnviron: bool = True
    ) -> None:
        if host is not None:
            connect = (host, port)
        if connect is None or (host is not None and port is None):
            raise ValueError("say where the application listens: connect='/path' or connect=(host, port)")
        self._connect = connect
        self._filterEnviron = filterEnviron

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        """Ask, wait for the whole response, and give it on.

        Raises:
            OSError: nobody answers.
            MalformedHead: the response is none; an empty one neither.
            ProtocolError: a parameter cannot be sent.
        """
        output = bytearray()

        def take(data: bytes) -> bool:
            output.extend(data)
            return not data

        sock = self._getConnection()
        try:
            transfer(sock, self._request(environ), take)
        finally:
            sock.close()
        return answer(bytes(output), start_response)

    def _request(self, environ: dict[str, Any]) -> Iterator[bytes]:
        pairs = [(as_bytes(name), as_bytes(value)) for name, value in self._params(environ).items()]
        yield encode_header(pairs, content_length(environ))
        yield from read_body(environ)

    def _getConnection(self) -> socket.socket:
        """Connect; programs put their own function here."""
        return connect_to(self._connect)
