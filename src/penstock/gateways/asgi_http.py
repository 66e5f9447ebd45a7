"""This file holds the messages of one ASGI request over http, both ways: a body comes in, head and body go out."""

from __future__ import annotations

import asyncio
import os
import stat
from http import HTTPStatus
from typing import Any, Final, final

from penstock.gateways.asgi_scope import Message, OutOfOrder, warn_once
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.response import ResponseHead, encode_head, head_warning

_reasons: Final = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}

_PIECE: Final = 262_144
"""Most bytes of a body that are framed at a time."""

_FILE_PIECE: Final = 65_536
"""Bytes of a file that are read at a time: all of it that is ever in memory for a client that does not read."""


@final
class HTTPCycle:
    """The messages of one request.

    Attributes:
        head_sent: status and headers are out.
        finished: the response is complete.
    """

    __slots__ = ("_body_read", "_file_size", "_head", "_left", "_request", "_sends_body", "finished", "head_sent")

    def __init__(self, request: AsyncRequest) -> None:
        self._request = request
        self._head: ResponseHead | None = None
        self._left: int | None = None
        self._file_size: int | None = None
        self._sends_body = True
        self._body_read = False
        self.head_sent = False
        self.finished = False

    async def receive(self) -> Message:
        """ASGI's receive: the body piece by piece, then http.disconnect once the client has left or has everything."""
        request = self._request
        if not self._body_read and not self.finished:
            piece = await request.read()
            if piece is not None:
                self._body_read = request.input_ended
                return {"type": "http.request", "body": piece, "more_body": not self._body_read}
            self._body_read = True
        elif not self.finished:
            await request.wait_disconnected()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """ASGI's send.

        Raises:
            OutOfOrder: the message has no place here.
            OSError: the file of an http.response.pathsend cannot be read.
            BadResponse: status or headers cannot be sent.
            TypeError: a value of the message is of a wrong type.
            Disconnected: the client has left (an OSError, as ASGI 2.4 asks for).
        """
        kind = message.get("type")
        if kind == "http.response.body":
            await self._body(message.get("body", b""), message.get("more_body", False))
        elif kind == "http.response.start":
            self._start(message)
        elif kind == "http.response.pathsend":
            await self._send_file(_required(message, "path"))
        else:
            raise OutOfOrder(f"the message {kind!r} is none of an http response")

    def _start(self, message: Message) -> None:
        if self._head is not None:
            raise OutOfOrder("http.response.start was sent twice")
        code = _required(message, "status")
        if not isinstance(code, int):
            raise TypeError(f"http.response.start: the status is a {type(code).__name__}, not an int: {code!r}")
        head = encode_head(_reasons.get(code) or str(code), text_headers(message))
        if head.stripped:
            warn_once(f"hop-by-hop headers are the web server's to send, left out: {', '.join(head.stripped)}")
        if len(head.fields) > 400:  # below that there is nothing to warn of, and no call is due
            warning = head_warning(head)
            if warning is not None:
                warn_once(warning)
        self._head = head
        self._left = head.content_length
        self._sends_body = head.body_allowed and self._request.params.get("REQUEST_METHOD") != "HEAD"
        self._request.status = code

    async def _body(self, body: bytes | memoryview, more: bool) -> None:
        head = self._head
        if head is None:
            raise OutOfOrder("http.response.body came before http.response.start")
        if type(body) is not bytes and not isinstance(body, bytes | bytearray | memoryview):
            raise TypeError(f"http.response.body: the body is a {type(body).__name__}, not bytes")
        request = self._request
        if self.finished:
            if not self._sends_body:
                return
            raise OutOfOrder("http.response.body came after the last one")
        if request.disconnected:
            raise Disconnected("the client has left")
        if not self._sends_body:
            body = b""
        elif self._left is not None:
            body = self._fit(body, more)
        block = b""
        if not self.head_sent:
            # The only piece is the whole body: its length is known though the application did not say it.
            block = head.to_bytes(self._file_size if more or not self._sends_body else len(body))
            self.head_sent = True
        request.body_length += len(body)
        while len(body) > _PIECE:
            # A large body is handed on as it is taken, or it would be in memory twice.
            request.write(block + body[:_PIECE])
            block, body = b"", memoryview(body)[_PIECE:]
            if request.paused:
                await request.drain()
        if more and self._sends_body:
            if block or body:
                request.write(block + body)
                if request.paused:
                    await request.drain()
            return
        self.finished = True
        request.finish(block + body)

    def _fit(self, body: bytes | memoryview, more: bool) -> bytes | memoryview:
        left = self._left or 0
        if len(body) > left:
            params = self._request.params
            what = f"{params.get('REQUEST_METHOD')!a} {params.get('SCRIPT_NAME', '') + params.get('PATH_INFO', '')!a}"
            warn_once(f"{what}: the application gave more bytes than its Content-Length; the rest was dropped")
            body = body[:left]
        self._left = left - len(body)
        if self._left and not more:
            raise OutOfOrder(f"the response is {self._left} bytes shorter than its Content-Length says")
        return body

    async def _send_file(self, path: str) -> None:
        """Send a file as the whole body, a piece at a time; a thread reads it, for a disk may be slow."""
        head = self._head
        if head is None:
            raise OutOfOrder("http.response.pathsend came before http.response.start")
        if self.head_sent:
            raise OutOfOrder("http.response.pathsend came after a part of the body; it sends the whole body")
        if not self._sends_body:
            await self._body(b"", False)
            return
        run = asyncio.get_running_loop().run_in_executor
        fd, size = await run(None, _open_file, path)
        try:
            left = size if self._left is None else self._left
            if left > size:
                raise OutOfOrder(f"the file {path!a} has {size} bytes and the Content-Length says {left}")
            self._left = self._file_size = left
            at = 0
            while at < left:
                piece = await run(None, os.pread, fd, min(_FILE_PIECE, left - at), at)
                if not piece:
                    raise OutOfOrder(f"the file {path!a} was cut to {at} bytes while it was sent")
                at += len(piece)
                await self._body(piece, at < left)
            if not left:
                await self._body(b"", False)
        finally:
            os.close(fd)


def text_headers(message: Message) -> list[tuple[str, str]]:
    """The headers of a message as native strings.

    Raises:
        TypeError: they are not pairs of bytes.
    """
    try:
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.get("headers") or ()]
    except (AttributeError, TypeError, ValueError):
        raise TypeError(f"{message['type']}: headers are pairs of bytes (name, value)") from None


def _required(message: Message, key: str) -> Any:
    if key not in message:
        raise TypeError(f"the message {message['type']!r} has no {key!r}")
    return message[key]


def _open_file(path: str) -> tuple[int, int]:
    """A descriptor of a regular file, and its size in bytes."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)  # so that a FIFO cannot keep the thread
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode):
        os.close(fd)
        raise OSError(f"http.response.pathsend: {path!a} is not a regular file")
    return fd, about.st_size
