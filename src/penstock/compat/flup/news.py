"""This file is how the thread that waits for a server's end is woken."""

from __future__ import annotations

from enum import Enum
from queue import SimpleQueue


class News(Enum):
    """What there is to know."""

    LOOK = "somebody wants the server to stop"
    HURRY = "another signal came while it stops"
    ENDED = "the server has ended"


Mailbox = SimpleQueue[News]
"""`put` is safe in a signal handler, which an Event or a Condition is not."""
