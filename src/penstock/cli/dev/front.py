"""This file is the front of `penstock dev`: an ASGI application that passes each HTTP request on over FastCGI."""

from __future__ import annotations

import asyncio
import string
import tempfile
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, BinaryIO, Final, TypeAlias, cast, final
from urllib.parse import quote_from_bytes

from penstock import __version__
from penstock.cli.dev.backend import Backend, BackendDown
from penstock.cli.dev.page import message_page
from penstock.client import Client, ClientError, Exchange
from penstock.server.notices import log

Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

_IN_MEMORY: Final = 1024 * 1024
_PATIENCE: Final = 24 * 3600.0
"""Seconds to wait for the application: as long as somebody may stand in its debugger."""


class _Gone(Exception):
    """The browser has left."""


@final
class Front:
    """Asks the backend and passes its answer on, piece by piece as it comes.

    The client blocks, so each of its steps is taken in a thread. Uploads are received before they are sent on, as the
    server behind would do, so only responses stream.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3, http)."""
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as body:
            try:
                await _receive_body(receive, body)
                client = Client(await self._backend.address(), _PATIENCE)
                exchange = await asyncio.to_thread(_ask, client, scope, cast(BinaryIO, body))
            except _Gone:
                return
            except ValueError as error:
                await _send_page(send, 400, "This is no request", str(error))
            except BackendDown as error:
                await _send_page(
                    send, 502, "The application does not run", _sentence(f"{error}; the terminal may say why")
                )
            except ClientError as error:
                text = await self._backend.last_words() or str(error)
                log.warning("no answer: %s", text)
                await _send_page(send, 502, "The application did not answer", _sentence(text))
            else:
                with exchange:
                    await _pass_on(exchange, receive, send)


async def _receive_body(receive: Receive, body: tempfile.SpooledTemporaryFile[bytes]) -> None:
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        body.write(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _ask(client: Client, scope: Message, body: BinaryIO) -> Exchange:
    """Send a request and wait for the head of its answer."""
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    names = {name.lower() for name, _ in headers}
    has_body = body.tell() > 0 or "content-length" in names
    body.seek(0)
    url = quote_from_bytes(scope["raw_path"], safe=string.punctuation)
    if scope["query_string"]:
        url += "?" + quote_from_bytes(scope["query_string"], safe=string.punctuation)
    exchange = client.stream(
        scope["method"],
        url,
        headers,
        body if has_body else None,
        params=_params(scope),
        keep_conn=False,
    )
    try:
        _ = exchange.head
    except BaseException:
        exchange.close()
        raise
    return exchange


def _params(scope: Message) -> dict[str, str | None]:
    """What only the front knows of a request."""
    remote, remote_port = scope.get("client") or ("", 0)
    local, local_port = scope.get("server") or ("127.0.0.1", 80)
    return {
        "SERVER_SOFTWARE": f"penstock-dev/{__version__}",
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_ADDR": local,
        "SERVER_PORT": str(local_port),
        "REMOTE_ADDR": remote,
        "REMOTE_PORT": str(remote_port),
    }


async def _pass_on(exchange: Exchange, receive: Receive, send: Send) -> None:
    """Send the answer to the browser until one of the two has enough.

    A browser that leaves is noticed with the next piece: nothing may touch the exchange while a thread waits in it.
    """
    head = exchange.head
    gone = asyncio.ensure_future(_until_gone(receive))
    try:
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in head.headers]
        await send({"type": "http.response.start", "status": head.status, "headers": headers})
        pieces = iter(exchange)
        while not gone.done():
            piece = await asyncio.to_thread(next, pieces, None)
            if piece is None:
                await send({"type": "http.response.body", "body": b""})
                return
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    except ClientError as error:
        # To return without the end of the body closes the browser's connection, which is all that can still tell it.
        log.warning("an answer was broken off: %s", error)
    finally:
        gone.cancel()


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_page(send: Send, status: int, title: str, text: str) -> None:
    page = message_page(title, text)
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(page)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": page})


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
