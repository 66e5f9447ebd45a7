"""This file lists who takes part in the trials: how each is started, and its own way to be reloaded and stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket as sockets
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import measure, peers
from bench.peers import Peer

if TYPE_CHECKING:
    from collections.abc import Callable

PARENT, TOUCHED = 1, "touch"  # the parent's place in /proc/PID/stat after the command's closing parenthesis
WORKERS = 4


def children(master: int, socket: str) -> list[int]:  # noqa: ARG001 - one interface for all ways to find workers
    """The processes that the master has started."""
    return [pid for pid, stat in measure.members(master).items() if int(stat[PARENT]) == master]


def spawned(master: int, socket: str) -> list[int]:
    """Python's spawned processes alone: its resource tracker is a child too, and no worker."""
    return [pid for pid in children(master, socket) if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def listed(master: int, socket: str) -> list[int]:  # noqa: ARG001
    """The workers that penstock's supervisor names: its children are templates as well."""
    with sockets.socket(sockets.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(socket + ".control")
        connection.sendall(b'{"command": "status"}\n')
        with connection.makefile("rb") as answer:
            status = json.loads(answer.readline())
    return [worker["pid"] for pool in status["status"]["pools"] for worker in pool["workers"]]


@dataclass(frozen=True)
class Contender(Peer):
    """One server as a site runs it: a master and four workers.

    ``command`` is filled in with {bin}, {python}, {prefix} (this environment), {socket}, {folder} (the application's).
    ``reload`` is a signal to the master, or None: touch the file ``touch`` in {folder}.
    """

    reload: signal.Signals | None = signal.SIGHUP
    stop: signal.Signals = signal.SIGTERM
    reload_text: str = "SIGHUP"
    stop_text: str = "SIGTERM"
    workers: Callable[[int, str], list[int]] = children

    def arguments(self, socket: str, load: str = "") -> list[str]:  # noqa: ARG002 - there is one application
        """The command line on ``socket``, whose folder has the application."""
        words = {"bin": peers.BIN, "python": sys.executable, "prefix": sys.prefix, "php_fpm": php_fpm() or "php-fpm"}
        return [part.format(socket=socket, folder=Path(socket).parent, **words) for part in self.command]


def php_fpm() -> str | None:
    """The program, which Debian calls php-fpm8.2 and the like; None where there is none."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
    found = shutil.which("php-fpm", path=path)
    if found is None:
        programs = [program for folder in path.split(":") for program in Path(folder).glob("php-fpm[0-9]*")]
        found = str(max(programs, key=lambda program: program.name)) if programs else None
    return found


def versions(contenders: list[Contender]) -> dict[str, str]:
    """The version of what each contender needs, by its distribution; php-fpm says its own."""
    found = peers.versions([*contenders])
    if (program := php_fpm()) is not None:
        said = subprocess.run([program, "-v"], capture_output=True, text=True, check=False).stdout
        if version := re.match(r"PHP (\S+)", said):
            found["php-fpm"] = version[1]
    return found


def missing(contender: Contender) -> str | None:
    """Why ``contender`` cannot be started here, or None."""
    if contender.distribution != "php-fpm":
        return peers.missing(contender)
    return None if php_fpm() else "not installed: bench/setup.sh installs it as root (Debian: php-fpm)"


def _uwsgi(*options: str) -> tuple[str, ...]:
    app = ("--chdir", "{folder}", "--module", "app", "--virtualenv", "{prefix}", "--need-app", "--disable-logging")
    # Unless told otherwise, SIGTERM reloads uWSGI, and workers outlive a master that was killed.
    stop = ("--no-orphans", "--hook-master-start", "unix_signal:15 gracefully_kill_them_all")
    return ("{bin}/uwsgi", "--uwsgi-socket", "{socket}", "--master", "--processes", "4", *app, *stop, *options)


def _gunicorn(*options: str) -> tuple[str, ...]:
    return ("{bin}/gunicorn", "--bind", "unix:{socket}", "--workers", "4", *options, "app:application")


PENSTOCK = ("{bin}/penstock", "serve", "app:application", "--bind", "unix:{socket}", "--workers", "4")
UVICORN = ("{bin}/uvicorn", "--uds", "{socket}", "--workers", "4", "--no-access-log", "--log-level", "warning")
PHP_FPM = ("{php_fpm}", "--nodaemonize", "--allow-to-run-as-root", "--fpm-config", "{folder}/php-fpm.conf")
GRACEFUL = "SIGTERM, by its hook gracefully_kill_them_all"

CONTENDERS = (
    Contender("penstock", "penstock", "fastcgi", (*PENSTOCK, "--no-access-log"), "4 workers", workers=listed),
    Contender("uwsgi", "uwsgi", "uwsgi", _uwsgi(), "master, 4 processes", stop_text=GRACEFUL),
    Contender(
        "uwsgi-chain",
        "uwsgi",
        "uwsgi",
        _uwsgi("--lazy-apps", "--touch-chain-reload", "{folder}/" + TOUCHED),
        "master, 4 processes with --lazy-apps",
        reload=None,
        reload_text="touch of the --touch-chain-reload file",
        stop_text=GRACEFUL,
    ),
    Contender("gunicorn-sync", "gunicorn", "http", _gunicorn("--worker-class", "sync"), "4 workers"),
    Contender("gunicorn-gthread", "gunicorn", "http", _gunicorn("--threads", "4"), "4 workers with 4 threads"),
    Contender("uvicorn", "uvicorn", "http", (*UVICORN, "app:asgi"), "4 workers, ASGI on uvloop", workers=spawned),
    Contender(
        "php-fpm",
        "php-fpm",
        "fastcgi",
        (*PHP_FPM, "-d", "opcache.preload={folder}/release.php", "-d", "opcache.preload_user=root"),
        "4 static children, release.php preloaded by opcache",
        keep=False,
        script="index.php",
        reload=signal.SIGUSR2,
        reload_text="SIGUSR2",
        stop=signal.SIGQUIT,
        stop_text="SIGQUIT",
    ),
)
