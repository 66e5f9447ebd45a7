"""Tests of how lines are written: whoever reads them and has stopped, stops nobody."""

from __future__ import annotations

import io
import logging
import os
import socket
import sys
import threading

import pytest

from penstock.server.lines import PIECE, LineHandler, LineWriter, stderr_handler
from tests.processes import PATIENCE
from tests.server.peers import Peer, request


@pytest.fixture
def pipe():
    """A pipe whose ends both block, as those of supervisors do."""
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def fill(fd: int) -> int:
    """Leave no room in it for a byte more; how many went in."""
    os.set_blocking(fd, False)
    size = 0
    for piece in (4096, 1):
        try:
            while True:
                size += os.write(fd, b"\n" * piece)
        except BlockingIOError:
            continue
    os.set_blocking(fd, True)
    return size


def in_time(act) -> None:
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), "it waits for the reader"


def test_a_full_pipe_loses_lines_and_the_next_one_says_how_many(pipe):
    writer = LineWriter(pipe[1])
    filled = fill(pipe[1])
    for _ in range(3):
        in_time(lambda: writer.write(b"lost\n"))
    os.read(pipe[0], filled)
    writer.write(b"next\n")
    assert os.read(pipe[0], 100) == b"# 3 lines lost\nnext\n"


def test_a_line_longer_than_a_pipe_takes_at_once_does_not_wait_either(pipe):
    writer = LineWriter(pipe[1])
    long = b"x" * (1 << 20) + b"\n"
    in_time(lambda: writer.write(long))
    part = os.read(pipe[0], 1 << 20)
    assert set(part) == {ord("x")}
    writer.write(b"next\n")
    assert os.read(pipe[0], 100) == b"\n# 1 lines lost\nnext\n"


def test_a_traceback_of_some_length_arrives_whole(pipe):
    line = b"t" * (PIECE * 5) + b"\n"
    LineWriter(pipe[1]).write(line)
    assert os.read(pipe[0], 1 << 20) == line


def test_records_go_out_formatted_and_what_is_no_text_is_escaped(pipe):
    handler = LineHandler(pipe[1])
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    handler.handle(logging.LogRecord("penstock", logging.WARNING, "", 0, "odd \udcff %d", (5,), None))
    assert os.read(pipe[0], 100) == b"WARNING odd \\udcff 5\n"


def test_standard_error_that_is_no_file_of_the_system_is_written_to_as_python_does(monkeypatch):
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert type(stderr_handler()) is logging.StreamHandler


PROGRAM = """
import os, penstock

def app(environ, start_response):
    raise LookupError("x" * 3000)

unread, log = os.pipe()
os.dup2(log, 2)
penstock.serve(app, bind="unix:sock", access_log=False, on_ready=lambda _: print("ready", flush=True))
"""


def test_a_server_goes_on_answering_though_nobody_reads_its_log(processes, sock_dir):
    process = processes.start(sys.executable, "-c", PROGRAM, cwd=sock_dir)
    process.wait_for("ready")
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(PATIENCE)
    sock.connect(str(sock_dir / "sock"))
    with Peer(sock) as peer:
        for _ in range(100):  # each with a traceback: more than any pipe holds
            assert peer.send(request()).answer().status == 500
    assert process.stop() == 0
