"""This file serves the example that a test module names as its APP, behind nginx: by `site`, or by `asgi_site`."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.examples.asgi_site import BASES, Site, Visitor, behind_nginx
from tests.interop import nginx as front_server
from tests.interop.backend import start
from tests.interop.nginx import Front, Nginx
from tests.processes import Processes

KINDS = {"kept": True, "closed": False}


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, nginx: str) -> Iterator[tuple[Nginx, dict[str, Front]]]:
    """nginx in front of a WSGI example, and a front for each kind of connection between the two."""
    started = Processes()
    folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    try:
        backend = start(started, "--threads", "2", bind=(f"unix:{folder}/app",), app=request.module.APP)
        fronts = {name: Front(backend.addresses[0], kept) for name, kept in KINDS.items()}
        yield front_server.start(started, nginx, folder, list(fronts.values())), fronts
        assert backend.process.stop() == 0, backend.process.output()
        assert not [line for line in backend.process.stderr if "Traceback" in line], backend.process.output()
    finally:
        started.end()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=list(KINDS))
def browser(request: pytest.FixtureRequest, site: tuple[Nginx, dict[str, Front]]) -> Iterator[HTTPConnection]:
    """A client of `site`."""
    web, fronts = site
    connection = web.connect(fronts[request.param])
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def asgi_site(request: pytest.FixtureRequest, nginx: str) -> Iterator[Site]:
    """An ASGI example at the root and below a path; once it has been stopped, the module's AT_END is in its log."""
    with behind_nginx(nginx, request.module.APP) as served:
        yield served
    for backend in served.backends.values():
        assert request.module.AT_END in backend.process.output()


@pytest.fixture(params=BASES, ids=["root", "sub"])
def visitor(request: pytest.FixtureRequest, asgi_site: Site) -> Iterator[Visitor]:
    """A browser of `asgi_site`, at each of its places."""
    found = Visitor(asgi_site, request.param)
    yield found
    found.connection.close()
