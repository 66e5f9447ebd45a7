"""This file is the application that the manager's tests serve; it is copied, and its first lines are changed there."""

import ctypes
import hashlib
import os
import socket
import sys
import time

VERSION = 1
# what happens as it is imported comes here

KEPT: list[bytes] = []


def wait(path):
    """Connect to the gate of a test, and go on when that is opened."""
    with socket.socket(socket.AF_UNIX) as gate:
        gate.connect("/" + path)
        gate.recv(1)


def leak(_):
    KEPT.append(os.urandom(1024) * 1024)


def spin(_):
    """One call in C that holds the interpreter for ever."""
    sum(range(1 << 62))


def fork_twice(_):
    """Parent and child both come back."""
    os.fork()


def finish_executor(_):
    """Ends what Python keeps at its exit."""
    import concurrent.futures.thread as pool

    pool._python_exit()


WAYS = {
    "wait": wait,
    "sleep": lambda seconds: time.sleep(float(seconds)),
    "leak": leak,
    "spin": spin,
    "exit": lambda _: os._exit(1),
    "segfault": lambda _: ctypes.string_at(0),
    "sys.exit": lambda _: sys.exit(3),
    "close": lambda _: os.close(1),
    "fork": fork_twice,
    "executor": finish_executor,
    "abort": lambda _: os.abort(),
}


def app(environ, start_response):
    way, _, rest = environ.get("PATH_INFO", "")[1:].partition("/")
    body = str(VERSION).encode()
    if way == "digest":
        digest = hashlib.sha256()
        while piece := environ["wsgi.input"].read(65536):
            digest.update(piece)
        body = digest.hexdigest().encode()
    elif way == "pid":
        body = str(os.getpid()).encode()
    elif way == "bad-response":
        start_response("two hundred", [("Content-Length", 5)])
    elif way in WAYS:
        WAYS[way](rest)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


async def answer(scope, receive, send):
    """The same paths, as far as an ASGI application can."""
    body = str(VERSION).encode()
    if scope["path"] == "/digest":
        digest = hashlib.sha256()
        while (message := await receive())["type"] == "http.request":
            digest.update(message["body"])
            if not message["more_body"]:
                break
        body = digest.hexdigest().encode()
    headers = [(b"content-type", b"text/plain"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def begin():
    """What happens as it starts up."""


async def aapp(scope, receive, send):
    if scope["type"] != "lifespan":
        await answer(scope, receive, send)
        return
    await receive()
    try:
        await begin()
    except RuntimeError as error:
        await send({"type": "lifespan.startup.failed", "message": str(error)})
        return
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
