"""This file tests `--protocol scgi` behind real web servers: nginx's scgi_pass and lighttpd's scgi.server."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.interop import lighttpd as lighttpd_server
from tests.interop.nginx import ask, start_scgi
from tests.processes import PATIENCE, ROOT, Processes

APPS = """\
import hashlib

def answer(method, script, path, query, body):
    digest = hashlib.sha256(body).hexdigest()
    return f"{method} {script!a} {path!a} {query} {len(body)} {digest}".encode()

def wsgi(environ, start_response):
    if environ["PATH_INFO"] == "/fail":
        raise LookupError("on purpose")
    path = environ["PATH_INFO"].encode("latin-1").decode()
    made = answer(environ["REQUEST_METHOD"], environ["SCRIPT_NAME"], path, environ["QUERY_STRING"],
                  environ["wsgi.input"].read())
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [made]

async def asgi(scope, receive, send):
    assert scope["type"] == "http"
    body, more = b"", True
    while more:
        message = await receive()
        body += message["body"]
        more = message["more_body"]
    if scope["path"] == "/fail":
        raise LookupError("on purpose")
    path = scope["path"].removeprefix(scope["root_path"])
    made = answer(scope["method"], scope["root_path"], path, scope["query_string"].decode(), body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
    await send({"type": "http.response.body", "body": made})
"""

Front = Callable[[str], int]


@pytest.fixture(params=["wsgi", "asgi"])
def application(request, processes: Processes, sock_dir: Path) -> str:
    """`penstock serve --protocol scgi` with an application that tells what it was asked; the path of its socket."""
    (sock_dir / "apps.py").write_text(APPS)
    path = f"{sock_dir}/app"
    process = processes.penstock(
        "serve", f"{sock_dir}/apps.py:{request.param}", "--protocol", "scgi", "--bind", f"unix:{path}", cwd=ROOT
    )
    process.wait_for("listening on")
    return path


@pytest.fixture
def through_nginx(nginx: str, processes: Processes, sock_dir: Path) -> Front:
    """Starts nginx with the scgi_params that came with it; returns its port."""

    def start(application: str) -> int:
        return start_scgi(processes, nginx, sock_dir, application)

    return start


@pytest.fixture
def through_lighttpd(lighttpd: str, processes: Processes, sock_dir: Path) -> Front:
    """Starts lighttpd; returns its port."""

    def start(application: str) -> int:
        fix = '"check-local" => "disable", "fix-root-scriptname" => "enable"'
        served = f'scgi.server = ( "/" => (( "socket" => "{application}", {fix} )) )'
        return lighttpd_server.start(processes, lighttpd, sock_dir, served, modules=["mod_scgi"]).port

    return start


@pytest.fixture(params=["through_nginx", "through_lighttpd"])
def browser(request, application: str):
    """A client of the web server."""
    connection = HTTPConnection("127.0.0.1", request.getfixturevalue(request.param)(application), timeout=PATIENCE)
    yield connection
    connection.close()


def test_paths_queries_and_bodies_arrive_as_they_were_sent(browser):
    nothing = hashlib.sha256(b"").hexdigest()
    for _ in range(3):
        response, body = ask(browser, "GET", f"/{quote('ä b')}/c?x=%20y")
        assert response.status == 200
        assert body.decode() == f"GET '' {'/ä b/c'!a} x=%20y 0 {nothing}"
    upload = os.urandom(1 << 16) * 48
    response, body = ask(browser, "POST", "/up", upload)
    assert body.decode() == f"POST '' '/up'  {len(upload)} {hashlib.sha256(upload).hexdigest()}"
    response, body = ask(browser, "POST", "/up", iter([upload[:70_000], b"b"]), Transfer_Encoding="chunked")
    assert body.decode().split()[-2] == "70001"


def test_a_failure_is_a_500_with_a_reference_and_head_has_no_body(browser):
    response, body = ask(browser, "GET", "/fail")
    assert response.status == 500
    assert b"Request " in body
    response, body = ask(browser, "HEAD", "/")
    assert (response.status, body) == (200, b"")
