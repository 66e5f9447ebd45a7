"""The stage all peers stand on in turn: a scratch folder, the one nginx, and the taking of one sample."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import measure
from bench.load import LOADS, ErrorStatus, WrongAnswer, ask, wrk
from bench.nginx import nginx

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from bench.peers import Peer

ROOT = Path(__file__).resolve().parent.parent
START_LIMIT = 15.0
# Up to this share of error statuses a peer keeps its row, marked and named; above it, it has failed.
TOLERATED = 0.05


class PeerFailed(Exception):
    """A peer did not start or did not answer right; the message is for the report."""


@dataclass(frozen=True)
class Sample:
    """One peer under one load in one round."""

    cpu_us: float
    nginx_us: float
    requests_per_second: float
    p99_ms: float
    rss_kib: int
    pss_kib: int
    requests: int
    bad: int
    broken: int

    def values(self) -> dict[str, float]:
        """The figures by name."""
        return asdict(self)


@dataclass(frozen=True)
class Stage:
    """What is set up once for the whole run."""

    folder: Path
    nginx_session: int
    ports: dict[str, int]
    sockets: dict[str, str]
    scripts: dict[str, Path]

    @contextmanager
    def serving(self, peer: Peer, load: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run ``peer`` with the application of ``load`` while the block runs; PeerFailed if it never answers right."""
        path = self.sockets[peer.name]
        log = self.folder / f"{peer.name}.log"
        command = peer.arguments(path, load)
        with _listener(path if peer.inherited else None) as inherited:
            stdin = None if inherited is None else inherited.fileno()
            with measure.running(command, environment(self.folder), ROOT, log, stdin) as process:
                try:
                    self._await(peer, load, process, log)
                    yield process
                finally:
                    measure.kill(process.pid)
                    Path(path).unlink(missing_ok=True)

    def _await(self, peer: Peer, load: str, process: subprocess.Popen[bytes], log: Path) -> None:
        deadline = time.monotonic() + START_LIMIT
        while not os.path.exists(self.sockets[peer.name]) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        while True:
            if process.poll() is not None:
                raise PeerFailed(f"ended with {process.returncode}: {measure.tail(log)}")
            try:
                return ask(self.ports[peer.name], LOADS[load])
            except (WrongAnswer, OSError) as error:
                # Between bind() and listen() nginx says 502: that is a server starting, not a wrong answer.
                starting = isinstance(error, ErrorStatus) and str(error) == "status 502"
                if not starting or time.monotonic() > deadline:
                    raise PeerFailed(f"{error} ({measure.tail(log)})") from error
                time.sleep(0.02)

    def _warm_up(self, port: int, load: str) -> None:
        try:
            ask(port, LOADS[load], LOADS[load].warm_up)
        except ErrorStatus:
            return  # the answer was right before; how often it is not is counted under load

    def sample(self, peer: Peer, load: str, seconds: int) -> Sample:
        """Start ``peer``, check its answer, warm it up, load it for ``seconds``, and count; PeerFailed if it errs."""
        with self.serving(peer, load) as process:
            port = self.ports[peer.name]
            try:
                self._warm_up(port, load)
                before, nginx_before = measure.cpu_seconds(process.pid), measure.cpu_seconds(self.nginx_session)
                result = wrk(port, LOADS[load], self.scripts[load], seconds)
                after, nginx_after = measure.cpu_seconds(process.pid), measure.cpu_seconds(self.nginx_session)
            except (WrongAnswer, OSError) as error:
                raise PeerFailed(str(error)) from error
            if process.poll() is not None:
                raise PeerFailed(f"ended with {process.returncode} under load")
            if result.bad > result.good * TOLERATED or not result.good:
                raise PeerFailed(f"{result.bad} answers that are no success beside {result.good} good ones")
            return Sample(
                cpu_us=(after - before) * 1e6 / result.good,
                nginx_us=(nginx_after - nginx_before) * 1e6 / result.good,
                requests_per_second=result.good / result.seconds,
                p99_ms=result.p99_ms,
                rss_kib=measure.rss_kib(process.pid),
                pss_kib=measure.pss_kib(process.pid),
                requests=result.good,
                bad=result.bad,
                broken=result.broken,
            )


@contextmanager
def _listener(path: str | None) -> Iterator[socket.socket | None]:
    if path is None:
        yield None
        return
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(1024)
        yield listener


def environment(folder: Path) -> dict[str, str]:
    """What every peer is started with: nothing from the caller's shell that could change how it serves."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
    }


@contextmanager
def stage(peers: list[Peer]) -> Iterator[Stage]:
    """Set the stage for ``peers``; when the block ends, by Ctrl-C too, no process and no file is left of it."""
    # /tmp by name: a socket's path has 107 bytes, and some TMPDIRs use most of them.
    folder = Path(tempfile.mkdtemp(prefix="psb", dir="/tmp"))
    try:
        sockets = {peer.name: str(folder / f"{peer.name}.sock") for peer in peers}
        scripts = {name: load.script(folder) for name, load in LOADS.items()}
        with nginx(folder / "nginx", peers, sockets) as (session, ports):
            yield Stage(folder, session, ports, sockets, scripts)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
