"""This file holds the files that flup hands to programs: one that takes a CGI response, one that writes to the log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, TextIO

from penstock.compat.flup.unsupported import refuse
from penstock.gateways.webserver import ResponseReader

StartResponse = Callable[[str, list[tuple[str, str]]], Callable[[bytes], object]]


class OutputStream:
    """`req.stdout`: takes head and body of a CGI response, and hands them on as a WSGI application would.

    So what a program writes by hand is checked like everything else: no header that a web server could misread, the
    status last, no body for HEAD. Text is sent as UTF-8, as flup does here.

    Args:
        start_response: takes the head once it is whole and returns what takes the body.

    Attributes:
        dataWritten: something has been written.
        closed: no more can be.
    """

    def __init__(self, start_response: StartResponse) -> None:
        self._start_response = start_response
        self._reader = ResponseReader()
        self._send: Callable[[bytes], object] | None = None
        self.dataWritten = False
        self.closed = False

    def write(self, data: bytes | str) -> None:
        """Send bytes.

        Raises:
            MalformedHead: they do not begin with the head of a CGI response.
            BadResponse: the head holds what cannot be sent.
            Disconnected: the web server takes no more.
        """
        if self.closed:
            raise ValueError("the response has ended")
        if not data:
            return
        self.dataWritten = True
        body = self._reader.feed(data.encode() if isinstance(data, str) else bytes(data))
        head = self._reader.head
        if self._send is None and head is not None:
            self._send = self._start_response(f"{head.status} {head.reason}", head.headers)
        if body and self._send is not None:
            self._send(body)

    def writelines(self, lines: Iterable[bytes | str]) -> None:
        """Send one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Nothing: what is written is sent at once."""

    def close(self) -> None:
        """End the response.

        Raises:
            MalformedHead: something was written, but not even a whole head.
        """
        if self.dataWritten and not self.closed:
            self._reader.finish()
        self.closed = True


class LogStream:
    """`req.stderr` and `wsgi.errors`: the process's own standard error, for text and for bytes.

    FCGI_STDERR is not used: with some web servers it ends the request, or the web server.
    """

    def write(self, data: str | bytes) -> None:
        """Write, if the process has a standard error at all."""
        stream: TextIO | None = sys.stderr  # looked up each time, because programs replace it
        if stream is not None:
            stream.write(data if isinstance(data, str) else data.decode("utf-8", "backslashreplace"))

    def writelines(self, lines: Iterable[str | bytes]) -> None:
        """Write one after another."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Let it out."""
        if sys.stderr is not None:
            sys.stderr.flush()

    def close(self) -> None:
        """Nothing: standard error is everybody's."""


LOG: Final = LogStream()


class TeeOutputStream:
    """Writes to several files at once."""

    def __init__(self, streamList: Iterable[Any]) -> None:  # noqa: N803
        self._streams = list(streamList)

    def write(self, data: Any) -> None:
        """Write to each."""
        for stream in self._streams:
            stream.write(data)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write one after another to each."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush each."""
        for stream in self._streams:
            stream.flush()


class StdoutWrapper:
    """A file that knows whether anything has been written to it."""

    def __init__(self, stdout: Any) -> None:
        self._file = stdout
        self.dataWritten = False

    def write(self, data: Any) -> None:
        """Write, and remember it."""
        if data:
            self.dataWritten = True
        self._file.write(data)

    def writelines(self, lines: Iterable[Any]) -> None:
        """Write one after another."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class InputStream:
    """flup's own input stream; here a request's body is an ordinary binary file."""

    def __init__(self, conn: object) -> None:  # noqa: ARG002
        refuse("flup's InputStream", "read req.stdin or wsgi.input, which are binary files")


class MultiplexedInputStream(InputStream):
    """As InputStream."""
