"""This file holds the columns of the matrix: web servers, each started from what `penstock config` prints for it."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import click
from click.testing import CliRunner

from penstock.cli.config.servers import find_server
from penstock.cli.main import penstock as cli
from tests.interop.matrix_site import Site, Variant
from tests.interop.unprivileged import reach
from tests.interop.webserver import wait_until_served
from tests.processes import PENSTOCK, ROOT, Process, Processes, find_free_port

MODULES = {"wsgi": "matrix_app", "asgi": "matrix_app_async"}

WSGI = tuple(Variant(mount, transport, "wsgi") for mount in ("", "/app") for transport in ("unix", "tcp"))
ASGI = (Variant("", "unix", "asgi"), Variant("/app", "tcp", "asgi"))


@dataclass(frozen=True)
class Column:
    """One web server, or one way to run it.

    Attributes:
        name: the heading.
        config: SERVER of `penstock config`.
        needs: fixtures that find what it runs with, or leave the test out; the program is the first.
        foreground: what is added to the printed command, for a program that would go to the background.
        variants: the ways it is run.
        spawns: it starts the application itself, with the Python that is the last of `needs`.
        edit: makes a further column of a printed text.
    """

    name: str
    config: str
    needs: tuple[str, ...]
    foreground: tuple[str, ...] = ()
    variants: tuple[Variant, ...] = WSGI + ASGI
    spawns: bool = False
    edit: Callable[[str], str] = str


OWN = (Variant("", "unix", "wsgi"), Variant("/app", "unix", "wsgi"), Variant("/app", "unix", "asgi"))


def multiplexed(text: str) -> str:
    """HAProxy's text with several requests at a time on a connection, after a look at what penstock says of that."""
    text = text.replace("http-reuse safe", "http-reuse always")
    return re.sub(r"^( *)docroot .*$", r"\g<0>\n\1option get-values\n\1option mpxs-conns", text, flags=re.MULTILINE)


_APACHE = ("-D", "FOREGROUND")

COLUMNS = (
    Column("nginx", "nginx", ("nginx",), ("-g", "daemon off;")),
    Column("fcgid", "apache-fcgid", ("apache2", "mod_fcgid", "web_python"), _APACHE, OWN, spawns=True),
    Column("proxy_fcgi", "apache-proxy-fcgi", ("apache2",), _APACHE),
    Column("lighttpd", "lighttpd", ("lighttpd",)),
    Column("bin-path", "lighttpd-bin-path", ("lighttpd", "web_python"), (), OWN, spawns=True),
    Column("caddy", "caddy", ("caddy",)),
    Column("haproxy", "haproxy", ("haproxy",)),
    Column("mpxs", "haproxy", ("haproxy",), edit=multiplexed),
    Column("h2o", "h2o", ("h2o",)),
)
CELLS = [(column, variant) for column in COLUMNS for variant in column.variants]


def printed(column: Column, app: str, variant: Variant, bind: str, port: int, state: Path, python: str) -> str:
    """What `penstock config SERVER --full` prints."""
    words = ["config", column.config, app, "--full", "--listen", f"127.0.0.1:{port}", "--state-dir", str(state)]
    words += ["--mount", variant.mount] if variant.mount else []
    words += ["--bind", bind] if not column.spawns else []
    with patch.object(sys, "executable", python):  # an application that the web server starts is run by this one
        result = CliRunner().invoke(cli, words)
    assert result.exit_code == 0, result.output
    return column.edit(result.stdout)


class Applications:
    """The running `penstock serve` of the matrix: one for each way to be reached, shared by the web servers."""

    def __init__(self, processes: Processes, folder: Path) -> None:
        self._processes = processes
        self._folder = folder
        self._running: dict[tuple[str, ...], Process] = {}
        self._binds: dict[tuple[Variant, str], str] = {}

    def bind(self, variant: Variant, user: str) -> str:
        """Where the application of a variant listens for web servers of one user."""
        if (variant, user) not in self._binds:
            place = f"unix:{self._folder}/{variant}-{user}.sock" if variant.transport == "unix" else ""
            self._binds[variant, user] = place or f"127.0.0.1:{find_free_port()}"
        return self._binds[variant, user]

    def start(self, text: str) -> None:
        """Run the command that a printed text says to run, unless it runs already."""
        words = tuple(advised("penstock (serve .+)", text))
        if words not in self._running:
            process = self._processes.start(*PENSTOCK, *words, cwd=ROOT, env={"PENSTOCK_THREADS": "4"})
            process.wait_for(r"listening on (\S+)")
            self._running[words] = process

    def home(self, base: str) -> Path:
        """The folder with the modules of an environment in which every user can run and read penstock."""
        home = self._folder / "env"
        if not home.exists():
            subprocess.run([base, "-m", "venv", "--without-pip", home], check=True)
            (packages,) = home.glob("lib/python*/site-packages")
            for package in (ROOT / "src" / "penstock", Path(click.__file__).parent):
                shutil.copytree(package, packages / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            (packages / "tests" / "interop").mkdir(parents=True)
            for name in ("sample", *MODULES.values()):
                shutil.copy(ROOT / "tests" / "interop" / f"{name}.py", packages / "tests" / "interop")
        return home


def start(
    column: Column,
    variant: Variant,
    found: list[str],
    processes: Processes,
    applications: Applications,
    folder: Path,
) -> Site:
    """Start a web server and what is behind it, and wait until it listens.

    Args:
        found: what the fixtures of `column.needs` are.
        processes: starts the web server.
        folder: one that is not there yet; the web server keeps its files in it.
    """
    folder.mkdir()
    reach(folder)
    port = find_free_port()
    module = MODULES[variant.interface]
    app, python = f"tests.interop.{module}:app", sys.executable
    if column.spawns:
        home = applications.home(found[-1])
        python = str(home / "bin" / "python")
        (path,) = home.glob(f"lib/*/site-packages/tests/interop/{module}.py")
        app = f"{path}:app"
    bind = applications.bind(variant, find_server(column.config).user)
    text = printed(column, app, variant, bind, port, folder, python)
    if not column.spawns:
        applications.start(text)
    file = folder / "printed.conf"
    file.write_text(text, encoding="utf-8")
    _, *words = advised(r"Run it so: +(.+?)(?:   .*)?", text)
    words = [str(file) if word == "THIS-FILE" else word for word in words]
    process = processes.start(found[0], *words, *column.foreground, cwd=folder)
    wait_until_served(process, port)
    return Site(column.name, column.config, variant, process, port, folder)


def advised(line: str, text: str) -> list[str]:
    """The words of a command that a comment of a printed text gives."""
    found = re.search(f"^# +{line}$", text, re.MULTILINE)
    assert found, f"nothing in it looks like {line!r}:\n{text}"
    return shlex.split(found[1])
