"""This file is the life of a worker as its supervisor sees it: a table of states and events with every cell present."""

from __future__ import annotations

from enum import Enum
from typing import Final


class State(Enum):
    """Where a worker stands."""

    BOOTING = "booting"  # forked; has not said yet that it serves
    SERVING = "serving"
    LEAVING = "leaving"  # takes nothing new and finishes what runs
    DYING = "dying"  # has been sent SIGKILL
    GONE = "gone"  # its process has ended


class Event(Enum):
    """What can happen to it."""

    READY = "it says that it serves"
    DISMISS = "it is not needed any more; others go on"
    STOP = "the whole pool stops"
    CLOSE = "the whole pool stops, and what waits in its queue is for a successor"
    OVERDUE = "the time of its state is over"
    CONDEMN = "one of its requests takes too long"
    DIED = "its process has ended"


class Action(Enum):
    """What the supervisor does about it."""

    NOTHING = "nothing"
    DISMISS = "tell it to leave: stop accepting at once, finish what runs"
    STOP = "tell it to stop: accept what waits in the queue, finish what runs; nobody stays to be left anything"
    CLOSE = "tell it to stop: leave what waits in the queue, finish what runs"
    KILL = "SIGKILL"
    BURY = "take its counts over and free its slot"


_S, _E, _A = State, Event, Action

TABLE: Final[dict[tuple[State, Event], tuple[State, Action]]] = {
    (_S.BOOTING, _E.READY): (_S.SERVING, _A.NOTHING),
    # It has no request yet, so there is nothing to lose; a signal that comes too early for its handler ends it as well.
    (_S.BOOTING, _E.DISMISS): (_S.LEAVING, _A.STOP),
    (_S.BOOTING, _E.STOP): (_S.LEAVING, _A.STOP),
    (_S.BOOTING, _E.CLOSE): (_S.LEAVING, _A.STOP),
    (_S.BOOTING, _E.OVERDUE): (_S.DYING, _A.KILL),
    (_S.BOOTING, _E.CONDEMN): (_S.BOOTING, _A.NOTHING),
    (_S.BOOTING, _E.DIED): (_S.GONE, _A.BURY),
    (_S.SERVING, _E.READY): (_S.SERVING, _A.NOTHING),
    (_S.SERVING, _E.DISMISS): (_S.LEAVING, _A.DISMISS),
    (_S.SERVING, _E.STOP): (_S.LEAVING, _A.STOP),
    (_S.SERVING, _E.CLOSE): (_S.LEAVING, _A.CLOSE),
    (_S.SERVING, _E.OVERDUE): (_S.SERVING, _A.NOTHING),
    (_S.SERVING, _E.CONDEMN): (_S.DYING, _A.KILL),
    (_S.SERVING, _E.DIED): (_S.GONE, _A.BURY),
    (_S.LEAVING, _E.READY): (_S.LEAVING, _A.NOTHING),
    (_S.LEAVING, _E.DISMISS): (_S.LEAVING, _A.NOTHING),
    # It has left the queue to others, who stop as well and see to that; but its connections it keeps from now on.
    (_S.LEAVING, _E.STOP): (_S.LEAVING, _A.STOP),
    (_S.LEAVING, _E.CLOSE): (_S.LEAVING, _A.STOP),
    (_S.LEAVING, _E.OVERDUE): (_S.DYING, _A.KILL),
    (_S.LEAVING, _E.CONDEMN): (_S.DYING, _A.KILL),
    (_S.LEAVING, _E.DIED): (_S.GONE, _A.BURY),
    (_S.DYING, _E.READY): (_S.DYING, _A.NOTHING),
    (_S.DYING, _E.DISMISS): (_S.DYING, _A.NOTHING),
    (_S.DYING, _E.STOP): (_S.DYING, _A.NOTHING),
    (_S.DYING, _E.CLOSE): (_S.DYING, _A.NOTHING),
    (_S.DYING, _E.OVERDUE): (_S.DYING, _A.KILL),
    (_S.DYING, _E.CONDEMN): (_S.DYING, _A.NOTHING),
    (_S.DYING, _E.DIED): (_S.GONE, _A.BURY),
    (_S.GONE, _E.READY): (_S.GONE, _A.NOTHING),
    (_S.GONE, _E.DISMISS): (_S.GONE, _A.NOTHING),
    (_S.GONE, _E.STOP): (_S.GONE, _A.NOTHING),
    (_S.GONE, _E.CLOSE): (_S.GONE, _A.NOTHING),
    (_S.GONE, _E.OVERDUE): (_S.GONE, _A.NOTHING),
    (_S.GONE, _E.CONDEMN): (_S.GONE, _A.NOTHING),
    (_S.GONE, _E.DIED): (_S.GONE, _A.NOTHING),
}
"""What each event makes of each state, and what is to be done."""
