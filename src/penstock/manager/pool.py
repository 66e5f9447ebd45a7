"""This file is one pool in the supervisor: its generations, and the loop's work of bringing it to what is wanted."""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Final, final

from penstock.manager.generation import Generation, Stage, Worker, send_signal
from penstock.manager.life import Action, Event, State
from penstock.manager.messages import hear
from penstock.manager.parts import Owner
from penstock.manager.plan import PoolPlan
from penstock.manager.policy import CHILDHOOD, may_recycle
from penstock.manager.privileges import Identity
from penstock.manager.reports import template_said, worker_said
from penstock.manager.scoreboard import ASYNC_LANES, Scoreboard
from penstock.manager.slotfiles import SlotFiles
from penstock.manager.staffing import Staff
from penstock.manager.watchman import Watchman
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.tether import REOPEN

_MOST_MESSAGES: Final = 64
_ALIVE: Final = (State.BOOTING, State.SERVING)


@final
class Pool:
    """One application's workers.

    Attributes:
        plan: what the current generation was made from.
        listeners: shared by all generations.
        current: the generation that serves; None before the first one does.
        coming: the one that boots beside it.
        former: those that still have workers, or wait in case they are needed again.
    """

    def __init__(self, plan: PoolPlan, listeners: list[Listener], identity: Identity | None, owner: Owner) -> None:
        self.plan = plan
        self.listeners: Final = listeners
        self.current: Generation | None = None
        self.coming: Generation | None = None
        self.former: list[Generation] = []
        self.stopping = False
        self.spawns = 0
        self.exits: Counter[str] = Counter()
        slots = 2 * plan.workers.most + may_recycle(plan.workers.most) + 1
        self.board: Final = Scoreboard(slots, max(ASYNC_LANES, int(plan.serving.get("threads", 1))))
        self._free = list(range(slots))
        self.owner = owner
        self.reactor: Final = owner.reactor
        self._retired_requests = 0
        self.identity: Final = identity
        self.staff: Final = Staff(self)
        self.files: Final = SlotFiles(slots, identity, self.reactor, self._who)
        self.watchman: Final = Watchman(self, owner.slow_log)

    # -- generations

    def _who(self, slot: int) -> str:
        """Who writes to the pipe of this slot."""
        pid = next((worker.pid for worker in self.workers() if worker.slot == slot), 0)
        return f"{self.plan.name} {pid or 'template'}"

    def generations(self) -> list[Generation]:
        """All that live, the oldest first."""
        return [*self.former, *filter(None, (self.current, self.coming))]

    def workers(self) -> list[Worker]:
        """All that live."""
        return [worker for generation in self.generations() for worker in generation.workers.values()]

    def begin(self, number: int, *, preload: bool) -> None:
        """Boot a generation beside the one that serves."""
        generation = Generation.make(
            number, lambda events, gate: self.owner.nest(self, number, events, gate, preload=preload)
        )
        self.coming = generation
        self.reactor.watch(generation.events, lambda: self.hear(generation))
        generation.start(self.owner)

    def change(self, plan: PoolPlan) -> None:
        """Make the next generation from another plan; what serves is not touched until that takes over.

        Raises:
            ValueError: the plan does not fit what was set up at the start.
        """
        if plan.workers.most > self.plan.workers.most:
            raise ValueError(f"{plan.name}: more than {self.plan.workers.most} workers take a restart")
        self.plan = plan

    def wanted_at_boot(self) -> int:
        """How many workers of the coming generation have to be ready before it takes over: at least one is tried."""
        serving = len(self.current.those(*_ALIVE)) if self.current else 0
        return max(1, self.plan.workers.least, min(serving, self.plan.workers.most))

    def switch(self) -> None:
        """Let the coming generation serve, and the current one finish and leave."""
        before, self.current, self.coming = self.current, self.coming, None
        assert self.current is not None
        if before is not None:
            # Before the others begin: who has been answered by the new code shall not meet the old again.
            self.former.append(before)
            before.stage = Stage.RETIRED
            self._dismiss(before)
        self.current.open_gate()
        self.staff.begin(len(self.current.workers))
        self.staff.reconcile()

    def take_back(self, former: Generation) -> None:
        """Let a former generation serve again; its template still has its code."""
        assert self.current is not None
        self.former.remove(former)
        failed, self.current = self.current, former
        former.stage = Stage.SERVING
        self.former.append(failed)
        self.staff.backoff.reset()
        self.staff.reconcile()
        self.discard(failed)

    def discard(self, generation: Generation) -> None:
        """Be done with a generation: its workers leave, its template ends."""
        generation.end_template()
        self._dismiss(generation)
        if generation is self.coming:
            self.coming = None
            self.former.append(generation)
        self._forget_if_over(generation)

    def _dismiss(self, generation: Generation) -> None:
        for worker in list(generation.workers.values()):
            self.meet(worker, Event.DISMISS)

    def _forget_if_over(self, generation: Generation) -> None:
        if generation in self.former and not generation.workers and not generation.template:
            self.former.remove(generation)
            self.reactor.forget(generation.events)
            generation.close()

    # -- what is told and seen

    def hear(self, generation: Generation) -> None:
        """Take what the processes of a generation have said."""
        for _ in range(_MOST_MESSAGES):
            try:
                message = hear(generation.events)
            except BlockingIOError:
                return
            except (EOFError, OSError):
                self.reactor.forget(generation.events)
                return
            if message is None:
                continue
            if message.pid == generation.template:
                template_said(self, generation, message)
            else:
                worker_said(self, generation, message)

    def ended(self, pid: int, status: int) -> bool:
        """A child of the supervisor has ended; false if it is none of ours."""
        for generation in self.generations():
            if pid == generation.template:
                generation.template = 0
                self._template_ended(generation, status)
                return True
            for worker in list(generation.workers.values()):
                if worker.pid == pid:
                    self.died(generation, worker, _name_of(status))
                    return True
        return False

    def _template_ended(self, generation: Generation, status: int) -> None:
        if generation is self.coming and generation.stage is Stage.IMPORTING:
            error = f"the process that imports {self.plan.app} ended with {_name_of(status)}"
            self.owner.generation_failed(self, generation, error)
        elif generation is self.current and not self.stopping:
            log.error("%s: the template process ended with %s: booting another one", self.plan.name, _name_of(status))
            self.owner.reload("the template process ended")
        else:
            self._forget_if_over(generation)

    def died(self, generation: Generation, worker: Worker, how: str) -> None:
        """A worker's process has ended."""
        told = worker.state in (State.LEAVING, State.DYING)
        age = self.reactor.now - worker.since
        childhood = worker.state is State.BOOTING or age < CHILDHOOD
        before = worker.state
        self.meet(worker, Event.DIED)
        score = self.board.read(worker.slot)
        self._retired_requests += score.requests
        self.exits[how] += 1
        del generation.workers[worker.slot]
        self.board.clear(worker.slot)
        self._free.append(worker.slot)
        if worker.killed_for or not told:
            status = 504 if worker.killed_for else 502
            for running in score.running:
                self.owner.cut_off(self, worker, running, status)
        if not told:
            request = f' while it ran "{score.running[0].line}"' if score.running else ""
            log.error("%s: worker %d ended with %s%s", self.plan.name, worker.pid, how, ascii(request)[1:-1])
            if childhood and not score.requests:
                self.staff.backoff.failed(self.reactor.now)
            if generation is self.coming:
                state = "booting" if before is State.BOOTING else "waiting to serve"
                self.owner.generation_failed(self, generation, f"a worker ended with {how} while it was {state}")
        self._forget_if_over(generation)
        self.staff.reconcile()
        self.owner.worker_gone(generation, told=told)

    # -- workers

    def meet(self, worker: Worker, event: Event) -> Action:
        return worker.meet(event, self.reactor.now)

    def fork(self, generation: Generation) -> bool:
        if not self._free:
            return False
        worker = Worker(
            self._free.pop(),
            generation.number,
            self.plan.grace,
            self.reactor.alarm(lambda: self._overdue(generation, worker)),
            self.reactor.now,
        )
        if not generation.order(worker):
            self._free.append(worker.slot)
            return False
        self.spawns += 1
        worker.alarm.set(self.plan.limits.boot_timeout)
        return True

    def reconcile(self) -> None:
        self.staff.reconcile()

    def _overdue(self, generation: Generation, worker: Worker) -> None:
        limits = self.plan.limits
        if worker.state is State.SERVING:
            worker.used_up = worker.used_up or f"{limits.max_lifetime:g} s of life"
            self.staff.reconcile()
        elif not worker.pid:
            self.died(generation, worker, "no sign of life")
        else:
            if worker.state is State.BOOTING:
                worker.killed_for = f"it was not ready {limits.boot_timeout:g} s after it was forked"
                log.error("%s: killing worker %d: %s", self.plan.name, worker.pid, worker.killed_for)
                if generation is self.coming:
                    self.owner.generation_failed(self, generation, f"a worker was killed: {worker.killed_for}")
                self.staff.backoff.failed(self.reactor.now)
            elif worker.state is State.LEAVING:
                log.warning(
                    "%s: killing worker %d: not finished %g s after it was told to leave",
                    *(self.plan.name, worker.pid, worker.grace),
                )
            self.meet(worker, Event.OVERDUE)

    def stop(self) -> None:
        """Accept what waits, finish what runs, and begin nothing new; the supervisor keeps newcomers away."""
        self.stopping = True
        self.staff.end()
        for generation in self.generations():
            generation.end_template()
            for worker in list(generation.workers.values()):
                self.meet(worker, Event.STOP)

    def is_ready(self) -> bool:
        """Whether a request would be served now; one that comes may boot a worker that serves it."""
        return self.current is not None and (not self.plan.workers.least or bool(self.current.those(State.SERVING)))

    def reopen_logs(self) -> None:
        """Let the workers go on in new log files."""
        for worker in self.workers():
            if worker.state in (State.SERVING, State.LEAVING):
                send_signal(worker.pid, REOPEN)

    def kill(self) -> None:
        """End every worker at once."""
        for worker in self.workers():
            send_signal(worker.pid, signal.SIGKILL)

    @property
    def requests(self) -> int:
        """Requests completed since the supervisor started, of workers long gone too."""
        return self._retired_requests + sum(self.board.read(worker.slot).requests for worker in self.workers())


def _name_of(status: int) -> str:
    """How a process ended, from what waitpid() says of it."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
