"""Tests of lines for the journal: when they are written, and that each has its priority in front."""

from __future__ import annotations

import logging
import os
import socket
import sys

import pytest

from penstock.server.journal import JournalFormatter, is_journal

PROGRAM = """
import logging
from penstock.server.serving import start_log
start_log("debug")
log = logging.getLogger("penstock")
log.debug("one")
log.warning("two %s", "2")
log.error("three\\nfour")
"""


def named(fd: int) -> dict[str, str]:
    status = os.fstat(fd)
    return {"JOURNAL_STREAM": f"{status.st_dev}:{status.st_ino}"}


def test_only_the_descriptor_that_the_variable_names_is_the_journal():
    one, other = socket.socketpair()
    with one, other:
        assert is_journal(named(one.fileno()), one.fileno())
        assert not is_journal(named(other.fileno()), one.fileno())
        assert not is_journal({}, one.fileno())
        assert not is_journal({"JOURNAL_STREAM": "x"}, one.fileno())
        fd = one.fileno()
        environ = named(fd)
    assert not is_journal(environ, fd)  # closed


@pytest.mark.parametrize(
    ("level", "number"),
    [(logging.DEBUG, 7), (logging.INFO, 6), (25, 6), (logging.WARNING, 4), (logging.ERROR, 3), (logging.CRITICAL, 2)],
)
def test_a_level_is_the_priority_of_syslog(level, number):
    record = logging.LogRecord("penstock", level, "", 0, "said %s", ("so",), None)
    assert JournalFormatter().format(record) == f"<{number}>said so"


def test_each_line_of_a_traceback_has_the_priority():
    try:
        raise KeyError("x")
    except KeyError:
        record = logging.LogRecord("penstock", logging.ERROR, "", 0, "failed", (), sys.exc_info())
    lines = JournalFormatter().format(record).split("\n")
    assert lines[:2] == ["<3>failed", "<3>Traceback (most recent call last):"]
    assert lines[-1] == "<3>KeyError: 'x'"
    assert all(line.startswith("<3>") for line in lines)


def test_start_log_writes_for_the_journal_when_standard_error_is_that(processes):
    program = "import os,sys; s=os.fstat(2); os.environ['JOURNAL_STREAM']=f'{s.st_dev}:{s.st_ino}'\n" + PROGRAM
    process = processes.start(sys.executable, "-c", program)
    assert process.wait() == 0
    assert process.stderr == ["<7>one", "<4>two 2", "<3>three", "<3>four"]


def test_start_log_writes_the_time_everywhere_else(processes):
    process = processes.start(sys.executable, "-c", PROGRAM, env={"JOURNAL_STREAM": "1:1"})
    assert process.wait() == 0
    process.wait_for(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S* WARNING two 2$")
