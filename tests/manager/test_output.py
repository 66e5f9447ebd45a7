"""Tests of captured output: whose line it is, what is left as it was, and that nobody ever waits for anybody."""

from __future__ import annotations

import json
import os
import sys
import time

import pytest

from penstock.manager import output
from penstock.manager.output import BURST, LONGEST_LINE, RATE, OutputReader, capture, make_pipe
from penstock.manager.privileges import drop_privileges, find_identity
from penstock.server.lines import LineWriter
from tests.manager.forked import in_child
from tests.processes import ROOT

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")


class Captured:
    """A reader, the writing end of its pipe, and the lines that came out."""

    def __init__(self, **options: bool) -> None:
        fd, self.writer = make_pipe()
        self.name = "blog 7"
        self.lines: list[bytes] = []
        self.reader = OutputReader(fd, lambda: self.name, self.lines.append, **options)

    def after(self, *writes: bytes) -> list[bytes]:
        """The new lines after each of these was written and read."""
        self.lines.clear()
        for data in writes:
            os.write(self.writer, data)
            for _ in range(len(data) // 8192 + 1):
                assert self.reader.on_readable()
        return self.lines

    def close(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1
        self.reader.close()


@pytest.fixture
def captured():
    made = Captured()
    yield made
    made.close()


@pytest.fixture
def clock(monkeypatch):
    """The seconds that have passed, to be moved by the test."""

    class Clock:
        now = 0.0

        def monotonic(self) -> float:
            return self.now

    made = Clock()
    monkeypatch.setattr(output, "time", made)
    return made


def run_captured(captured: Captured, function) -> list[bytes]:
    """The lines of a forked child that runs the function with its output captured."""

    def child() -> None:
        os.close(captured.reader.fd)
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # those of pytest lead elsewhere
        capture(captured.writer)
        os.close(captured.writer)
        function()

    in_child(child)
    os.close(captured.writer)
    captured.writer = -1
    while captured.reader.on_readable():
        pass
    return captured.lines


def test_each_line_says_whose_it_is(captured):
    assert captured.after(b"one\ntwo\n") == [b"[blog 7] one\n", b"[blog 7] two\n"]
    captured.name = "blog 8"
    assert captured.after(b"three\n") == [b"[blog 8] three\n"]


def test_a_line_may_come_in_parts(captured):
    assert captured.after(b"on", b"e") == []
    assert captured.after(b"\ntw", b"o\n") == [b"[blog 7] one\n", b"[blog 7] two\n"]


def test_the_end_comes_when_all_writers_have_closed_and_shows_what_was_begun(captured):
    captured.after(b"Segmentation fau")
    assert captured.reader.on_readable()  # nothing is there
    os.close(captured.writer)
    captured.writer = -1
    assert not captured.reader.on_readable()
    assert captured.lines == []
    captured.reader.close()
    assert captured.lines == [b"[blog 7] Segmentation fau\n"]
    captured.reader.close()


def test_closing_reads_what_is_left_though_a_writer_lives(captured):
    os.write(captured.writer, b"last words\n")
    captured.reader.close()
    assert captured.lines == [b"[blog 7] last words\n"]


def test_a_traceback_stays_readable(captured):
    def fail():
        sys.excepthook(*_caught())

    def _caught():
        try:
            raise KeyError("the key")
        except KeyError:
            return sys.exc_info()

    lines = run_captured(captured, fail)
    assert lines[0] == b"[blog 7] Traceback (most recent call last):\n"
    assert lines[1].startswith(b'[blog 7]   File "')
    assert lines[-1] == b"[blog 7] KeyError: 'the key'\n"


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"\x1b[31mred\x1b[0m", b"\\x1b[31mred\\x1b[0m"),
        (b"title \x1b]2;x\x07", b"title \\x1b]2;x\\x07"),
        (b"over\rwritten", b"over\\x0dwritten"),
        (b"nul \0 del \x7f", b"nul \\x00 del \\x7f"),
        ("csi \x9b31m".encode(), b"csi \\x9b31m"),
        (b"a\ttab", b"a\ttab"),
        ("größe 漢字".encode(), "größe 漢字".encode()),
        (b"\xff\xfe", b"\xff\xfe"),
        (b"windows\r", b"windows"),
        (b"", b""),
    ],
)
def test_control_characters_are_shown_and_not_obeyed(captured, line, shown):
    assert captured.after(line + b"\n") == [b"[blog 7] %s\n" % shown]


