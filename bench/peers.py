"""The peers, one row each: how it is started, what it speaks, which loads it takes part in."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

EVERY_LOAD = ("hello", "page", "upload")
BIN = Path(sys.prefix) / "bin"


@dataclass(frozen=True)
class Peer:
    """One application server in one configuration.

    ``command`` is filled in with {bin} (the scripts of this environment), {python}, {socket} (the unix socket to listen
    on) and {load} (an application in ``bench.apps``).  ``distribution`` is the name on the package index, None for the
    C responder.
    """

    name: str
    distribution: str | None
    protocol: str  # "fastcgi", "uwsgi" or "http": how nginx speaks to it
    command: tuple[str, ...]
    about: str
    loads: tuple[str, ...] = EVERY_LOAD
    keep: bool = True  # nginx asks to keep the connection; False where the peer can serve only one at a time
    inherited: bool = False  # it wants its listening socket as descriptor 0 and knows no other address
    script: str = ""  # the file beside its socket that nginx names in SCRIPT_FILENAME, where that matters

    def arguments(self, socket: str, load: str) -> list[str]:
        """The command line for ``load`` on ``socket``."""
        return [part.format(bin=BIN, python=sys.executable, socket=socket, load=load) for part in self.command]


def _penstock(*options: str) -> tuple[str, ...]:
    return ("{bin}/penstock", "serve", "bench.apps:{load}", "--bind", "unix:{socket}", *options)


def _penstock_asgi() -> tuple[str, ...]:
    return ("{bin}/penstock", "serve", "bench.asgi_apps:{load}", "--bind", "unix:{socket}", "--no-access-log")


def _uwsgi(protocol: str, *options: str) -> tuple[str, ...]:
    # buffer-size: its default of 4 KiB refuses the 25 headers of a page.
    app = ("--module", "bench.apps:{load}", "--virtualenv", sys.prefix, "--processes", "1", "--need-app")
    quiet = ("--disable-logging", "--buffer-size", "16384")
    return ("{bin}/uwsgi", f"--{protocol}", "{socket}", *app, *quiet, *options)


def _gunicorn(*options: str) -> tuple[str, ...]:
    return ("{bin}/gunicorn", "--bind", "unix:{socket}", "--workers", "1", *options, "bench.apps:{load}")


def _launch(peer: str) -> tuple[str, ...]:
    return ("{python}", "-m", "bench.launch", peer, "bench.apps:{load}", "{socket}")


WAITRESS = ("{bin}/waitress-serve", "--unix-socket={socket}", "--threads=4", "bench.apps:{load}")
RESPONDER = "{bin}/bench-responder"
HELLO = ("hello",)

UVICORN = ("{bin}/uvicorn", "--uds", "{socket}", "--no-access-log", "--log-level", "warning", "bench.asgi_apps:{load}")

# A new row is all a new peer needs.
PEERS = (
    Peer("penstock", "penstock", "fastcgi", _penstock("--threads", "1", "--no-access-log"), "1 thread"),
    Peer("penstock-4t", "penstock", "fastcgi", _penstock("--threads", "4", "--no-access-log"), "4 threads"),
    Peer("penstock-log", "penstock", "fastcgi", _penstock("--threads", "1"), "1 thread, access log to a file", HELLO),
    Peer("penstock-asgi", "penstock", "fastcgi", _penstock_asgi(), "ASGI on uvloop", HELLO),
    Peer("uwsgi", "uwsgi", "fastcgi", _uwsgi("fastcgi-socket"), "1 thread; closes connections"),
    Peer("uwsgi-4t", "uwsgi", "fastcgi", _uwsgi("fastcgi-socket", "--threads", "4"), "4 threads; closes connections"),
    Peer("uwsgi-proto", "uwsgi", "uwsgi", _uwsgi("uwsgi-socket"), "its own protocol, 1 thread", HELLO),
    Peer("flup6", "flup6", "fastcgi", _launch("flup6"), "a thread per connection"),
    Peer("flipflop", "flipflop", "fastcgi", _launch("flipflop"), "a thread per connection", HELLO, inherited=True),
    Peer("gevent-fastcgi", "gevent-fastcgi", "fastcgi", _launch("gevent-fastcgi"), "a greenlet per request"),
    Peer("gunicorn-sync", "gunicorn", "http", _gunicorn("--worker-class", "sync"), "1 worker; closes connections"),
    Peer("gunicorn-gthread", "gunicorn", "http", _gunicorn("--worker-class", "gthread", "--threads", "4"), "4 threads"),
    Peer("uvicorn", "uvicorn", "http", UVICORN, "ASGI on uvloop, httptools", HELLO),
    Peer("waitress", "waitress", "http", WAITRESS, "4 threads"),
    Peer("bjoern", "bjoern", "http", _launch("bjoern"), "C, 1 thread"),
    Peer(
        "libfcgi",
        None,
        "fastcgi",
        (RESPONDER, "{load}", "{socket}", "32"),
        "C without Python, 32 threads",
        ("hello", "page"),
    ),
    Peer(
        "libfcgi-closed",
        None,
        "fastcgi",
        (RESPONDER, "{load}", "{socket}", "1"),
        "C without Python, 1 thread, closed connections",
        HELLO,
        keep=False,
    ),
)


def versions(peers: list[Peer]) -> dict[str, str]:
    """The version of each installed distribution that ``peers`` need, by its name."""
    found = {}
    for name in dict.fromkeys(peer.distribution for peer in peers if peer.distribution):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def missing(peer: Peer) -> str | None:
    """Why ``peer`` cannot be started here, or None.  setup.sh left the reason where an installation failed."""
    record = Path(sys.prefix) / "bench-setup.json"
    reasons: dict[str, str] = json.loads(record.read_text(encoding="utf-8")) if record.exists() else {}
    name = peer.distribution or "libfcgi"
    absent = shutil.which(peer.arguments("", "hello")[0]) is None
    if not absent and (peer.distribution is None or versions([peer])):
        return None
    return reasons.get(name) or "not installed in this environment: run bench/setup.sh"
