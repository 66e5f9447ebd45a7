"""This file holds the fixtures of the server floor's tests."""

from __future__ import annotations

import asyncio
import select
import sys
from functools import partial
from typing import Any

import pytest

from penstock.server import door
from penstock.server import loop as loop_module
from penstock.server.poller import EpollPoller, SelectorsPoller
from tests.server.peers import serving

FLAVOURS: dict[str, dict[str, Any]] = {
    "selectors, 1 thread": {"poller": SelectorsPoller, "threads": 1},
    "selectors, 4 threads": {"poller": SelectorsPoller, "threads": 4},
}
if hasattr(select, "epoll"):
    FLAVOURS |= {
        "epoll, 1 thread": {"poller": EpollPoller, "threads": 1},
        "epoll, 4 threads": {"poller": EpollPoller, "threads": 4},
    }


@pytest.fixture
def quick_end(monkeypatch):
    """Every server that stops waits for newcomers; here there are none, and hundreds of servers stop."""
    monkeypatch.setattr(door, "QUIET", 0.001)


@pytest.fixture(params=list(FLAVOURS))
def serve(request, quick_end):
    """Runs a server: with each kind of poller, and with one thread and several. See `serving` for its arguments."""
    return partial(serving, **FLAVOURS[request.param])


@pytest.fixture(params=[name for name in FLAVOURS if "4 threads" in name])
def serve_shared(request, quick_end):
    """The same, only with several threads."""
    return partial(serving, **FLAVOURS[request.param])


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty current folder; what is imported from it is forgotten afterwards. Call it to write a file."""
    known = dict(sys.modules)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str = "") -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return str(path)

    yield write
    for name in set(sys.modules) - set(known):
        del sys.modules[name]


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_kind(request, monkeypatch):
    """The loop server runs on asyncio's loop, and on uvloop's where that is installed."""
    if request.param == "asyncio":
        monkeypatch.setattr(loop_module, "new_loop", asyncio.new_event_loop)
    else:
        pytest.importorskip("uvloop")
