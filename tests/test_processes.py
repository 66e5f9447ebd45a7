"""This file tests the helper that other tests start programs with: a harness that misses something hides defects."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from tests.processes import children

# A program that prints its child's process id and then waits for ever, as does the child, which ignores SIGTERM.
FAMILY = """
import os, signal, time
child = os.fork()
if child == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    print(f"child {os.getpid()}", flush=True)
while True:
    time.sleep(100)
"""


def test_a_line_is_waited_for_by_its_number(processes):
    program = processes.start(sys.executable, "-c", "print('tick 1'); print('tock'); print('tick 2')")
    assert program.wait_for(r"tick (\d)", count=2)[1] == "2"
    assert program.wait() == 0
    assert program.stdout == ["tick 1", "tock", "tick 2"]


def test_a_program_that_ends_without_the_line_fails_the_test_at_once_with_its_output(processes):
    program = processes.start(sys.executable, "-c", "import sys; sys.exit('no such thing')")
    with pytest.raises(AssertionError, match="no such thing"):
        program.wait_for("ready", timeout=1e6)
    assert program.wait() == 1


def test_the_exit_code_tells_the_signal(processes):
    program = processes.start(sys.executable, "-c", "import time; print('up', flush=True); time.sleep(100)")
    program.wait_for("up")
    assert program.running
    assert program.stop() == -signal.SIGTERM
    assert not program.running


def test_the_end_of_a_test_ends_grandchildren_too(processes):
    program = processes.start(sys.executable, "-c", FAMILY)
    child = int(program.wait_for(r"child (\d+)")[1])
    processes.end()
    assert not program.running
    os.waitpid(child, 0)  # it was handed to us when its parent died; that this returns says that it has ended


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux hands orphans to us")
def test_an_orphan_is_found_as_a_process_left_behind(processes):
    program = processes.start(sys.executable, "-c", FAMILY)
    child = int(program.wait_for(r"child (\d+)")[1])
    os.kill(program.pid, signal.SIGKILL)
    os.waitid(os.P_PID, program.pid, os.WEXITED | os.WNOWAIT)
    assert [line for line in children() if line.startswith(f"{child}:")]
    processes.end()
    os.waitpid(child, 0)
    assert not [line for line in children() if line.startswith(f"{child}:")]
