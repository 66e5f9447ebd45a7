"""This file is the ASGI application of the matrix: the views of matrix_app.py under the same names, as coroutines."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs

from tests.interop.matrix_app import EARLY, FIRST, HOSE, SECOND, SHUT, header_pairs
from tests.interop.sample import BLOCK, PATIENCE

Query = dict[str, list[str]]
Header = tuple[bytes, bytes]
TEXT = (b"content-type", b"text/plain")
UNBUFFERED = (b"x-accel-buffering", b"no")


class Exchange:
    """One request and its answer, with what ASGI has for them."""

    def __init__(self, scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Any]):
        self.scope = scope
        self.receive = receive
        self.query: Query = parse_qs(scope["query_string"].decode("latin-1"))
        self._send = send

    async def blocks(self) -> AsyncIterator[bytes]:
        """The body.

        Raises:
            ConnectionError: the client has left before its end.
        """
        more = True
        while more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ConnectionError("the client has left")
            yield message.get("body", b"")
            more = message.get("more_body", False)

    def asked_headers(self) -> list[Header]:
        """The headers that the query asks for."""
        return [(name.encode(), value.encode()) for name, value in header_pairs(self.query)]

    async def start(self, status: int = 200, *headers: Header) -> None:
        await self._send({"type": "http.response.start", "status": status, "headers": list(headers)})

    async def write(self, body: bytes, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})

    async def text(self, body: bytes, status: int = 200, *headers: Header) -> None:
        length = [] if status in (204, 304) else [TEXT, (b"content-length", b"%d" % len(body))]
        await self.start(status, *length, *headers)
        await self.write(body, more=False)


async def tell(box: str, word: str) -> None:
    """Put a word into the box of the test."""
    _, writer = await asyncio.open_unix_connection(box)
    writer.write(word.encode())
    await writer.drain()
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def pass_gate(path: str) -> bool:
    """Stand at the gate of the test until it opens; false when it does not in time."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        return await asyncio.wait_for(reader.read(1), PATIENCE) == b""
    except TimeoutError:
        return False
    finally:
        writer.close()


async def hello(exchange: Exchange) -> None:
    await exchange.text(b"hello, world\n")


async def echo(exchange: Exchange) -> None:
    size, digest = 0, hashlib.sha256()
    async for block in exchange.blocks():
        size += len(block)
        digest.update(block)
    await exchange.text(json.dumps({"length": size, "sha256": digest.hexdigest()}).encode())


async def show(exchange: Exchange) -> None:
    """What the application sees, in the words of WSGI: native strings, and a path without the mount."""
    scope = exchange.scope
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1"), value.decode("latin-1")
        headers[key] = headers[key] + ("; " if key == "cookie" else ", ") + text if key in headers else text
    seen = {
        "path": scope["path"].removeprefix(scope["root_path"]).encode().decode("latin-1"),
        "mount": scope["root_path"].encode().decode("latin-1"),
        "query": scope["query_string"].decode("latin-1"),
        "raw_path": scope["raw_path"].decode("latin-1"),
        "scheme": scope["scheme"],
        "client": scope["client"],
        "headers": headers,
    }
    await exchange.text(json.dumps(seen).encode())


async def answer(exchange: Exchange) -> None:
    """Any status, headers and body that the query asks for."""
    status = int(exchange.query["status"][0].partition(" ")[0])
    await exchange.text(exchange.query.get("body", [""])[0].encode(), status, *exchange.asked_headers())


async def wide(exchange: Exchange) -> None:
    count = int(exchange.query["bytes"][0]) // 94
    await exchange.text(b"wide", 200, *((b"x-wide-%d" % number, b"w" * 80) for number in range(count)))


async def events(exchange: Exchange) -> None:
    await exchange.start(200, (b"content-type", b"text/event-stream"), UNBUFFERED)
    await exchange.write(FIRST)
    await exchange.write(SECOND if await pass_gate(exchange.query["gate"][0]) else SHUT, more=False)


async def hose(exchange: Exchange) -> None:
    word = "left"
    try:
        await exchange.start(200, (b"content-type", b"application/octet-stream"), UNBUFFERED)
        for _ in range(HOSE):
            await exchange.write(BLOCK)
        await exchange.write(b"", more=False)
        word = "whole"
    finally:
        await tell(exchange.query["box"][0], word)


async def eager(exchange: Exchange) -> None:
    await exchange.start(200, TEXT)
    await exchange.write(b"x" * EARLY)
    size = 0
    async for block in exchange.blocks():
        size += len(block)
    await exchange.write(b"%d" % size, more=False)


async def take(exchange: Exchange) -> None:
    size = sum([len(block) async for block in exchange.blocks()])
    await tell(exchange.query["box"][0], f"{size} bytes")
    await exchange.text(b"taken\n")


async def refuse(exchange: Exchange) -> None:
    await exchange.text(b"too large\n", 413)


async def early(exchange: Exchange) -> None:
    raise LookupError(exchange.query["name"][0])


async def midway(exchange: Exchange) -> None:
    await exchange.start(200, TEXT, (b"content-length", b"100000"))
    await exchange.write(b"first\n")
    raise LookupError(exchange.query["name"][0])


async def broken(exchange: Exchange) -> None:
    await exchange.start(200, TEXT, *exchange.asked_headers())
    await exchange.write(b"first\n")
    raise LookupError("broken")


async def leave(exchange: Exchange) -> None:
    """Works without a word until the gate opens, and says whether it was told before that the client has left."""
    async for _ in exchange.blocks():
        pass
    gone = asyncio.ensure_future(exchange.receive())
    gate = asyncio.ensure_future(pass_gate(exchange.query["gate"][0]))
    await asyncio.wait((gone, gate), return_when=asyncio.FIRST_COMPLETED)
    await tell(exchange.query["box"][0], "told" if gone.done() else "not told")
    for task in (gone, gate):
        task.cancel()
    await asyncio.gather(gone, gate, return_exceptions=True)
    await exchange.text(b"done\n")


VIEWS = {
    view.__name__: view
    for view in (hello, echo, answer, wide, events, hose, eager, take, refuse, early, midway, broken, leave)
}


async def app(scope, receive, send):
    """The first segment of the path names the view; what names none is shown."""
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    path = scope["path"].removeprefix(scope["root_path"])
    await VIEWS.get(path.lstrip("/").partition("/")[0], show)(Exchange(scope, receive, send))
