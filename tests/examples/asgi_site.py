"""This file serves an ASGI application behind nginx twice: at the root, and below /sub with `--mount /sub`."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path

from tests.interop import nginx as front_server
from tests.interop.backend import Backend, start
from tests.interop.nginx import ROOT_STYLE, STOCK_STYLE, Front, Nginx, ask
from tests.processes import Processes

BASES = ("", "/sub")


class Site:
    """One application at two places.

    Attributes:
        backends: the running penstock of each place.
    """

    def __init__(self, web: Nginx, fronts: dict[str, Front], backends: dict[str, Backend]) -> None:
        self.backends = backends
        self._web = web
        self._fronts = fronts

    def connect(self, base: str) -> HTTPConnection:
        return self._web.connect(self._fronts[base])

    def port(self, base: str) -> int:
        return self._web.port(self._fronts[base])


class Visitor:
    """A browser of one place, which keeps no cookies; a context manager."""

    def __init__(self, site: Site, base: str) -> None:
        self.base = base
        self.backend = site.backends[base]
        self.port = site.port(base)
        self.connection = site.connect(base)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> tuple[HTTPResponse, bytes]:
        """One request below the place."""
        return ask(self.connection, method, self.base + path, body, **headers)

    def failures(self) -> list[str]:
        """The lines of the log that say that the application has failed."""
        return [line for line in self.backend.process.stderr if "the application failed" in line]


@contextlib.contextmanager
def behind_nginx(nginx: str, app: Path) -> Iterator[Site]:
    """Serve `app`; at the end both processes have to stop as asked."""
    started = Processes()
    folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    try:
        backends = {
            base: start(
                started, *(("--mount", base) if base else ()), bind=(f"unix:{folder}/app{number}",), app=str(app)
            )
            for number, base in enumerate(BASES)
        }
        fronts = {
            base: Front(backend.addresses[0], kept=not base, style=STOCK_STYLE if base else ROOT_STYLE)
            for base, backend in backends.items()
        }
        yield Site(front_server.start(started, nginx, folder, list(fronts.values())), fronts, backends)
        for backend in backends.values():
            assert backend.process.stop() == 0, backend.process.output()
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)
