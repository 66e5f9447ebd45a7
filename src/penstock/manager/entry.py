"""This file is the way in: `supervise` makes a plan come true, in this process and those that it forks."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable
from typing import Final

from penstock.manager.handover import read_handover
from penstock.manager.nest import Became
from penstock.manager.plan import Plan
from penstock.manager.privileges import allow_files
from penstock.manager.reloads import BootFailed
from penstock.manager.sockets import Sockets
from penstock.manager.supervisor import Supervisor
from penstock.server.homes import settle_descriptors
from penstock.server.serving import start_log

__all__ = ["BootFailed", "supervise"]

_PR_SET_CHILD_SUBREAPER: Final = 36  # <linux/prctl.h>


def supervise(plan: Plan, replan: Callable[[], Plan] | None = None) -> int:
    """Run the plan's pools until a stop signal; returns the exit status of this process, which may be a forked one.

    Args:
        replan: makes the plan anew for a reload; what it raises is a failed reload.

    Raises:
        BootFailed: the application could not be loaded or booted; nothing is left running.
        AddressError, BindError: an address cannot be listened on.
        OSError, ValueError: something else that was asked for cannot be had.
    """
    if sys.platform != "linux":
        raise ValueError("workers need Linux; without them penstock serves here in one process")
    heard = settle_descriptors()
    start_log(str(plan.pools[0].serving.get("log_level", "info")))
    allow_files()
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        return _make(plan, replan, heard=heard).run()
    except Became as child:
        run = child.run
    # Here nothing refers to the supervisor any more.
    return run()


def _make(plan: Plan, replan: Callable[[], Plan] | None, *, heard: bool) -> Supervisor:
    handover = read_handover(os.environ)
    sockets = Sockets(plan, heard=heard, handover=handover)
    try:
        supervisor = Supervisor(plan, sockets, replan, handover)
    except BaseException:
        sockets.close()
        raise
    if handover is not None:
        handover.close()
    return supervisor
