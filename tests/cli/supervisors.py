"""This file stands in for a supervisor: a real unix socket that speaks the control protocol, and a status to show."""

from __future__ import annotations

import copy
import json
import socket
import threading
from pathlib import Path
from typing import Any

STATUS: dict[str, Any] = {
    "version": "0.1.0",
    "pid": 4711,
    "uptime": 8123.4,
    "generation": 3,
    "reloads": {"ok": 2, "failed": 1},
    "last_reload": {
        "ok": False,
        "at": "2026-03-01T12:00:00+00:00",
        "error": "Traceback:\n  import nope <b>\nImportError",
    },
    "requests": 1234567,
    "pools": [
        {
            "name": "blog",
            "app": "blog:app",
            "bind": ["unix:/run/blog.sock", "127.0.0.1:9000"],
            "queue": {"pending": 3, "limit": 2048},
            "min": 2,
            "max": 8,
            "requests": 1234000,
            "state": "serving",
            "generation": 3,
            "workers": [
                {
                    "pid": 4801,
                    "generation": 3,
                    "state": "busy",
                    "requests": 5120,
                    "request": "GET /<script>alert(1)</script>",
                    "since": 0.31,
                    "rss": 35651584,
                    "cpu": 12.4,
                    "active": 1,
                },
                {
                    "pid": 4710,
                    "generation": 2,
                    "state": "leaving",
                    "requests": 99120,
                    "request": "POST /\u202etxt.exe\x1b]2;x\x07[red]",
                    "since": 65.0,
                    "rss": 99700160,
                    "cpu": 4000.0,
                    "active": 1,
                },
            ],
        },
        {
            "name": "shop",
            "app": "shop.wsgi",
            "bind": ["unix:/run/shop.sock"],
            "queue": {"pending": None, "limit": None},
            "min": 0,
            "max": 4,
            "requests": 567,
            "state": "backing off",
            "generation": 1,
            "workers": [],
        },
    ],
    "log_lines_dropped": 0,
    "spawns": 14,
    "exits": {"exit status 0": 9, "SIGKILL": 1},
    "slow_requests": 2,
    "timeouts": 1,
}


def a_status() -> dict[str, Any]:
    """A copy, to be changed."""
    return copy.deepcopy(STATUS)


class FakeSupervisor:
    """Listens on a control socket and answers each command with what it was given for it.

    Attributes:
        asked: the commands, as they came.
        answers: by command: an object, bytes as they are to be sent, or None for silence and the end.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[dict[str, Any]] = []
        self.answers: dict[str, dict[str, Any] | bytes | None] = {
            "ping": {"ok": True, "pid": 4711},
            "status": {"ok": True, "status": STATUS},
            "reload": {"ok": True},
            "stop": {"ok": True},
            "reopen": {"ok": True},
        }
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with sock, sock.makefile("rb") as lines:
                line = lines.readline()
                if not line:
                    continue
                command = json.loads(line)
                self.asked.append(command)
                answer = self.answers[command["command"]]
                if answer is not None:
                    sock.sendall(answer if isinstance(answer, bytes) else json.dumps(answer).encode() + b"\n")

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
