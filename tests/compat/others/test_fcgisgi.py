"""This file tests programs of fcgisgi over real sockets, as plain CGI and in a shell."""

from __future__ import annotations

import signal
import sys

import pytest

from penstock.client import Client
from tests.compat.fcgi.running import split
from tests.homes.children import cgi_environ

ASGI = """
import asyncio, logging
logging.basicConfig(level="INFO")
from fcgisgi import Server, run_asgi_server, run_wsgi_server
async def app(scope, receive, send):
    assert scope["type"] == "http"  # so it raises on lifespan, as fcgisgi's own example does
    body = (await receive())["body"]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": scope["root_path"].encode() + b" " + body})
"""
WSGI = """
import asyncio
from fcgisgi import run_wsgi_server
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [environ["SCRIPT_NAME"].encode(), b" ", environ["wsgi.input"].read()]
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "text",
    [
        f"{ASGI}asyncio.run(run_asgi_server(app, force_script_name='/x', shutdown_timeout=20))\n",
        f"{WSGI}asyncio.run(run_wsgi_server(app, force_script_name='/x', max_workers=2))\n",
    ],
    ids=["asgi", "wsgi"],
)
def test_it_serves_on_descriptor_0_until_a_signal(programs, tcp, text, number):
    program = programs.serve(f"{text}raise SystemExit(5)\n", tcp)
    with Client(program.address) as client:
        assert client.request("POST", "/x/y", body=b"body").body == b"/x body"
        program.popen.send_signal(number)
        assert program.wait() == 5


def test_a_path_is_a_unix_socket_and_stop_ends_it(programs, processes, sock_dir):
    text = f"""{ASGI}
async def main():
    global server
    server = Server(stopping)
    await server.run("s")
    print("over", flush=True)
async def stopping(scope, receive, send):
    await app(scope, receive, send)
    server.stop()
asyncio.run(main())
"""
    script = programs.script(text)
    program = processes.start(sys.executable, script, cwd=sock_dir, env=programs.environ())
    program.wait_for("listening on")
    with Client(f"unix:{sock_dir}/s") as client:
        assert client.request("POST", "/", body=b"body").body == b" body"
    program.wait_for("over")
    assert program.wait() == 0
    assert not (sock_dir / "s").exists()


def test_a_task_that_is_cancelled_stops_the_server_first(programs, tcp):
    text = f"""{WSGI}
async def main():
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()
    def told(environ, start_response):
        loop.call_soon_threadsafe(asked.set)
        return app(environ, start_response)
    task = asyncio.create_task(run_wsgi_server(told))
    await asked.wait()
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        raise SystemExit(6)
asyncio.run(main())
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client:
        assert client.request("POST", "/", body=b"body").body == b" body"
    assert program.wait() == 6


@pytest.mark.parametrize(
    "text", [f"{ASGI}asyncio.run(run_asgi_server(app))\n", f"{WSGI}asyncio.run(run_wsgi_server(app))\n"]
)
def test_plain_cgi_and_the_shell_are_answered(programs, text):
    done = programs.cgi(text, cgi_environ(method="POST", Content_Length="4"), b"sent")
    assert split(done.stdout)[1].endswith(b" sent")
    shown = programs.cgi(text, {}, None)
    assert b"200 OK" in shown.stdout
    assert (done.returncode, shown.returncode) == (0, 0)
