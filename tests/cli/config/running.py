"""This file starts what `penstock config SERVER --full` prints, as its own comments say to, and asks it for pages."""

from __future__ import annotations

import http.client
import os
import re
import shlex
import socket
import ssl
import subprocess
import sys
from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click
import pytest

from penstock.cli.config.servers import find_server
from penstock.cli.config.site import Site
from penstock.cli.config.text import config_text
from tests.interop.unprivileged import reach
from tests.interop.webserver import wait_until_served
from tests.processes import PATIENCE, PENSTOCK, ROOT, Process, Processes

# SERVER -> the fixture that finds its program, and what follows that program on the command line.
COMMANDS = {
    "nginx": ("nginx", ("-g", "daemon off;", "-c", "FILE")),
    "apache-proxy-fcgi": ("apache2", ("-D", "FOREGROUND", "-f", "FILE")),
    "apache-fcgid": ("apache2", ("-D", "FOREGROUND", "-f", "FILE")),
    "lighttpd": ("lighttpd", ("-D", "-f", "FILE")),
    "lighttpd-bin-path": ("lighttpd", ("-D", "-f", "FILE")),
    "caddy": ("caddy", ("run", "--adapter", "caddyfile", "--config", "FILE")),
    "haproxy": ("haproxy", ("-W", "-db", "-f", "FILE")),
    "h2o": ("h2o", ("-c", "FILE")),
}

# The same for a look at the file alone.
CHECKS = {
    "nginx": ("-t", "-c", "FILE"),
    "apache-proxy-fcgi": ("-t", "-f", "FILE"),
    "apache-fcgid": ("-t", "-f", "FILE"),
    "lighttpd": ("-tt", "-f", "FILE"),
    "lighttpd-bin-path": ("-tt", "-f", "FILE"),
    "caddy": ("validate", "--adapter", "caddyfile", "--config", "FILE"),
    "haproxy": ("-c", "-f", "FILE"),
    "h2o": ("-t", "-c", "FILE"),
}

HELLO = """\
def app(environ, start_response):
    body = f"{environ['SCRIPT_NAME']} {environ['PATH_INFO']}".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


def site(server: str, folder: Path, **options: object) -> Site:
    """A site with everything in `folder`, as the command would make it for whoever runs the tests."""
    row = find_server(server)
    given: dict[str, object] = {"app": f"{folder}/blog.py", "state_dir": str(folder), "full": True}
    given["user"] = None if row.drops and os.geteuid() == 0 else ""
    if "static" not in row.refuses:
        given["static"] = [("/static", f"{folder}/files")]
    return Site(**(given | options))  # type: ignore[arg-type]


def fill(folder: Path) -> None:
    """Put an application and a static file into a folder that the web server's user can enter."""
    folder.mkdir(exist_ok=True)
    (folder / "blog.py").write_text(HELLO)
    (folder / "files").mkdir()
    (folder / "files" / "a.css").write_text("body {}")
    for path in (folder, folder / "files"):
        path.chmod(0o755)


def write(server: str, made: Site, python: str = sys.executable) -> Path:
    """The file with the text for a site, in its state directory."""
    file = Path(made.state_dir, "printed.conf")
    with patch.object(sys, "executable", python):  # who runs an application that the web server starts
        file.write_text(config_text(server, made), encoding="utf-8")
    return file


def find_program(request: pytest.FixtureRequest, server: str) -> str:
    """The program of a SERVER, and its module; the test is left out where one is missing."""
    needs = [COMMANDS[server][0], *(["mod_fcgid"] if server == "apache-fcgid" else [])]
    found = [request.getfixturevalue(name) for name in needs]
    request.node.fixturenames = [*request.node.fixturenames, *needs]  # the summary counts it for these
    return str(found[0])


def command(program: str, words: Sequence[str], file: Path) -> list[str]:
    return [program, *(str(file) if word == "FILE" else word for word in words)]


def make_environment(interpreter: str, folder: Path) -> str:
    """A Python of an environment in `folder` that finds penstock and what its command line needs without being told."""
    subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    paths = {str(ROOT / "src"), *(str(Path(module.__file__ or "").parent.parent) for module in (click,))}
    (packages / "penstock.pth").write_text("\n".join(sorted(paths)) + "\n")
    return str(folder / "bin" / "python")


class Running:
    """A web server with penstock behind it: its process, and those that connect nowhere but wait to be connected to."""

    def __init__(self, process: Process, backends: list[Process], port: int, tls: bool) -> None:
        self.process = process
        self.backends = backends
        self._port = port
        self._tls = tls

    def get(self, target: str, host: str = "localhost") -> tuple[int, str, str]:
        """Status, Location (without its host) and body of one GET."""
        kind: Any = http.client.HTTPConnection
        if self._tls:
            # The name goes with the handshake too, for Caddy looks at that; whose certificate it is, nobody asks here.
            context = ssl._create_unverified_context()
            kind = partial(http.client.HTTPSConnection, context=context)
        with closing(kind(host, self._port, timeout=PATIENCE)) as connection:
            connection._create_connection = lambda _, *more: socket.create_connection(("127.0.0.1", self._port), *more)
            connection.request("GET", target)
            response = connection.getresponse()
            location = re.sub("^https?://[^/]*", "", response.getheader("Location", ""))
            return response.status, location, response.read().decode("latin-1")


def start(
    processes: Processes, server: str, program: str, made: Site, port: int, python: str = sys.executable
) -> Running:
    """Start penstock as the text says, then the web server, and wait until it listens."""
    folder = Path(made.state_dir)
    if find_server(server).makes_sockets:
        reach(folder)
    file = write(server, made, python)
    backends = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if line.startswith("#   penstock serve "):
            words = shlex.split(line.removeprefix("#   penstock "))
            backends.append(processes.start(*PENSTOCK, *words, cwd=folder))
            backends[-1].wait_for("penstock .* serves ")
    process = processes.start(*command(program, COMMANDS[server][1], file), cwd="/")
    wait_until_served(process, port)
    return Running(process, backends, port, bool(made.tls_cert))


def make_certificate(folder: Path) -> tuple[str, str]:
    """A certificate for example.test, and its key where HAProxy looks for it."""
    certificate, key = f"{folder}/cert.pem", f"{folder}/cert.pem.key"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=example.test", "-addext"]
    subprocess.run(
        ["openssl", *words, "subjectAltName=DNS:example.test", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    os.chmod(key, 0o644)  # lighttpd reads it as its own user
    return certificate, key
