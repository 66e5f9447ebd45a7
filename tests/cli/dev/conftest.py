"""This file holds what the tests of `penstock dev` share: an application with one of everything, and a browser."""

from __future__ import annotations

import http.client
from urllib.parse import urlsplit

import pytest

from tests.processes import PATIENCE, Process

SITE = """\
import os, sys

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("<i>no luck</i>")
    if path == "/die":
        os._exit(7)
    if path == "/broken":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return broken()
    if path == "/slow":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return slow()
    if path == "/cookies":
        start_response("302 Found", [("Location", "/"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return []
    size = len(environ["wsgi.input"].read())
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "CONTENT_LENGTH", "HTTP_HOST")
    lines = [f"{name}={environ.get(name)}" for name in names]
    lines += [f"size={size}", f"gateway={environ['GATEWAY_INTERFACE']}", f"pid={os.getpid()}"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\\n".join(lines).encode("latin-1")]

def broken():
    yield b"part"
    raise LookupError("late")

def slow():
    yield b"first"
    with open("gate"):  # a pipe: it opens when somebody opens it for writing
        yield b"second"
"""

HANGS = """\
import sys, threading
sys.stderr.write("hanging\\n")
sys.stderr.flush()
threading.Event().wait()
"""


class Site:
    """A running `penstock dev` and its browser."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.url = process.wait_for(r"http://\S+/")[0]
        self.host = urlsplit(self.url).netloc

    def get(self, path: str = "/", method: str = "GET", body: object = None, **headers: str) -> tuple[int, str]:
        response, text = self.ask(path, method, body, **headers)
        return response.status, text

    def ask(self, path: str, method: str = "GET", body: object = None, **headers: str):
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers)  # type: ignore[arg-type]
            response = connection.getresponse()
            return response, response.read().decode()
        finally:
            connection.close()

    def fields(self, path: str = "/", **more) -> dict[str, str]:
        status, text = self.get(path, **more)
        assert status == 200, text
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def dev(processes, blog):
    """Starts `penstock dev site:app` in the folder."""
    (blog / "site_.py").write_text(SITE)

    def start(app: str = "site_:app", *args: str) -> Site:
        # A test ends what it has started by SIGKILL, so the program's own folder goes where it is removed anyway.
        return Site(processes.penstock("dev", app, "--http", "127.0.0.1:0", *args, cwd=blog, env={"TMPDIR": str(blog)}))

    return start
