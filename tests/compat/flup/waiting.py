"""This file waits for a program that listens at some time: another process tells nobody when it does."""

from __future__ import annotations

import select
import socket

from penstock.client import Client
from tests.processes import PATIENCE

STEP = 0.01


def client_of(address: str, popen) -> Client:
    """A client of a program, once it listens at `unix:/path` or `host:port`."""
    unix = address.startswith("unix:")
    host, _, port = address.rpartition(":")
    place = address.removeprefix("unix:") if unix else (host, int(port))
    for _ in range(int(PATIENCE / STEP)):
        with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as probe:
            try:
                probe.connect(place)
                return Client(address, timeout=PATIENCE)
            except OSError:
                assert popen.poll() is None, "the program has ended"
                select.select([], [], [], STEP)
    raise AssertionError(f"nobody listens at {address}")
