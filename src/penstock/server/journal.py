"""This file writes log lines the way the systemd journal reads them: a priority in front and no time."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from typing import Final

# sd-daemon(3): "<N>" with the levels of syslog(3).
_PRIORITIES: Final = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_DEBUG: Final = 7


def is_journal(environ: Mapping[str, str] = os.environ, fd: int = 2) -> bool:
    """Whether a descriptor leads to the journal, as JOURNAL_STREAM says (systemd.exec(5))."""
    try:
        status = os.fstat(fd)
    except OSError:
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


class JournalFormatter(logging.Formatter):
    """A line "<4>message" for each line of a record: the journal takes every one as a message of its own."""

    def format(self, record: logging.LogRecord) -> str:
        number = next((number for level, number in _PRIORITIES if record.levelno >= level), _DEBUG)
        return "\n".join(f"<{number}>{line}" for line in super().format(record).split("\n"))