@pytest.mark.parametrize("ascii_only", [True, False])
def test_a_line_of_json_is_not_changed_by_a_byte(captured, ascii_only):
    line = json.dumps({"m": 'a"\n\x1b[31m\x7f\x9bé漢', "n": [1, {}]}, ensure_ascii=ascii_only).encode() + b"\n"
    assert captured.after(line) == [line]


def test_what_only_looks_like_json_is_escaped(captured):
    assert captured.after(b"{\x1b[31m}\n{ begun\n") == [b"[blog 7] {\\x1b[31m}\n", b"[blog 7] { begun\n"]


def test_a_terminal_is_protected_from_json_too():
    captured = Captured(terminal=True)
    assert captured.after('{"a": "\x9b"}\n'.encode()) == [b'[blog 7] {"a": "\\x9b"}\n']
    captured.close()


def test_a_priority_stays_in_front_for_the_journal_alone(captured):
    assert captured.after(b"<3>bad\n") == [b"[blog 7] <3>bad\n"]
    journal = Captured(journal=True)
    assert journal.after(b"<3>bad\n<9>text\n") == [b"<3>[blog 7] bad\n", b"[blog 7] <9>text\n"]
    journal.close()


def test_a_line_that_is_too_long_is_cut_and_says_so(captured):
    full = b"x" * LONGEST_LINE
    assert captured.after(full + b"\n") == [b"[blog 7] " + full + b"\n"]
    assert captured.after(full, b"yy", b"z" * 10 + b"\nnext\n") == [
        b"[blog 7] " + full + b" [... 12 bytes more]\n",
        b"[blog 7] next\n",
    ]
    assert captured.after(b"{" + full, b"}\n") == [b"[blog 7] {" + full[1:] + b" [... 2 bytes more]\n"]


def test_a_line_without_end_takes_no_memory(captured):
    for _ in range(100):
        assert captured.after(b"x" * 65536) == []
    assert sys.getsizeof(captured.reader._line) < 3 * LONGEST_LINE


def test_what_is_too_much_is_dropped_and_counted_to_the_line(clock, captured):
    line = b"x" * 99 + b"\n"
    turn = line * 600
    turns = 3 * BURST // len(turn)
    captured.after(b"begun ")
    shown = len(captured.after(*[turn] * turns, b"torn "))
    assert 0.9 * BURST < shown * 200 < 1.1 * BURST
    dropped = turns * 600 - shown
    assert captured.reader.lost == dropped
    clock.now = 0.9
    assert captured.after(b"still\nmuted") == []
    assert captured.reader.pause > 0
    clock.now = 2.0
    assert captured.after(b" too much\nback again\n") == [
        b"[blog 7] %d lines lost, as more came than the log can take\n" % (dropped + 2),
        b"[blog 7] back again\n",
    ]
    assert captured.reader.pause == 0
    assert captured.reader.lost == dropped + 2


def test_a_line_begun_before_the_flood_is_ended(clock, captured):
    captured.reader._allowance = 0
    captured.after(b"first ")
    assert captured.after(b"half\nlost\n") == [b"[blog 7] first half\n"]
    assert captured.reader.lost == 1


def test_when_nothing_more_comes_what_was_lost_is_told_after_a_second(clock, captured):
    captured.reader._allowance = -1
    assert captured.after(b"1\n2\n3\n") == []
    clock.now = 0.9
    assert captured.reader.on_readable()
    assert captured.lines == []
    assert captured.reader.pause > 0
    clock.now = 1.1
    assert captured.reader.on_readable()
    assert captured.lines == [b"[blog 7] 3 lines lost, as more came than the log can take\n"]
    assert captured.reader.pause == 0


