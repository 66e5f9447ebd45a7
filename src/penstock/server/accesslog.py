"""This file writes the access log: one line a request, in one write, that no request can forge."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from typing import Final, Protocol

from penstock.protocol.spec import Role
from penstock.server.lines import LineWriter

# Everything but printable ASCII, and the two characters that would end or confuse a quoted field.
_UNSAFE: Final = re.compile(r"[^ -~]|[\"\\]")


def escape(text: str) -> str:
    """Text for a quoted field of a log line: unsafe bytes become \\xNN, so a line stays one line with one meaning."""
    return _UNSAFE.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


class Logged(Protocol):
    """What a line tells of a request; attributes as in `gateways.request`."""

    @property
    def params(self) -> dict[str, str]: ...
    @property
    def role(self) -> Role: ...
    @property
    def status(self) -> int: ...
    @property
    def body_length(self) -> int: ...
    @property
    def reference(self) -> str: ...


class AccessLog:
    """Writes a line for each request to a descriptor, as `LineWriter` does.

    Args:
        fd: where the lines go.
        style: "text" or "json".

    Raises:
        ValueError: there is no such style.
    """

    def __init__(self, fd: int, style: str = "text") -> None:
        styles: dict[str, Callable[[Logged, float], str]] = {
            "text": self._text_line,
            "json": self._json_line,
        }
        if style not in styles:
            raise ValueError(f"there is no access log format {style!r}; use text or json")
        self._line = styles[style]
        self._write = LineWriter(fd, '{"lost": %d}\n' if style == "json" else "# %d lines lost\n").write
        self._second = -1
        self._stamp = ""

    def write(self, request: Logged, seconds: float = 0.0) -> None:
        """Log a request that has ended; `seconds` is how long its handler took."""
        self._write(self._line(request, seconds).encode("ascii"))

    def _time(self) -> str:
        now = time.time()
        second = int(now)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(second))
            self._second = second
        return self._stamp

    def _text_line(self, request: Logged, seconds: float) -> str:
        params = request.params
        line = (
            f"{self._time()} {escape(params.get('REMOTE_ADDR') or '-').replace(' ', '_')} "
            f'"{escape(params.get("REQUEST_METHOD") or "-")} {escape(_target(params))}" '
            f"{request.status or '-'} {request.body_length}B {seconds * 1000:.1f}ms"
        )
        return f"{line} {request.reference}\n" if request.reference else f"{line}\n"

    def _json_line(self, request: Logged, seconds: float) -> str:
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
