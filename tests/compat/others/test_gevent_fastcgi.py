"""This file tests programs of gevent-fastcgi over real sockets; gevent itself is not needed."""

from __future__ import annotations

import signal
import sys

import pytest

from penstock.client import Client

APP = """
import gevent_fastcgi
from gevent_fastcgi.wsgi import WSGIRequestHandler, WSGIServer
from gevent_fastcgi.server import FastCGIServer
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    assert all(type(name) is str for name in environ)
    return [environ["QUERY_STRING"].encode(), environ["wsgi.input"].read()]
def handler(request):
    request.stdout.write(b"Content-Type: text/plain\\r\\n\\r\\n")
    request.stdout.write(request.environ["REQUEST_METHOD"].encode() + request.stdin.read())
def told(kind, *args, **kw):
    class Told(kind):
        def _setupSocket(self):
            sock = super()._setupSocket()
            print("ready", flush=True)
            return sock
    return Told(*args, **kw)
"""


@pytest.mark.parametrize(
    ("made", "body"),
    [
        ("told(WSGIServer, 's', app, socket_mode=0o606)", b"qbody"),
        ("told(FastCGIServer, 's', WSGIRequestHandler(app), num_workers=1, socket_mode=0o606)", b"qbody"),
        ("told(FastCGIServer, 's', handler, buffer_size=4096, backlog=10, socket_mode=0o606)", b"POSTbody"),
    ],
)
def test_each_server_serves_on_a_path(programs, processes, sock_dir, made, body):
    script = programs.script(f"{APP}\n{made}.serve_forever()\n")
    program = processes.start(sys.executable, script, cwd=sock_dir, env=programs.environ())
    program.wait_for("ready")
    with Client(f"unix:{sock_dir}/s") as client:
        assert client.request("POST", "/?q", body=b"body").body == body
    assert (sock_dir / "s").stat().st_mode & 0o777 == 0o606
    assert program.stop(signal.SIGTERM) == 0
    assert not (sock_dir / "s").exists()


def test_a_listening_socket_is_a_listener_and_stop_ends_it(programs, tcp):
    text = f"""{APP}
import socket, os
def bye(request):
    server.stop()
    request.stdout.write(b"Content-Type: text/plain\\r\\n\\r\\nbye %d" % request.id)
server = FastCGIServer(socket.socket(fileno=os.dup(0)), bye)
server.serve_forever()
raise SystemExit(5)
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client:
        assert client.request("GET", "/").body.startswith(b"bye ")
    assert program.wait() == 5


def test_a_failure_tells_the_client_nothing_and_workers_get_a_warning(programs, tcp):
    text = f"""{APP}
import socket, os
def fails(request):
    raise LookupError("on purpose")
FastCGIServer(socket.socket(fileno=os.dup(0)), fails, num_workers=2).serve_forever()
"""
    program = programs.serve(text, tcp)
    with Client(program.address) as client:
        answer = client.request("GET", "/")
    assert answer.status == 500
    assert b"on purpose" not in answer.body
    assert "LookupError: on purpose" in program.errors()
    assert "num_workers is 2; one process serves here" in program.errors()
