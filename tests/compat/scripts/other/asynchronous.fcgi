#!/usr/bin/env python3
import asyncio

from fcgisgi import run_asgi_server


async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": b"asgi at " + scope["path"].encode()})


asyncio.run(run_asgi_server(app))
