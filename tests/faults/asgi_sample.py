"""This file is the ASGI application of the fault tests: each path does one thing whose cost is measured."""

from __future__ import annotations

import asyncio
import sys
import time
from urllib.parse import parse_qs

TOTAL = 256 * 1024 * 1024
PIECE = b"0123456789abcdef" * 4096


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def start(send, *headers) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain"), *headers]})


async def hello(_query, _receive, send):
    await start(send)
    await send({"type": "http.response.body", "body": b"hello, world\n"})


async def large(query, _receive, send):
    """256 MiB; says once that the client takes no more."""
    loop = asyncio.get_running_loop()
    await start(send, (b"content-length", str(TOTAL).encode()))
    for at in range(0, TOTAL, len(PIECE)):
        stuck = loop.call_later(0.5, say, f"stuck {query['name']} at {at}")
        await send({"type": "http.response.body", "body": PIECE, "more_body": at + len(PIECE) < TOTAL})
        stuck.cancel()


async def file(query, _receive, send):
    """The file that the query names; says once that the client has not taken it after half a second."""
    await start(send)
    stuck = asyncio.get_running_loop().call_later(0.5, say, f"stuck {query['name']} at ?")
    await send({"type": "http.response.pathsend", "path": query["path"]})
    stuck.cancel()


async def wait(query, receive, send):
    """Waits for the client to leave, and says when it heard of it (of the system's monotonic clock)."""
    while (message := await receive())["type"] == "http.request" and message["more_body"]:
        pass
    if query.get("begun"):
        await start(send)
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
    say(f"waiting {query['name']}")
    await receive()
    say(f"left {query['name']} {time.monotonic_ns()}")


async def background(query, _receive, send):
    """Answers, and works on for so many seconds."""
    await hello(query, None, send)
    say("working")
    try:
        await asyncio.sleep(float(query["seconds"]))
        say("worked to the end")
    except asyncio.CancelledError:
        say("cancelled")
        raise


PATHS = {"/hello": hello, "/large": large, "/file": file, "/wait": wait, "/background": background}


async def lifespan(receive, send):
    """Says that it has cleaned up."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    say("cleaned up")
    await send({"type": "lifespan.shutdown.complete"})


async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    assert scope["type"] == "http"
    query = {name: values[0] for name, values in parse_qs(scope["query_string"].decode()).items()}
    await PATHS[scope["path"]](query, receive, send)
