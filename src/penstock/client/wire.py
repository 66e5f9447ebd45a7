"""This file is one connection of the client: bytes go both ways at once, so that neither side waits for the other."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Final, TypeAlias, final

from penstock.client.errors import BadAddress, BadAnswer, CannotConnect, ConnectionLost, TimedOut
from penstock.connection.events import WebServerEvent
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.records import Record, RecordReader

Trace: TypeAlias = Callable[[str, Record], None]
"""Is shown every record, with ">" for those that go out and "<" for those that come in."""

_RECEIVE: Final = 65536


@final
class Wire:
    """One connection: its socket, its protocol state, and what waits to be sent."""

    def __init__(self, address: str, timeout: float, trace: Trace | None) -> None:
        self._address = address
        self._timeout = timeout
        self._trace = trace
        self._traced_in = RecordReader()
        self._traced_out = RecordReader()
        self._out = bytearray()
        self._deaf = False
        self.protocol = WebServerConnection()
        self._sock = _connect(address, timeout)
        self._sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._sock, select.POLLIN)

    @property
    def waiting(self) -> int:
        """Bytes that wait to be sent."""
        return len(self._out)

    def queue(self, data: bytes) -> None:
        """Send this as soon as there is room."""
        if self._trace is not None:
            for record in self._traced_out.feed(data):
                self._trace(">", record)
        if not self._deaf:
            self._out += data

    def move(self) -> list[WebServerEvent]:
        """Wait until bytes can move, move them in every direction that is free, and return what came.

        Raises:
            ClientError: nothing moves any more.
        """
        self._poll.modify(self._sock, select.POLLIN | (select.POLLOUT if self._out else 0))
        ready = self._poll.poll(self._timeout * 1000)
        if not ready:
            raise TimedOut(f"{self._address} did not move for {self._timeout:g} s")
        happened = ready[0][1]
        if self._out and happened & ~select.POLLIN:
            self._write()
        return self._read() if happened & ~select.POLLOUT else []

    def _write(self) -> None:
        try:
            del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            # It reads no more, but may have answered: the answer, or the end, is for `_read` to find.
            self._deaf = True
            self._out.clear()

    def _read(self) -> list[WebServerEvent]:
        try:
            data = self._sock.recv(_RECEIVE)
        except BlockingIOError:
            return []
        except OSError as error:
            raise ConnectionLost(f"{self._address} broke the connection: {error.strerror}") from None
        try:
            if not data:
                self.protocol.receive_eof()
                raise ConnectionLost(f"{self._address} closed the connection before it had answered")
            if self._trace is not None:
                for record in self._traced_in.feed(data):
                    self._trace("<", record)
            return self.protocol.receive_data(data)
        except RemoteProtocolError as error:
            raise BadAnswer(f"{self._address} does not speak FastCGI as it should: {error}") from None

    @property
    def quiet(self) -> bool:
        """Another request may begin: all is sent, nothing is owed, and the peer has not closed."""
        return self.protocol.usable and self.protocol.idle and not (self._out or self._deaf or self._poll.poll(0))

    def close(self) -> None:
        self._sock.close()


def _connect(address: str, timeout: float) -> socket.socket:
    try:
        if address.startswith("unix:"):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                sock.settimeout(timeout)
                sock.connect(address.removeprefix("unix:"))
            except BaseException:
                sock.close()
                raise
            return sock
        host, _, port = address.rpartition(":")
        if not host or not (port.isascii() and port.isdigit() and len(port) <= 5):
            raise BadAddress(f"{address!r} is no address; write unix:/run/app.sock, 127.0.0.1:9000 or [::1]:9000")
        sock = socket.create_connection((host.strip("[]"), int(port)), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except FileNotFoundError:
        raise CannotConnect(f"there is no socket at {address}") from None
    except ConnectionRefusedError:
        raise CannotConnect(f"nobody listens at {address}") from None
    except PermissionError:
        raise CannotConnect(f"this user may not connect to {address}") from None
    except BlockingIOError:
        raise CannotConnect(f"too many connections wait at {address} already") from None
    except TimeoutError:
        raise TimedOut(f"{address} did not take the connection within {timeout:g} s") from None
    except OSError as error:
        raise CannotConnect(f"no connection to {address}: {error.strerror or error}") from None
    return sock
