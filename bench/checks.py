"""The bars beside the table: speed against peers, memory, import cost, a large upload.  Printed, never asserted."""

from __future__ import annotations

import hashlib
import os
import socket
import statistics
import struct
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import measure
from bench.load import LOADS, ask, wrk
from bench.stage import PeerFailed, environment

if TYPE_CHECKING:
    from bench.peers import Peer
    from bench.stage import Stage

MIB = 1024
GIB = 1 << 30
BLOCK = 65535 - 65535 % 8
RSS_BAR_MIB = 20.0
IMPORT_BAR_MS = 60.0
UPLOAD_BAR_MIB = 16.0
IMPORT_RUNS = 20

# (about, figure of, against, at most): CPU per hello request, side by side in this run.
SPEED_BARS = (
    ("penstock against uvicorn, ASGI on uvloop", "penstock-asgi", "uvicorn", 0.75),
    ("penstock against uWSGI's FastCGI socket, 1 thread each", "penstock", "uwsgi", 1.3),
    ("penstock against flup6", "penstock", "flup6", 0.2),
    ("penstock against uWSGI's FastCGI socket, 4 threads each", "penstock-4t", "uwsgi-4t", 1.5),
)


@dataclass(frozen=True)
class Check:
    """One bar: ``value`` None is a bar that could not be measured, with the reason in ``note``."""

    about: str
    value: float | None
    bar: float
    unit: str
    note: str = ""

    @property
    def verdict(self) -> str:
        """pass, FAIL or not measured."""
        if self.value is None:
            return "not measured"
        return "pass" if self.value <= self.bar else "FAIL"


def speed(hello: dict[str, float]) -> list[Check]:
    """The speed bars from the medians of CPU µs per hello request, by peer."""
    checks = []
    for about, mine, other, bar in SPEED_BARS:
        absent = [name for name in (mine, other) if name not in hello]
        value = None if absent else hello[mine] / hello[other]
        note = f"no figure for {' and '.join(absent)}" if absent else f"{hello[mine]:.1f} / {hello[other]:.1f} µs"
        checks.append(Check(about, value, bar, "x", note))
    return checks


def serving_memory(stage: Stage, peer: Peer) -> Check:
    """Resident memory of a freshly started ``peer`` that has answered hello for two seconds."""
    about = "RSS of `penstock serve` serving hello"
    try:
        with stage.serving(peer, "hello") as process:
            wrk(stage.ports[peer.name], LOADS["hello"], stage.scripts["hello"], 2)
            return Check(about, measure.rss_kib(process.pid) / MIB, RSS_BAR_MIB, "MiB")
    except PeerFailed as error:
        return Check(about, None, RSS_BAR_MIB, "MiB", str(error))


def import_cost(stage: Stage) -> Check:
    """What ``import penstock; penstock.serve`` costs over a bare interpreter: the larger of CPU and wall time."""
    about = "`import penstock; penstock.serve` over a bare interpreter"
    bare_environment = environment(stage.folder)
    costs: dict[str, list[tuple[float, float]]] = {"pass": [], "import penstock; penstock.serve": []}
    for _ in range(IMPORT_RUNS):
        for code, seen in costs.items():
            started = time.perf_counter()
            process = subprocess.Popen([sys.executable, "-c", code], env=bare_environment, stderr=subprocess.DEVNULL)
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.perf_counter() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                return Check(about, None, IMPORT_BAR_MS, "ms", "it cannot be imported here")
            seen.append((usage.ru_utime + usage.ru_stime, wall))
    bare, ours = costs.values()
    cpu, wall = (
        (statistics.median(run[kind] for run in ours) - statistics.median(run[kind] for run in bare)) * 1000
        for kind in (0, 1)
    )
    note = f"CPU {cpu:.1f} ms, wall {wall:.1f} ms; medians of {IMPORT_RUNS} alternating runs"
    return Check(about, max(cpu, wall), IMPORT_BAR_MS, "ms", note)


def upload_growth(stage: Stage, peer: Peer) -> Check:
    """How far a body of 1 GiB, straight over FastCGI, lifts the peak of resident memory over that before it."""
    about = "growth of RSS over a 1 GiB upload"
    space = os.statvfs(stage.folder)
    if space.f_bavail * space.f_frsize < 2 * GIB:
        return Check(about, None, UPLOAD_BAR_MIB, "MiB", "less than 2 GiB free for temporary files")
    try:
        with stage.serving(peer, "upload") as process:
            # A small one first: the hash library the application loads is not the upload's cost.
            ask(stage.ports[peer.name], LOADS["upload"])
            before = measure.rss_kib(process.pid)
            seconds = _send_body(stage.sockets[peer.name], GIB)
            growth = (measure.peak_rss_kib(process.pid) - before) / MIB
            return Check(about, max(growth, 0.0), UPLOAD_BAR_MIB, "MiB", f"peak over before; {seconds:.1f} s")
    except (PeerFailed, OSError) as error:
        return Check(about, None, UPLOAD_BAR_MIB, "MiB", str(error))


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack("!BBHHBx", 1, kind, 1, len(content), 0) + content


def _pair(name: bytes, value: bytes) -> bytes:
    return bytes((len(name), len(value))) + name + value  # one-byte lengths: none here is over 127


def _send_body(path: str, size: int) -> float:
    """POST ``size`` bytes to the application on ``path`` and check its hash; seconds, PeerFailed on a wrong answer."""
    params = {
        "REQUEST_METHOD": "POST",
        "REQUEST_URI": "/upload",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/upload",
        "QUERY_STRING": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "localhost",
        "SERVER_PORT": "80",
        "CONTENT_TYPE": "application/octet-stream",
        "CONTENT_LENGTH": str(size),
    }
    block = b"penstock" * (BLOCK // 8)
    digest = hashlib.sha256()
    started = time.perf_counter()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(120)
        connection.connect(path)
        pairs = b"".join(_pair(name.encode("ascii"), value.encode("ascii")) for name, value in params.items())
        connection.sendall(_record(1, struct.pack("!HB5x", 1, 0)) + _record(4, pairs) + _record(4, b""))
        whole = _record(5, block)
        for _ in range(size // len(block)):
            digest.update(block)
            connection.sendall(whole)
        rest = block[: size % len(block)]
        digest.update(rest)
        connection.sendall((_record(5, rest) if rest else b"") + _record(5, b""))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    if digest.hexdigest().encode("ascii") not in answer:
        raise PeerFailed("the hash of the large upload is not in the answer")
    return time.perf_counter() - started
