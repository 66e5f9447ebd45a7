"""This file serves the example that a test module names as its APP, behind nginx, with kept and closed connections."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.interop import nginx as front_server
from tests.interop.backend import start
from tests.interop.nginx import Front, Nginx
from tests.processes import Processes

KINDS = {"kept": True, "closed": False}


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, nginx: str) -> Iterator[tuple[Nginx, dict[str, Front]]]:
    """nginx in front of the example, and a front for each kind of connection between the two."""
    started = Processes()
    folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    try:
        backend = start(started, "--threads", "2", bind=(f"unix:{folder}/app",), app=request.module.APP)
        fronts = {name: Front(backend.addresses[0], kept) for name, kept in KINDS.items()}
        yield front_server.start(started, nginx, folder, list(fronts.values())), fronts
        assert not [line for line in backend.process.stderr if "Traceback" in line], backend.process.output()
        assert backend.process.stop() == 0, backend.process.output()
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=list(KINDS))
def browser(request: pytest.FixtureRequest, site: tuple[Nginx, dict[str, Front]]) -> Iterator[HTTPConnection]:
    """A client of the example."""
    web, fronts = site
    connection = web.connect(fronts[request.param])
    yield connection
    connection.close()
