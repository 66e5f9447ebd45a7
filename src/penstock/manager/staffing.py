"""This file brings a pool to the number of workers that is wanted, and replaces those that have used up their time."""

from __future__ import annotations

from typing import Final, final

from penstock.manager.generation import Worker
from penstock.manager.life import Event, State
from penstock.manager.listenqueue import queue_length
from penstock.manager.parts import Crew
from penstock.manager.policy import CHILDHOOD, Backoff, Load, Share, Sizer, fair_share, may_fork, may_recycle
from penstock.manager.watch import Watch

_LOOK: Final = 0.5
"""Seconds between two looks at the load, or after failures at the code and at the worker that is tried."""


@final
class Staff:
    """How many workers one pool has, and of what age.

    Attributes:
        backoff: whether forking is held back.
    """

    def __init__(self, pool: Crew) -> None:
        self.backoff = Backoff()
        self._pool = pool
        self._reactor = pool.owner.reactor
        self._sizer = Sizer(pool.plan.workers, pool.plan.limits.worker_idle)
        self._looked = 0.0
        self._look_alarm = self._reactor.alarm(self._look)
        self._again = self._reactor.alarm(self.reconcile)
        self._recovery = self._reactor.alarm(self._look_for_recovery)
        self._watch: Watch | None = None
        self._asleep = False

    def begin(self, workers: int) -> None:
        """Another generation serves, with so many workers for a beginning."""
        plan = self._pool.plan
        self.backoff.reset()
        self._sizer = Sizer(plan.workers, plan.limits.worker_idle)
        self._sizer.target = max(plan.workers.least, min(workers, plan.workers.most))
        self._looked = self._reactor.now
        if plan.workers.most > 1 or not plan.workers.fixed:
            self._look_alarm.set(_LOOK)

    def end(self) -> None:
        """No more looks and no more workers."""
        for alarm in (self._look_alarm, self._again, self._recovery):
            alarm.clear()
        self._wake_up()

    def reconcile(self) -> None:
        """Fork what is missing, as far as it may be; dismiss what is too many or has been replaced."""
        pool = self._pool
        generation = pool.current
        if generation is None or pool.stopping:
            return
        target = self._sizer.target
        booting = generation.those(State.BOOTING)
        serving = generation.those(State.SERVING)
        leaving = sum(1 for worker in generation.those(State.LEAVING) if worker.used_up)
        worn = [worker for worker in serving if worker.used_up][: max(0, may_recycle(target) - leaving)]
        fresh = [worker for worker in serving if worker not in worn]
        missing = target - len(booting) - len(fresh)
        now = self._reactor.now
        for _ in range(may_fork(missing, len(booting), self.backoff, now)):
            if not pool.fork(generation):
                break
            self.backoff.tried(now)
        if self.backoff.active:
            if now < self.backoff.until:
                self._again.set(self.backoff.until - now)
            if not self._recovery.is_set:
                self._recovery.set(_LOOK)
        if len(fresh) >= target:
            for worker in worn:
                pool.meet(worker, Event.DISMISS)
        if missing < 0:
            # The last one keeps its connections: there is nobody to leave them to.
            event = Event.DISMISS if target else Event.STOP
            for worker in sorted(fresh, key=self._idleness)[:-missing]:
                pool.meet(worker, event)
        if target == 0:
            self._sleep()

    def _idleness(self, worker: Worker) -> tuple[int, int]:
        """Sorts those first who would be missed least."""
        score = self._pool.board.read(worker.slot)
        return len(score.running), score.busy - worker.busy

    # -- load

    def _look(self) -> None:
        pool = self._pool
        now = self._reactor.now
        elapsed = max(1, int((now - self._looked) * 1e9))
        self._looked = now
        shares: dict[Worker, Share] = {}
        for worker in pool.current.those(State.BOOTING, State.SERVING) if pool.current else ():
            score = pool.board.read(worker.slot)
            busy = min(1.0, max(0, score.busy - worker.busy) / elapsed / worker.capacity)
            shares[worker] = Share(score.connections, worker.capacity, busy)
            worker.busy = score.busy
        fair = fair_share([*shares.values()])
        for worker in shares:
            pool.board.allow(worker.slot, fair)
        lengths = [queue_length(listener.socket) for listener in pool.listeners]
        pending = sum(length.pending for length in lengths if length is not None)
        before = self._sizer.target
        load = Load(len(shares), sum(share.busy for share in shares.values()), pending)
        if self._sizer.look(load, now) != before:
            self.reconcile()
        if shares or self._sizer.target:
            self._look_alarm.set(_LOOK)

    def _sleep(self) -> None:
        """Without workers, let the supervisor notice who comes."""
        if not self._asleep:
            self._asleep = True
            for listener in self._pool.listeners:
                self._reactor.watch(listener.socket, self._on_newcomer)

    def _wake_up(self) -> None:
        if self._asleep:
            self._asleep = False
            for listener in self._pool.listeners:
                self._reactor.forget(listener.socket)

    def _on_newcomer(self) -> None:
        self._wake_up()
        now = self._reactor.now
        self._sizer.look(Load(0, 0.0, 1), now)
        self._looked = now
        self._look_alarm.set(_LOOK)
        self.reconcile()

    # -- after failures

    def _look_for_recovery(self) -> None:
        """See whether the worker that is tried does well, or the code has been changed."""
        pool = self._pool
        generation = pool.current
        if not self.backoff.active or generation is None:
            self._watch = None
            return
        now = self._reactor.now
        for worker in generation.those(State.SERVING):
            if now - worker.since >= CHILDHOOD or pool.board.read(worker.slot).requests:
                self.backoff.reset()
                self._watch = None
                self.reconcile()
                return
        if self._watch is None:
            self._watch = Watch(generation.files)
        elif self._watch.changed():
            self._watch = None
            self.backoff.reset()
            pool.owner.reload("the code has changed")
            return
        self._recovery.set(_LOOK)
