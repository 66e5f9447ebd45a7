"""This file draws the conclusions from what templates and workers say of themselves."""

from __future__ import annotations

import os
import signal
from contextlib import suppress

from penstock.manager.generation import Generation, Stage, Worker, is_child
from penstock.manager.life import Event, State
from penstock.manager.messages import Message
from penstock.manager.parts import Crew
from penstock.manager.template import MOST_FILES
from penstock.server.accesslog import escape
from penstock.server.notices import log


def template_said(pool: Crew, generation: Generation, message: Message) -> None:
    if message.event == "files" and generation.stage is Stage.IMPORTING:
        generation.files = (*generation.files, *message.texts("files"))[:MOST_FILES]
    elif message.event == "imported" and generation.stage is Stage.IMPORTING:
        generation.stage = Stage.BOOTING
        generation.wanted = pool.wanted_at_boot()
        pool.fill()
    elif message.event == "threads" and generation is pool.coming:
        _not_preloadable(pool, generation, ", ".join(message.texts("names", 3)))
    elif message.event == "unborn":
        worker = generation.workers.get(message.number("slot", pool.board.slots))
        if worker is not None and not worker.pid:
            log.error("%s: %s", pool.plan.name, escape(message.text("error")[:200]))
            pool.died(generation, worker, "unborn")
    elif message.event == "failed" and generation is pool.coming:
        pool.owner.generation_failed(pool, generation, message.text("error"), message.text("traceback"))


def _not_preloadable(pool: Crew, generation: Generation, names: str) -> None:
    if pool.plan.preload == "yes":
        error = f"{pool.plan.app} starts threads as it is imported ({names}), so it cannot be preloaded"
        pool.owner.generation_failed(pool, generation, f"{error}; use preload = auto or no")
        return
    log.warning(
        "%s: %s starts threads as it is imported (%s): every worker imports it by itself",
        *(pool.plan.name, pool.plan.app, names),
    )
    pool.discard(generation)
    try:
        pool.begin(generation.number, preload=False)
    except OSError as error:
        pool.owner.generation_failed(pool, generation, f"cannot start a process: {error.strerror}")


def worker_said(pool: Crew, generation: Generation, message: Message) -> None:
    worker = generation.workers.get(message.number("slot", pool.board.slots))
    if message.event == "born":
        _born(generation, worker, message.number("pid", 1 << 31))
        return
    if worker is not None and not worker.pid:
        _born(generation, worker, message.pid)  # it was faster than the process that tells of its birth
    if worker is None or worker.pid != message.pid:
        return
    if message.event == "ready":
        worker.capacity = max(1, message.number("capacity", 1 << 16))
        pool.meet(worker, Event.READY)
        if worker.state is State.SERVING and pool.plan.limits.max_lifetime:
            worker.alarm.set(pool.plan.limits.lifetime(worker.slot, pool.board.slots))
        if generation is pool.coming and len(generation.those(State.SERVING)) >= generation.wanted:
            pool.owner.generation_ready(generation)
        pool.reconcile()
    elif message.event == "used up":
        worker.used_up = worker.used_up or message.text("why")[:80]
        pool.reconcile()
    elif message.event == "failed" and worker.state is State.BOOTING and not worker.used_up:
        worker.used_up = "it could not start"  # and says so once
        error, traceback = message.text("error"), message.text("traceback")
        if generation is pool.coming:
            pool.owner.generation_failed(pool, generation, error, traceback)
        else:
            log.error("%s: a worker could not start: %s\n%s", pool.plan.name, error, traceback)


def _born(generation: Generation, worker: Worker | None, pid: int) -> None:
    if not _is_of(generation, pid) or any(other.pid == pid for other in generation.workers.values()):
        return
    if worker is not None and not worker.pid:
        worker.pid, worker.group = pid, generation.template
        if worker.state is State.BOOTING:
            return
    # It was given up before we knew its number. Its parent may still be the process that says so, hence no send_signal.
    with suppress(OSError):
        os.kill(pid, signal.SIGKILL)


def _is_of(generation: Generation, pid: int) -> bool:
    """Whether a process belongs to the group of a generation's template: another's number may be claimed as well."""
    try:
        return 0 < pid != generation.template == os.getpgid(pid)
    except ProcessLookupError:
        return False


def overdue(pool: Crew, generation: Generation, worker: Worker) -> None:
    """The time of a worker's state is over."""
    limits = pool.plan.limits
    if worker.state is State.SERVING:
        worker.used_up = worker.used_up or f"{limits.max_lifetime:g} s of life"
        pool.reconcile()
    elif worker.state is State.GONE:
        return
    elif not worker.pid or (worker.state is State.DYING and not is_child(worker.pid)):
        pool.died(generation, worker, "no sign of life")
    else:
        if worker.state is State.BOOTING:
            worker.killed_for = f"it was not ready {limits.boot_timeout:g} s after it was forked"
            log.error("%s: killing worker %d: %s", pool.plan.name, worker.pid, worker.killed_for)
            if generation is pool.coming:
                pool.owner.generation_failed(pool, generation, f"a worker was killed: {worker.killed_for}")
            if generation is pool.current:
                pool.backoff.failed(pool.owner.reactor.now)
        elif worker.state is State.LEAVING:
            log.warning(
                "%s: killing worker %d: not finished %g s after it was told to leave",
                *(pool.plan.name, worker.pid, worker.grace),
            )
        pool.meet(worker, Event.OVERDUE)
