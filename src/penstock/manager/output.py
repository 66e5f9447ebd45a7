"""This file brings the stray output of workers into the log: prints, tracebacks, what C libraries write to 1 and 2.

Each worker slot and the template have a pipe of their own, which the supervisor makes before it forks: so the lines of
two workers never mix, and the supervisor knows whose they are. A pipe and not a socket, because /dev/stdout can be
opened when it is a pipe. Access lines do not come this way: they go from the worker to the log in one write.

    reader, writer = make_pipe(identity)                            supervisor, for each slot
    capture(writer)                                                 template or worker, after the fork
    output = OutputReader(reader, lambda: "blog 4711", log.write)   supervisor; on_readable() whenever it is readable

The worker's end of the pipe blocks: print() breaks with BlockingIOError on one that does not. A full pipe would stop a
request, so the supervisor always reads on, and what is too much is dropped and counted, not left in the pipe. It
never waits itself: its end of the pipe is another open file than the worker's, so that no O_NONBLOCK set or removed
over there reaches it, and `write` has to be of a kind that loses lines sooner than it waits (server/lines.py).
"""

from __future__ import annotations

import os
import re
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Final, final

from penstock.manager.privileges import Identity

LONGEST_LINE: Final = 16 * 1024
"""Bytes of a line that are shown, as many as Docker keeps together; of the rest only the number is told."""

RATE: Final = 2 * 1024 * 1024
"""Bytes a second that one process may write for long; a line counts _LINE more, so that short ones are no way round."""

BURST: Final = 4 * RATE
"""Bytes it may write at once."""

_LINE: Final = 100
_TURN: Final = 8 * 1024  # some milliseconds of work, should all its lines be empty
_FLOOD_TURN: Final = 64 * 1024
_MOST_LEFT: Final = 16  # turns; a pipe holds 64 KiB
_PAUSE: Final = 0.01

# C0 but TAB, DEL, and C1 as UTF-8 has it: a terminal obeys them, and so does the one that the log is read at later.
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]|\xc2[\x80-\x9f]")
# A line of a JSON logger, which a program will read: no name before it, and not a byte changed. C0 it cannot hold.
_JSON: Final = re.compile(rb"\{[^\x00-\x1f]*\}")
_PRIORITY: Final = re.compile(rb"<[0-7]>")


def make_pipe(identity: Identity | None = None) -> tuple[int, int]:
    """Make a pipe: the supervisor's end, which does not block, and the end for `capture`.

    It is given to the user that the workers become, for only its owner may open /dev/stdout, which is the pipe again.
    """
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    if identity is not None and os.geteuid() == 0:
        os.fchown(writer, identity.uid, identity.gid)
    return reader, writer


def capture(writer: int) -> None:
    """Let descriptors 1 and 2 of this process lead into the pipe; what has to go elsewhere needs a copy made before.

    The number `writer` stays open: the template needs it for the next worker.
    """
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    for number in (1, 2):
        os.dup2(writer, number)
    # Python chose at its start how to buffer, by what 1 led to then. A line must not wait until the process ends.
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(line_buffering=True)


