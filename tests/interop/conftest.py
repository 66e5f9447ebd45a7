"""This file starts one penstock and one nginx for the tests of a module, with a port for every way between the two."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from http.client import HTTPConnection
from itertools import product
from pathlib import Path

import pytest

from tests.interop import nginx as front_server
from tests.interop.backend import Backend, start
from tests.interop.matrix_table import pytest_terminal_summary
from tests.interop.nginx import Front, Nginx
from tests.processes import Processes

__all__ = ["pytest_terminal_summary"]  # pytest looks for it here

WAYS = {"-".join(words): words for words in product(("kept", "closed"), ("buffered", "unbuffered"), ("unix", "tcp"))}


@pytest.fixture(scope="module")
def scratch() -> Iterator[Path]:
    """A folder for the whole module, with a path that is short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def lasting() -> Iterator[Processes]:
    """Starts programs that live as long as the module."""
    started = Processes()
    yield started
    started.end()


@pytest.fixture(scope="module")
def backend(lasting: Processes, scratch: Path) -> Backend:
    """The sample application, judged by wsgiref.validate, on a unix socket and on a TCP port."""
    return start(lasting, "--threads", "4", bind=(f"unix:{scratch}/app", "127.0.0.1:0"))


@pytest.fixture(scope="module")
def fronts(backend: Backend) -> dict[str, Front]:
    """Every way between nginx and `backend`, by the name its tests have."""
    addresses = dict(zip(("unix", "tcp"), backend.addresses, strict=True))
    return {
        name: Front(addresses[transport], kept == "kept", buffered == "buffered")
        for name, (kept, buffered, transport) in WAYS.items()
    }


@pytest.fixture(scope="module")
def web(lasting: Processes, scratch: Path, nginx: str, fronts: dict[str, Front]) -> Nginx:
    """nginx with all the ways."""
    return front_server.start(lasting, nginx, scratch, list(fronts.values()))


@pytest.fixture(params=list(WAYS))
def front(request: pytest.FixtureRequest, fronts: dict[str, Front]) -> Front:
    """One of the ways, each in turn."""
    return fronts[request.param]


@pytest.fixture
def browser(web: Nginx, front: Front) -> Iterator[HTTPConnection]:
    """A client of one of the ways."""
    connection = web.connect(front)
    yield connection
    connection.close()


@pytest.fixture
def tracebacks() -> list[str]:
    """A test puts a word in here for each traceback that it causes."""
    return []


@pytest.fixture(autouse=True)
def sound(request: pytest.FixtureRequest, tracebacks: list[str]) -> Iterator[None]:
    """After each test the backend still serves and has not complained."""
    backend: Backend | None = request.getfixturevalue("backend") if "backend" in request.fixturenames else None
    yield
    if backend is not None:
        backend.check_sound(len(tracebacks))
