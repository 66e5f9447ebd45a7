"""The ASGI application that async peers serve: ``hello``, with the bytes of `bench.apps.hello`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.apps import HELLO

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"140")],
}


async def hello(
    scope: MutableMapping[str, Any],
    receive: Callable[[], Awaitable[MutableMapping[str, Any]]],  # noqa: ARG001 - what every ASGI application takes
    send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
) -> None:
    """Answer 140 bytes of plain text of known length; raise on lifespan, which is to say that there is none."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send(START.copy())
    await send({"type": "http.response.body", "body": HELLO})