def test_what_was_lost_is_told_at_the_latest_at_the_end(clock, captured):
    captured.reader._allowance = -1
    assert captured.after(b"1\n2\n3") == []
    captured.close()
    assert captured.lines == [b"[blog 7] 3 lines lost, as more came than the log can take\n"]


def test_the_ordinary_rate_loses_nothing(clock, captured):
    line = b"x" * 899 + b"\n"
    for second in range(20):
        clock.now = second
        for _ in range(RATE // 1000 // 60):
            captured.after(line * 60)
    assert captured.reader.lost == 0


def test_a_worker_that_removes_or_sets_o_nonblock_does_not_reach_us(captured):
    def set_flags():
        os.set_blocking(1, False)
        os.set_blocking(2, True)
        print("done")

    assert run_captured(captured, set_flags) == [b"[blog 7] done\n"]
    assert not os.get_blocking(captured.reader.fd)


def test_a_print_is_there_before_the_process_ends(captured):
    def look():
        print("printed")
        assert os.read(os.dup(reader), 100) == b"printed\n"

    reader = os.dup(captured.reader.fd)
    run_captured(captured, look)
    os.close(reader)


def test_what_was_printed_before_goes_where_it_went_and_what_comes_after_is_there_at_once():
    program = (
        "import os; from penstock.manager.output import *; r, w = make_pipe(); print('before'); capture(w);"
        "print('after'); os.system('echo child'); os.write(2, b'err\\n');"
        "os.write(3, b'captured: ' + os.read(r, 100))"
    )
    environ = {"PYTHONPATH": str(ROOT / "src")}  # without PYTHONUNBUFFERED, if that is set here
    reader, writer = os.pipe()
    ends = [(os.POSIX_SPAWN_DUP2, writer, 1), (os.POSIX_SPAWN_DUP2, writer, 3)]
    pid = os.posix_spawn(sys.executable, [sys.executable, "-c", program], environ, file_actions=ends)
    os.close(writer)
    with open(reader, "rb") as said:
        assert said.read() == b"before\ncaptured: after\nchild\nerr\n"
    assert os.waitpid(pid, 0)[1] == 0


@needs_root
@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/stderr", "/proc/self/fd/1"])
def test_the_user_of_the_worker_may_open_its_own_output(path):
    identity = find_identity("nobody", None)
    assert identity is not None
    reader, writer = make_pipe(identity)

    def write():
        capture(writer)
        drop_privileges(identity)
        with open(path, "w", encoding="utf-8") as file:
            file.write("opened\n")

    in_child(write)
    assert os.read(reader, 100) == b"opened\n"
    os.close(reader)
    os.close(writer)


def test_a_log_that_nobody_reads_stops_neither_the_worker_nor_us():
    log_reader, log_writer = os.pipe()
    fd, writer = make_pipe()
    reader = OutputReader(fd, lambda: "blog 7", LineWriter(log_writer).write)
    pid = os.fork()
    if not pid:
        try:
            os.close(fd)
            capture(writer)
            os.close(writer)
            for number in range(20_000):
                os.write(1, b"line %d\n" % number)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(writer)
    slowest = 0.0
    os.set_blocking(fd, True)  # here the reader itself may wait for the worker, instead of a loop
    going = True
    while going:
        os.read(fd, 0)
        began = time.thread_time()
        going = reader.on_readable()
        slowest = max(slowest, time.thread_time() - began)
    assert os.waitpid(pid, 0)[1] == 0
    os.set_blocking(log_reader, False)
    shown = os.read(log_reader, 1 << 20)
    assert 0 < len(shown) <= 65536
    reader._write(b"again\n")
    told = os.read(log_reader, 1 << 20)
    lost = 20_000 - shown.count(b"\n")
    assert told == b"# %d lines lost\nagain\n" % lost
    assert slowest < 1.0
    reader.close()
    os.close(log_reader)
    os.close(log_writer)