@final
class OutputReader:
    """Turns what one process writes into lines of the log: named, limited in length and in number.

    Control characters become \\xNN, except in JSON, where only a terminal is protected from them.

    Args:
        fd: the supervisor's end of the pipe; closed by `close`.
        name: says whose line it is, asked for each time: "blog 4711".
        write: takes each line, with its end, and never waits.
        terminal: the log is a terminal.
        journal: the log is the journal, so a line's own priority, as in "<4>text", stays in front (sd-daemon(3)).

    Attributes:
        lost: lines that were too many, since the beginning.
        pause: 0.0, but in a flood the seconds to leave the pipe alone for, after which to call `on_readable` whether
            it is readable or not. Each turn takes all that the pipe holds then, and what slows down is the process that
            floods it (to some 6 MB a second); reading as fast as it writes would cost the supervisor a whole core.
    """

    __slots__ = (
        "_allowance", "_checked", "_cut", "_journal", "_line", "_name", "_terminal", "_torn", "_untold",
        "_write", "fd", "lost", "pause",
    )  # fmt: skip

    def __init__(
        self,
        fd: int,
        name: Callable[[], str],
        write: Callable[[bytes], object],
        *,
        terminal: bool = False,
        journal: bool = False,
    ) -> None:
        self.fd = fd
        self.lost = 0
        self.pause = 0.0
        self._name = name
        self._write = write
        self._terminal = terminal
        self._journal = journal
        self._line = bytearray()  # begun and not ended
        self._cut = 0  # bytes that it has beyond LONGEST_LINE
        self._allowance = float(BURST)
        self._checked = time.monotonic()
        self._torn = False  # a line was dropped whose end has not come yet
        self._untold = 0

    def on_readable(self) -> bool:
        """Take some of what is there and come back; false when all writers have closed their end."""
        try:
            return self._read()
        except BlockingIOError:
            if self.pause and self._is_allowed():
                self._calm()
            return True

    def close(self) -> None:
        """Read what is left of a process that has ended, show it, and close; again is harmless."""
        if self.fd < 0:
            return
        # Bounded, for a program that the worker has started may have the pipe open and go on writing.
        with suppress(BlockingIOError):
            for _ in range(_MOST_LEFT):
                if not self._read():
                    break
        if self._line:
            self._show()
        self._lose(self._torn)
        self._tell()
        os.close(self.fd)
        self.fd = -1

    def _read(self) -> bool:
        allowed = self._is_allowed()
        data = os.read(self.fd, _TURN if allowed else _FLOOD_TURN)
        if data and allowed:
            self._allowance -= len(data) + _LINE * data.count(b"\n")
            self._take(data)
        elif data:
            self._drop(data)
        return bool(data)

    def _is_allowed(self) -> bool:
        """Whether it may write more. If it was too much, a second's worth must have been saved: no shreds of lines."""
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._checked) * RATE)
        self._checked = now
        return self._allowance >= (RATE if self.pause else 0)

    def _drop(self, data: bytes) -> None:
        self.pause = _PAUSE
        if self._line:
            head, end, data = data.partition(b"\n")
            self._append(head)
            if not end:
                return
            self._show()
        self._lose(data.count(b"\n"))
        if data:
            self._torn = not data.endswith(b"\n")

    def _lose(self, lines: int) -> None:
        self.lost += lines
        self._untold += lines

    def _take(self, data: bytes) -> None:
        if self._torn:
            _, end, data = data.partition(b"\n")
            if not end:
                return
            self._lose(1)
            self._torn = False
        self._calm()
        *ended, begun = data.split(b"\n")
        for part in ended:
            self._append(part)
            self._show()
        self._append(begun)

    def _append(self, part: bytes) -> None:
        room = LONGEST_LINE - len(self._line)
        self._line += part[:room]
        self._cut += max(0, len(part) - room)

    def _show(self) -> None:
        line, cut = bytes(self._line).removesuffix(b"\r"), self._cut
        self._line.clear()
        self._cut = 0
        if cut:
            line += b" [... %d bytes more]" % cut
        elif not self._terminal and _JSON.fullmatch(line):
            self._write(line + b"\n")
            return
        self._write(self._named(line))

    def _named(self, line: bytes) -> bytes:
        priority = b""
        if self._journal and _PRIORITY.match(line):
            priority, line = line[:3], line[3:]
        line = _CONTROLS.sub(lambda found: b"\\x%02x" % found[0][-1], line)
        return b"%s[%s] %s\n" % (priority, self._name().encode("utf-8", "backslashreplace"), line)

    def _calm(self) -> None:
        self.pause = 0.0
        self._tell()

    def _tell(self) -> None:
        if self._untold:
            self._write(self._named(b"%d lines lost, as more came than the log can take" % self._untold))
            self._untold = 0
