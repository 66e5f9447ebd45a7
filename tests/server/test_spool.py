"""Tests of the spool: bytes come out as they went in, wherever they were kept meanwhile."""

from __future__ import annotations

import errno
import os
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.server.spool import Spool


def files() -> int:
    """How many unlinked files this process has open."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        try:
            links.append(os.readlink(f"/proc/self/fd/{number}"))
        except OSError:
            continue
    return sum(("deleted" in link and "penstock-" in link) or "/tmp/#" in link for link in links)


def in_file(spool: Spool) -> bool:
    return spool._file is not None


def test_a_small_body_stays_in_memory():
    spool = Spool(100)
    spool.write(b"a" * 60)
    spool.write(b"b" * 40)
    assert not in_file(spool)
    assert spool.whole().read() == b"a" * 60 + b"b" * 40


def test_a_larger_one_goes_to_a_file_without_a_name_that_ends_with_the_spool(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = len(os.listdir("/proc/self/fd"))
    spool = Spool(100)
    for _ in range(3):
        spool.write(b"0123456789" * 5)
    assert in_file(spool)
    assert os.listdir(tmp_path) == []
    assert len(os.listdir("/proc/self/fd")) == before + 1
    body = spool.whole()
    assert body.readline(7) == b"0123456"
    assert body.read() == b"789" + b"0123456789" * 14
    assert body.read() == b""
    spool.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_an_empty_spool_reads_empty():
    spool = Spool(10)
    assert spool.read(5) == b""
    assert spool.whole().read() == b""
    spool.close()
    spool.close()


def test_what_has_been_read_counts_no_more_and_gives_the_disk_back():
    spool = Spool(10)
    spool.write(b"x" * 8)
    assert spool.read(100) == b"x" * 8
    spool.write(b"y" * 8)
    assert not in_file(spool)
    spool.write(b"z" * 8)
    assert in_file(spool)
    assert spool.read(100) == b"y" * 8 + b"z" * 8
    assert not in_file(spool)
    assert (spool.received, spool.unread) == (24, 0)
    spool.write(b"again")
    assert not in_file(spool)
    assert spool.read(100) == b"again"


def test_no_room_is_an_oserror(monkeypatch):
    class Full:
        def write(self, data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self):
            pass

    monkeypatch.setattr("penstock.server.spool._unlinked_file", Full)
    spool = Spool(10)
    spool.write(b"x" * 10)
    with pytest.raises(OSError, match="No space left"):
        spool.write(b"x")
    spool.close()


def test_a_disk_that_takes_little_at_a_time_gets_it_all(monkeypatch):
    from penstock.server import spool as module

    real = module._unlinked_file

    class Slow:
        def __init__(self):
            self.file = real()

        def write(self, data):
            return self.file.write(bytes(data[:3]))

        def __getattr__(self, name):
            return getattr(self.file, name)

    monkeypatch.setattr(module, "_unlinked_file", Slow)
    spool = Spool(4)
    spool.write(b"0123456789")
    assert spool.read(100) == b"0123456789"
    spool.close()


@given(st.lists(st.binary(max_size=50), max_size=30), st.integers(0, 200))
def test_a_whole_body_is_what_was_written(pieces, memory):
    spool = Spool(memory)
    for piece in pieces:
        spool.write(piece)
    size = sum(map(len, pieces))
    assert in_file(spool) == (size > memory)
    assert spool.received == spool.unread == size
    body = spool.whole()
    assert body.read() == b"".join(pieces)
    spool.close()


moves = st.lists(st.binary(min_size=1, max_size=60) | st.integers(1, 60), max_size=60)


@given(moves, st.integers(0, 100))
def test_reading_while_writing_gives_the_bytes_in_order(steps, memory):
    spool = Spool(memory)
    written = bytearray()
    read = bytearray()
    for step in steps:
        if isinstance(step, bytes):
            spool.write(step)
            written += step
        else:
            chunk = spool.read(step)
            assert len(chunk) <= step
            assert chunk or len(read) == len(written)
            read += chunk
        assert written.startswith(read)
        assert spool.unread == len(written) - len(read)
        assert spool.received == len(written)
    while chunk := spool.read(7):
        read += chunk
    assert read == written
    spool.close()
    assert spool.read(10) == b""


def test_spools_that_are_closed_leave_no_file():
    before = files()
    for _ in range(5):
        spool = Spool(1)
        spool.write(b"xx")
        spool.close()
    assert files() == before
