"""This file is one pool in the supervisor: its generations, and the loop's work of bringing it to what is wanted."""

from __future__ import annotations

import signal
from collections import Counter
from typing import Final, final

from penstock.manager.estate import Estate
from penstock.manager.generation import Generation, Stage, Worker, how_it_ended, send_signal
from penstock.manager.life import Event, State
from penstock.manager.messages import hear
from penstock.manager.parts import Owner
from penstock.manager.plan import PoolPlan
from penstock.manager.policy import CHILDHOOD, slots_for
from penstock.manager.privileges import Identity
from penstock.manager.reports import overdue, template_said, worker_said
from penstock.manager.scoreboard import ASYNC_LANES, Scoreboard
from penstock.manager.slotfiles import SlotFiles
from penstock.manager.staffing import Staff
from penstock.manager.watchman import Watchman
from penstock.server.accesslog import escape
from penstock.server.gifts import Exchange
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.tether import REOPEN

_TURN: Final = 64 * 1024  # bytes of messages that are heard at a time; to read so many may take 20 ms
_REVIVAL: Final = 10.0
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
        leaving: listeners that the next generation will not have.
        retired_requests: of workers that have gone.
    """

    def __init__(
        self,
        plan: PoolPlan,
        listeners: list[Listener],
        identity: Identity | None,
        owner: Owner,
        estate: Estate | None = None,
    ) -> None:
        self.plan = plan
        self.listeners: Final = listeners
        self.exchange: Final = Exchange() if estate is None else Exchange(estate.exchange)
        self.current: Generation | None = None
        self.coming: Generation | None = None
        self.former: list[Generation] = []
        self.stopping = False
        self.spawns = 0
        self.exits: Counter[str] = Counter()
        slots = slots_for(plan.workers)
        lanes = max(ASYNC_LANES, int(plan.serving.get("threads", 1)))
        self.board: Final = Scoreboard(slots, lanes) if estate is None else estate.board(slots, lanes)
        self.leaving: list[Listener] = []
        self._free = list(range(self.board.slots))
        self.owner = owner
        self.reactor: Final = owner.reactor
        self.retired_requests = 0
        self.identity: Final = identity
        self.staff: Final = Staff(self)
        self.backoff: Final = self.staff.backoff
        left = ((), ()) if estate is None else (estate.pipes, estate.stacks)
        self.files: Final = SlotFiles(self.board.slots, identity, self.reactor, self._who, *left)
        self.watchman: Final = Watchman(self, owner.slow_log)
        self._revival = self.reactor.alarm(self._revive)
        self._import_alarm = self.reactor.alarm(self._import_overdue)

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
            number, self.board.slots, lambda events, gate: self.owner.nest(self, events, gate, preload=preload)
        )
        self.coming = generation
        self.listen_to(generation)
        generation.start(self.owner)
        if self.plan.limits.boot_timeout:
            self._import_alarm.set(self.plan.limits.boot_timeout)

    def listen_to(self, generation: Generation) -> None:
        """From now on hear what its processes say."""
        self.reactor.watch(generation.events, lambda: self.hear(generation))

    def _import_overdue(self) -> None:
        if self.coming is not None and self.coming.stage is Stage.IMPORTING:
            error = f"{self.plan.app} was not imported within {self.plan.limits.boot_timeout:g} s"
            send_signal(self.coming.template, signal.SIGKILL)
            self.owner.generation_failed(self, self.coming, error)

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
            for listener in self.leaving:
                listener.begin_drain()
            # Where nobody comes after them, they also answer those who wait.
            self._dismiss(before, Event.STOP if self.leaving else Event.DISMISS)
            self.leaving = []
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

    def _dismiss(self, generation: Generation, event: Event = Event.DISMISS) -> None:
        for worker in list(generation.workers.values()):
            self.meet(worker, event)

    def _forget_if_over(self, generation: Generation) -> None:
        if generation in self.former and not generation.workers and not generation.template:
            self.former.remove(generation)
            self.reactor.forget(generation.events)
            generation.close()

    # -- what is told and seen

    def hear(self, generation: Generation, most: int = _TURN) -> None:
        """Take what the processes of a generation have said, up to so many bytes."""
        while most > 0:
            try:
                message = hear(generation.events)
            except BlockingIOError:
                return
            except (EOFError, OSError):
                self.reactor.forget(generation.events)
                return
            most -= message.size
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
                    self.died(generation, worker, how_it_ended(status))
                    return True
        return False

    def _template_ended(self, generation: Generation, status: int) -> None:
        for worker in list(generation.workers.values()):
            if not worker.pid:
                self.died(generation, worker, "unborn")
        if generation is self.coming:
            error = f"the process that imports {self.plan.app} ended with {how_it_ended(status)}"
            self.owner.generation_failed(self, generation, error)
        elif generation is self.current and not self.stopping:
            how = how_it_ended(status)
            log.error("%s: the template process ended with %s: booting another one", self.plan.name, how)
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
        self.retired_requests += score.requests
        self.exits[how] += 1
        del generation.workers[worker.slot]
        self.board.clear(worker.slot)
        self._free.append(worker.slot)
        if worker.killed_for or not told:
            status = 504 if worker.killed_for else 502
            for running in score.running:
                self.owner.cut_off(self, worker, running, status)
        if not told:
            requests = ", ".join(f'"{escape(running.line)}"' for running in score.running)
            ran = f" while it ran {requests}" if requests else ""
            log.error("%s: worker %d ended with %s%s", self.plan.name, worker.pid, how, ran)
            if childhood and not score.requests and generation is self.current:
                self.staff.backoff.failed(self.reactor.now)
            if generation is self.coming:
                state = "booting" if before is State.BOOTING else "waiting to serve"
                self.owner.generation_failed(self, generation, f"a worker ended with {how} while it was {state}")
        self._forget_if_over(generation)
        self.fill()
        self.staff.reconcile()
        self.owner.worker_gone(generation, told=told)

    # -- workers

    def meet(self, worker: Worker, event: Event) -> None:
        worker.meet(event, self.reactor.now)

    def fill(self) -> None:
        """Fork what the coming generation needs to take over, as far as there are slots."""
        coming = self.coming
        if coming is not None and coming.stage is Stage.BOOTING:
            for _ in range(coming.wanted - len(coming.those(*_ALIVE))):
                if not self.fork(coming):
                    return

    def fork(self, generation: Generation) -> bool:
        slot = next((slot for slot in reversed(self._free) if slot < generation.slots), None)
        if self.stopping or slot is None:
            return False
        if not generation.template and not self._revival.is_set:
            self._revival.set(_REVIVAL)
        worker = self.make_worker(generation, slot)
        if not generation.order(worker):
            self._free.append(worker.slot)
            return False
        self.spawns += 1
        if self.plan.limits.boot_timeout:
            worker.alarm.set(self.plan.limits.boot_timeout)
        return True

    def make_worker(self, generation: Generation, slot: int) -> Worker:
        """The entry of a worker in this slot."""
        self._free.remove(slot)
        alarm = self.reactor.alarm(lambda: overdue(self, generation, worker))
        worker = Worker(slot, generation.number, self.plan.grace, alarm, self.reactor.now)
        return worker

    def _revive(self) -> None:
        """The reload that was to bring another template has failed as well."""
        if self.current is not None and not self.current.template and self.coming is None:
            self.owner.reload("there is no template process to fork workers from")

    def reconcile(self) -> None:
        self.staff.reconcile()

    def stop(self, event: Event = Event.STOP) -> None:
        """Accept what waits, finish what runs, and begin nothing new; the supervisor keeps newcomers away."""
        self.stopping = True
        self.staff.end()
        for generation in self.generations():
            generation.end_template()
        # Those who leave already first, for they give their connections to the others, who would be gone.
        for worker in sorted(self.workers(), key=lambda worker: worker.state is not State.LEAVING):
            self.meet(worker, event)

    def is_ready(self) -> bool:
        """Whether a request would be served now; one that comes may boot a worker that serves it."""
        return self.current is not None and (not self.plan.workers.least or bool(self.current.those(State.SERVING)))

    def is_over(self) -> bool:
        """Whether it has stopped and all its processes have ended."""
        return self.stopping and not any(each.workers or each.template for each in self.generations())

    def close(self) -> None:
        """Give everything back but the listeners."""
        for generation in self.generations():
            self.reactor.forget(generation.events)
            generation.close()
        for fd, _ in self.files.pipes:
            self.reactor.forget(fd)
        self.files.close()
        self.board.close()
        self.exchange.close()

    def let_go(self) -> None:
        """In a forked child of another pool, whose user has no business with what this one has open."""
        for listener in self.listeners:
            listener.close()
        self.board.close()
        self.exchange.close()
        self.files.close_theirs()

    def reopen_logs(self) -> None:
        """Let the workers go on in new log files."""
        for worker in self.workers():
            if worker.state in (State.SERVING, State.LEAVING):
                send_signal(worker.pid, REOPEN)

    def kill(self) -> None:
        """End every process at once."""
        for pid in (*(worker.pid for worker in self.workers()), *(each.template for each in self.generations())):
            send_signal(pid, signal.SIGKILL)

    @property
    def requests(self) -> int:
        """Requests completed since the supervisor started, of workers long gone too."""
        return self.retired_requests + sum(self.board.read(worker.slot).requests for worker in self.workers())
