"""This file is the application of the trials, for WSGI and ASGI; ``release`` beside it is what deployments change."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from release import VERSION  # type: ignore[import-not-found] # each deployment writes it

# Two milliseconds for every page, so that signals and kills meet requests that run.
SECONDS = {"/sleep": 0.5}
USUAL = 0.002


def application(environ: Any, start_response: Any) -> list[bytes]:
    """Read the body, take the time of the path, answer the version."""
    environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    time.sleep(SECONDS.get(environ["PATH_INFO"], USUAL))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(VERSION)))])
    return [VERSION]


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Do the same without blocking."""
    if scope["type"] != "http":
        raise RuntimeError("http alone is spoken here")
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(SECONDS.get(scope["path"], USUAL))
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(VERSION))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": VERSION})
