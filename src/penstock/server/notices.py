"""This file is how the server tells its operator what happened, without letting a peer fill the log."""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from typing import Final

log: Final = logging.getLogger("penstock")
"""Everything that penstock has to say about itself; the access log is apart."""

# What differs between two messages of the same cause: what a peer has sent, which is quoted, and every word with a
# number in it, be it a count, an address or a request's reference.
_VARIES: Final = re.compile(r"""'[^']*'|"[^"]*"|\S*[0-9:]\S*""")
_MAX_CAUSES: Final = 256


def new_reference() -> str:
    """A short name for a request that went wrong, to find in the log what a user saw on the page."""
    return os.urandom(5).hex()


def log_fault(error: BaseException) -> None:
    """Log one connection's or request's misfortune, of which no thread may end."""
    log.error("something failed that never should: this is a fault of penstock", exc_info=error)


class Notices:
    """Log lines about peers, one for each cause and second; what was left out is counted on the next line.

    Two messages have the same cause if they differ only in quoted text and in words that hold a digit or a colon.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, tuple[float, int]] = {}

    def warn(self, message: str) -> None:
        """Log a warning about what a peer did."""
        cause = _VARIES.sub("", message)
        now = time.monotonic()
        with self._lock:
            last, left_out = self._seen.get(cause, (0.0, 0))
            if last and now - last < 1.0:
                self._seen[cause] = (last, left_out + 1)
                return
            if len(self._seen) >= _MAX_CAUSES:
                self._seen.clear()
            self._seen[cause] = (now, 0)
        log.warning("%s%s", message, f" ({left_out} more like this)" if left_out else "")
