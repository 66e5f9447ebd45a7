"""This file writes the access log: one line a request, in one write, that no request can forge."""

from __future__ import annotations

import json
import os
import re
import select
import stat
import threading
import time
from collections.abc import Callable
from typing import Final

from penstock.gateways.request import AsyncRequest, Request

# Everything but printable ASCII, and the two characters that would end or confuse a quoted field.
_UNSAFE: Final = re.compile(r"[^ -~]|[\"\\]")


def escape(text: str) -> str:
    """Text for a quoted field of a log line: unsafe bytes become \\xNN, so a line stays one line with one meaning."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def _is_pipe(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


class AccessLog:
    """Writes a line for each request to a descriptor.

    A line that cannot be written is lost and counted, and the next line that can be says how many are missing. It also
    ends a line that went out in part, as happens on a full disk.

    Args:
        fd: where the lines go.
        style: "text" or "json".

    Raises:
        ValueError: there is no such style.
    """

    def __init__(self, fd: int, style: str = "text") -> None:
        styles: dict[str, Callable[[Request | AsyncRequest, float], str]] = {
            "text": self._text_line,
            "json": self._json_line,
        }
        if style not in styles:
            raise ValueError(f"there is no access log format {style!r}; use text or json")
        self._fd = fd
        # A pipe that select() calls writable takes a line of up to 4 KiB at once (PIPE_BUF), whole.
        self._is_pipe = _is_pipe(fd)
        self._line = styles[style]
        self._notice = '{"lost": %d}\n' if style == "json" else "# %d lines lost\n"
        self._second = -1
        self._stamp = ""
        self._lost = 0
        self._torn = False
        self._lock = threading.Lock()

    def write(self, request: Request | AsyncRequest, seconds: float) -> None:
        """Log a request that has ended; `seconds` is how long its handler took."""
        line = self._line(request, seconds)
        if self._lost:
            self._write_after_loss(line)
            return
        data = line.encode("ascii")
        written = self._put(data)
        if written != len(data):
            with self._lock:
                self._lost += 1
                self._torn = self._torn or written > 0

    def _put(self, data: bytes) -> int:
        """Write, if that does not have to wait: whoever reads the log and has stopped must not stop the server."""
        try:
            if self._is_pipe and not select.select((), (self._fd,), (), 0)[1]:
                return 0
            return os.write(self._fd, data)
        except OSError:
            return 0

    def _write_after_loss(self, line: str) -> None:
        with self._lock:
            notice = (self._notice % self._lost) if self._lost else ""
            data = (("\n" if self._torn else "") + notice + line).encode("ascii")
            written = self._put(data)
            if written == len(data):
                self._lost, self._torn = 0, False
            else:
                self._lost += 1
                self._torn = self._torn or written > 0

    def _time(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(second))
            self._second = second
        return self._stamp

    def _text_line(self, request: Request | AsyncRequest, seconds: float) -> str:
        params = request.params
        line = (
            f"{self._time()} {escape(params.get('REMOTE_ADDR') or '-').replace(' ', '_')} "
            f'"{escape(params.get("REQUEST_METHOD") or "-")} {escape(_target(params))}" '
            f"{request.status or '-'} {request.body_length}B {seconds * 1000:.1f}ms"
        )
        return f"{line} {request.reference}\n" if request.reference else f"{line}\n"

    def _json_line(self, request: Request | AsyncRequest, seconds: float) -> str:
        params = request.params
        fields: dict[str, object] = {
            "time": self._time(),
            "remote": params.get("REMOTE_ADDR", ""),
            "method": params.get("REQUEST_METHOD", ""),
            "uri": _target(params),
            "protocol": params.get("SERVER_PROTOCOL", ""),
            "role": request.role.name.lower(),
            "status": request.status,
            "bytes": request.body_length,
            "ms": round(seconds * 1000, 3),
            "referer": params.get("HTTP_REFERER", ""),
            "agent": params.get("HTTP_USER_AGENT", ""),
        }
        if request.reference:
            fields["reference"] = request.reference
        return json.dumps(fields, ensure_ascii=True) + "\n"


def _target(params: dict[str, str]) -> str:
    """What the client asked for, as it was sent where the web server says so."""
    uri = params.get("REQUEST_URI")
    if uri:
        return uri
    query = params.get("QUERY_STRING")
    path = params.get("SCRIPT_NAME", "") + params.get("PATH_INFO", "")
    return f"{path}?{query}" if query else path or "-"
