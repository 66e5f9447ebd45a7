"""This file writes log lines without ever waiting for whoever reads them: what cannot go out is counted."""

from __future__ import annotations

import logging
import os
import select
import stat
import sys
import threading
from typing import Final, final

PIECE: Final = 4096
"""What a pipe that select() calls writable takes at once: PIPE_BUF of Linux, and no less than that elsewhere."""


def _is_pipe(fd: int) -> bool:
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


@final
class LineWriter:
    """Writes lines to a descriptor.

    A line that cannot be written is lost and counted, and the next line that can be says how many are missing. It also
    ends a line that went out in part, as happens on a full disk.

    Args:
        fd: where the lines go.
        notice: the line for what is missing, with %d for the number.
    """

    def __init__(self, fd: int, notice: str = "# %d lines lost\n") -> None:
        self._fd = fd
        self._is_pipe = _is_pipe(fd)
        self._notice = notice
        self._lost = 0
        self._torn = False
        self._lock = threading.Lock()

    def write(self, line: bytes) -> None:
        """Write a line, with its end; one of up to PIECE bytes goes out in one write."""
        if self._lost:
            self._write_after_loss(line)
            return
        written = self._put(line)
        if written != len(line):
            with self._lock:
                self._lost += 1
                self._torn = self._torn or written > 0

    def _put(self, data: bytes) -> int:
        """Write, if that does not have to wait: whoever reads the log and has stopped must not stop the server."""
        try:
            if not self._is_pipe:
                return os.write(self._fd, data)
            if len(data) > PIECE:
                return self._put_pieces(data)
            return os.write(self._fd, data) if select.select((), (self._fd,), (), 0)[1] else 0
        except (OSError, ValueError):
            return 0

    def _put_pieces(self, data: bytes) -> int:
        written = 0
        while written < len(data):
            piece = self._put(data[written : written + PIECE])
            if not piece:
                break
            written += piece
        return written

    def _write_after_loss(self, line: bytes) -> None:
        with self._lock:
            notice = (self._notice % self._lost).encode("ascii") if self._lost else b""
            data = (b"\n" if self._torn else b"") + notice + line
            written = self._put(data)
            if written == len(data):
                self._lost, self._torn = 0, False
            else:
                self._lost += 1
                self._torn = self._torn or written > 0


@final
class LineHandler(logging.Handler):
    """Sends log records to a descriptor by way of a LineWriter."""

    def __init__(self, fd: int) -> None:
        super().__init__()
        self._writer = LineWriter(fd)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._writer.write(f"{self.format(record)}\n".encode("utf-8", "backslashreplace"))
        except Exception:
            self.handleError(record)


def stderr_handler() -> logging.Handler:
    """A handler for standard error: one that does not wait where this is a file of the system's."""
    try:
        fd = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        # A program, or a test, has put something of its own in its place.
        return logging.StreamHandler()
    return LineHandler(fd)
