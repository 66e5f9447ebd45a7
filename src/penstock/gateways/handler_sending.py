"""This file sends a handler's answer: the head with the first of the body, the length held to, gzip on the way."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, final

from penstock.gateways.compression import LEAST, Compressor, accepts_gzip, compressed, is_compressible, vary_by_encoding
from penstock.gateways.request import Request
from penstock.gateways.response import ResponseHead, encode_head
from penstock.gateways.wsgi import BodyMismatch
from penstock.protocol.spec import Role

_log: Final = logging.getLogger("penstock")

HTML: Final = "text/html; charset=utf-8"
"""The Content-Type where a body is allowed and the handler set none."""

_JOINED: Final = 262_144
"""Bytes of body that are copied behind the head for a single send."""


@final
class Sender:
    """The way out of one answer.

    Args:
        request: where it goes.

    Attributes:
        head_sent: status and headers are out.
        finished: the response is complete.
        sends_body: not for HEAD, 204 and 304; known once it has started.
    """

    __slots__ = ("_compressor", "_head", "_left", "_request", "finished", "head_sent", "sends_body")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._head: ResponseHead | None = None
        self._left: int | None = None
        self._compressor: Compressor | None = None
        self.head_sent = False
        self.finished = False
        self.sends_body = True

    def start(self, status: int, fields: Sequence[tuple[str, str]], *, gzip: bool, size: int | None) -> None:
        """Make the head, in place of one that has not been sent.

        Args:
            status: the status code.
            fields: the headers.
            gzip: compress the body, where that makes sense.
            size: the bytes of the whole body; None when it is not known.

        Raises:
            BadResponse: the head cannot be sent.
        """
        untyped = all(name.lower() != "content-type" for name, _ in fields)
        if untyped and status not in (204, 304):
            fields = [*fields, ("Content-Type", HTML)]
        head = encode_head(str(status), fields)
        self.sends_body = head.body_allowed and self._request.params.get("REQUEST_METHOD") != "HEAD"
        self._left = head.content_length if self.sends_body else None
        self._compressor = None
        if gzip and head.body_allowed and is_compressible(status, fields):
            fields = vary_by_encoding(fields)
            if (size is None or size >= LEAST) and accepts_gzip(self._request.params.get("HTTP_ACCEPT_ENCODING", "")):
                self._compressor = Compressor()
                fields = compressed(fields)
            head = encode_head(str(status), fields)
        if head.stripped:
            _log.warning("hop-by-hop headers are the web server's to send, left out: %s", ", ".join(head.stripped))
        if self._request.role is Role.AUTHORIZER:
            head.put_status_first()
        self._head = head

    def send(self, body: bytes, *, flush: bool) -> None:
        """Send a piece of the body.

        Args:
            body: the bytes; may be empty.
            flush: the client gets all of it now, also where it is compressed.

        Raises:
            Disconnected: it could not be sent and never will be.
        """
        body = self._cut(body)
        if self._compressor is not None:
            body = self._compressor.compress(body, flush=flush)
        self._put(None, body, last=not self.sends_body)

    def finish(self, body: bytes) -> None:
        """Send the last of the body, and end the response.

        Raises:
            BodyMismatch: the body is shorter than the handler's Content-Length.
            Disconnected: it could not be sent and never will be.
        """
        body = self._cut(body)
        if self._left:
            raise BodyMismatch(f"the body is {self._left} bytes shorter than its Content-Length says")
        # A handler that writes nothing for HEAD does not mean that GET would be empty.
        told = bool(body) or self.sends_body
        if self._compressor is not None:
            body = self._compressor.compress(body, last=True)
        self._put(len(body) if told else None, body, last=True)

    def permit(self, fields: Sequence[tuple[str, str]]) -> None:
        """Answer as an authorizer that lets the request through: nothing after the head is for anybody.

        Only what has to be there is: mod_fcgid shows these headers to the client, on top of those of what it gets in
        the end, so a length or a type of ours would be taken for those of that.

        Raises:
            BadResponse: the head cannot be sent.
            Disconnected: it could not be sent and never will be.
        """
        self._head = encode_head("200", fields)
        self.sends_body = False
        self._put(None, b"", last=True)

    def _cut(self, body: bytes) -> bytes:
        left = self._left
        if left is None:
            return body
        if len(body) > left:
            _log.warning("the handler gave more bytes than its Content-Length; the rest was dropped")
            body = body[:left]
        self._left = left - len(body)
        return body

    def _put(self, size: int | None, body: bytes, *, last: bool) -> None:
        request = self._request
        block = b""
        head = self._head
        if head is not None:
            block = head.to_bytes(size)
            request.status = head.code
            self._head = None
            self.head_sent = True
        if not self.sends_body:
            body = b""
        request.body_length += len(body)
        if len(body) > _JOINED and block:
            request.write(block)
            block = b""
        if last:
            self.finished = True
            request.finish(block + body)
        elif block or body:
            request.write(block + body)
