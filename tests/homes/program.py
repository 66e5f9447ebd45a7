"""This file is a program as users write it, for whoever starts programs: it serves without an address.

    program.py [--asgi] [--open-first FILE]

Its application says on /facts what it finds around it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[2] / folder) for folder in ("src", "")]

if "--open-first" in sys.argv:
    # A database, say; where standard output is closed it gets number 1.
    first = open(sys.argv[sys.argv.index("--open-first") + 1], "a")  # noqa: SIM115


def facts(environ):
    descriptors = {}
    for number in map(int, os.listdir("/proc/self/fd")):
        try:
            descriptors[number] = [os.readlink(f"/proc/self/fd/{number}"), os.get_inheritable(number)]
        except OSError:
            continue  # the one that listed the folder
    return {
        "pid": os.getpid(),
        "environ": dict(os.environ),
        "descriptors": descriptors,
        "wsgi": {name: value for name, value in environ.items() if isinstance(value, str | bool)},
    }


def app(environ, start_response):
    path, body = environ["PATH_INFO"], environ["wsgi.input"]
    if path == "/wait":
        from tests.interop.sample import pass_gate

        pass_gate(environ["QUERY_STRING"])
        answer = b"waited"
    elif path == "/print":
        print("printed")
        print("printed to stderr", file=sys.stderr)
        environ["wsgi.errors"].write("written to wsgi.errors\n")
        os.system("echo a child printed; cat")
        answer = b"said"
    elif path == "/echo":
        answer = body.read()
    elif path == "/late":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return late(body)
    elif path == "/fail":
        raise LookupError("failed on purpose")
    elif path == "/":
        answer = b"Hello\n"
    else:
        answer = json.dumps(facts(environ)).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("X-Where", environ["SCRIPT_NAME"] + path)])
    return [answer]


def late(body):
    """A large response first, and the body read only then."""
    yield b"x" * 1_000_000
    yield b"%d" % len(body.read())


async def asgi(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        scope["state"]["word"] = "started"
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": f"{scope['state']['word']} {scope['path']} ".encode() + body})


def serve():
    from penstock.gateways.request import Gateway
    from penstock.gateways.wsgi import WSGIGateway
    from penstock.server.accesslog import AccessLog
    from penstock.server.homes import Home, answer_once, find_home, inherited_listeners, settle_descriptors
    from penstock.server.listen import BindError
    from penstock.server.notices import log
    from penstock.server.options import ServerOptions
    from penstock.server.serving import start_log
    from penstock.server.threads import ThreadServer

    heard = settle_descriptors()
    start_log("info")
    home = find_home(os.environ)
    gateway: Gateway = WSGIGateway(
        app, run_once=home.once, multiprocess=home is not Home.SHELL, new_reference=lambda: "reference"
    )
    if home.once:
        if "--asgi" in sys.argv:
            from penstock.gateways.asgi_once import ASGIOnce

            gateway = ASGIOnce(asgi, new_reference=lambda: "reference")
        sys.exit(answer_once(home, app, gateway, os.environ, max_body=10_000_000))
    try:
        listeners = inherited_listeners(home, os.environ)
    except BindError as error:
        sys.exit(f"{error}")
    for listener in listeners:
        log.info("listening on %s", listener.address)
    server = ThreadServer(gateway, listeners, ServerOptions(), AccessLog(1) if heard else None)
    server.run()


if __name__ == "__main__":
    serve()
