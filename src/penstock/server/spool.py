"""This file keeps a request body: in memory while it is small, in an unlinked temporary file when it is not."""

from __future__ import annotations

import io
import os
from collections import deque
from typing import BinaryIO


class Spool:
    """Bytes that are written at the end and read from the front.

        memory: [unread chunk][unread chunk] ...     or, once they outgrow it,     file: <read> | <unread> ...

    Args:
        memory: bytes kept in memory; beyond that, everything unread moves to a file that has no name and that dies with
            its descriptor.
    """

    __slots__ = ("_chunks", "_file", "_memory", "_read_at", "received", "unread")

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._chunks: deque[bytes] = deque()
        self._file: io.FileIO | None = None
        self._read_at = 0
        self.received = 0
        self.unread = 0

    def write(self, content: bytes) -> None:
        """Append.

        Raises:
            OSError: the disk is full, or no file can be made.
        """
        self.received += len(content)
        self.unread += len(content)
        if self._file is None:
            self._chunks.append(content)
            if self.unread <= self._memory:
                return
            self._file = _unlinked_file()
            content = b"".join(self._chunks)
            self._chunks.clear()
        _write_all(self._file, content)

    def read(self, size: int) -> bytes:
        """The next bytes, at most `size`; empty when everything written so far has been read."""
        if self._file is not None:
            chunk = os.pread(self._file.fileno(), size, self._read_at)
            self._read_at += len(chunk)
        elif self._chunks:
            chunk = self._chunks.popleft()
            if len(chunk) > size:
                self._chunks.appendleft(chunk[size:])
                chunk = chunk[:size]
        else:
            return b""
        self.unread -= len(chunk)
        if not self.unread and self._file is not None:
            # All read: the disk space goes back, and what comes next is small again until it is not.
            self.close()
        return chunk

    def whole(self) -> BinaryIO:
        """The body as a binary file at its beginning, once all of it has been written and none of it read."""
        if self._file is None:
            chunks = self._chunks
            return io.BytesIO(chunks[0] if len(chunks) == 1 else b"".join(chunks))
        self._file.seek(0)
        return io.BufferedReader(self._file, 65536)

    def close(self) -> None:
        """Forget what is unread and give memory and disk space back."""
        self._chunks.clear()
        self._read_at = 0
        if self._file is not None:
            self._file.close()
            self._file = None


def _unlinked_file() -> io.FileIO:
    # Imported late because few bodies come this far, and a CGI child pays for every import.
    from tempfile import TemporaryFile

    file = TemporaryFile(buffering=0, prefix="penstock-")  # noqa: SIM115 - it lives as long as its spool
    assert isinstance(file, io.FileIO)
    return file


def _write_all(file: io.FileIO, content: bytes) -> None:
    view = memoryview(content)
    while view:
        written = file.write(view)
        view = view[written or 0 :]
