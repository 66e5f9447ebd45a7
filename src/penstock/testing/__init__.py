"""This room is for tests, penstock's and other people's: build records, pair the two sides, run gateways in memory.

build       what a web server sends, record by record, right or wrong
Pair        a web server and an application in memory, each held to what the other sent
run_gateway one request to a gateway without any connection
check_transport   the promises of whatever carries connections to gateways
"""

from __future__ import annotations

from penstock.testing import build
from penstock.testing.memory import Aborted, MemoryRequest, run_gateway
from penstock.testing.pair import Pair, byte_by_byte, joined, whole
from penstock.testing.transport import PROMISES, check_transport

__all__ = [
    "PROMISES",
    "Aborted",
    "MemoryRequest",
    "Pair",
    "build",
    "byte_by_byte",
    "check_transport",
    "joined",
    "run_gateway",
    "whole",
]
