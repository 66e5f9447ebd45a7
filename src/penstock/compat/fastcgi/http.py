"""This file is fastai's MinimalHTTPHandler: just enough HTTP for a socketserver behind a web server, or for a tool."""

from __future__ import annotations

import http.client
from http import HTTPStatus
from socketserver import BaseServer, StreamRequestHandler
from typing import Any, ClassVar, Final

MOST_LINE: Final = 65536
"""Bytes of a request line."""


class HandlerException(Exception):
    """A request that cannot be answered.

    Args:
        code: the status code to answer.
        err: what is wrong.
    """

    def __init__(self, code: int, err: str = "") -> None:
        super().__init__(code, err)
        self.code = code
        self.err = err


class MinimalHTTPHandler(StreamRequestHandler):
    """Answers one request of HTTP; subclass it and override `handle`, which reads rfile and writes wfile.

    Attributes:
        command, path, request_version: the request line.
        headers: the headers, an http.client.HTTPMessage.
        raw_requestline: the request line as it came.
    """

    protocol_version: ClassVar = "HTTP/1.0"
    MessageClass: ClassVar = http.client.HTTPMessage

    def __init__(self, request: Any, client_address: Any, server: BaseServer) -> None:
        self._refused: HandlerException | None = None
        try:
            super().__init__(request, client_address, server)
        except HandlerException as error:
            if error is not self._refused:
                raise

    def setup(self) -> None:
        """Read the request's head. One that is wrong is answered by `setup_ex`, and `handle` is not called."""
        super().setup()
        try:
            self._read_head()
        except HandlerException as error:
            self._refused = error
            self.setup_ex(error)
            self.finish()
            raise

    def _read_head(self) -> None:
        self.raw_requestline = self.rfile.readline(MOST_LINE + 1)
        if not self.raw_requestline:
            raise HandlerException(0, "the connection was closed before a request came")
        if len(self.raw_requestline) > MOST_LINE:
            raise HandlerException(HTTPStatus.REQUEST_URI_TOO_LONG)
        words = self.raw_requestline.decode("latin-1").split()
        if len(words) != 3 or not words[2].startswith("HTTP/"):
            raise HandlerException(HTTPStatus.BAD_REQUEST, "the request line is not METHOD PATH HTTP/x")
        self.command, self.path, self.request_version = words
        try:
            self.headers = http.client.parse_headers(self.rfile, _class=self.MessageClass)
        except http.client.HTTPException as error:
            raise HandlerException(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, str(error)) from None

    def setup_ex(self, e: HandlerException) -> None:
        """Answer a request whose head is wrong; may be overridden."""
        if e.code:
            self.send_response(e.code, HTTPStatus(e.code).phrase)
            self.send_header("Content-Type", "text/plain")
            self.end_headers()
            self.wfile.write(e.err.encode())

    def send_response(self, code: int, message: str = "") -> None:
        """Write the status line.

        Raises:
            ValueError: the message cannot stand in a line.
        """
        self._write_line(f"{self.protocol_version} {int(code)} {message}")

    def send_header(self, k: str, v: object) -> None:
        """Write a header.

        Raises:
            ValueError: it cannot stand in a line; fastai's lets clients add headers of their own.
        """
        self._write_line(f"{k}: {v}")

    def end_headers(self) -> None:
        """Write the line that ends the headers."""
        self.wfile.write(b"\r\n")

    def _write_line(self, line: str) -> None:
        if any(c < " " and c != "\t" for c in line):
            raise ValueError(f"{line!r} cannot stand in the head of a response")
        self.wfile.write(f"{line}\r\n".encode("latin-1"))
