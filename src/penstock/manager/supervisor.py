"""This file is the supervisor: it obeys signals and commands, makes generations and buries processes."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, Final, final

from penstock import __version__
from penstock.manager.control import Answer, Control, control_path
from penstock.manager.generation import Generation, Worker
from penstock.manager.handover import Handover
from penstock.manager.life import Event
from penstock.manager.nest import Nest
from penstock.manager.parts import Crew
from penstock.manager.pidfile import PidFile
from penstock.manager.plan import Plan
from penstock.manager.pool import Pool
from penstock.manager.privileges import root_warning
from penstock.manager.reactor import Reactor
from penstock.manager.reloads import BootFailed, Reloads
from penstock.manager.scoreboard import Running
from penstock.manager.snapshot import snapshot
from penstock.manager.sockets import Sockets
from penstock.manager.statusdoor import StatusDoor
from penstock.manager.succession import Succession, lifeline_of, make_pools, remove_pid_file
from penstock.manager.systemd import Notifier
from penstock.manager.watch import Watch
from penstock.server.lifecycle import STOP_SIGNALS
from penstock.server.notices import log

_LATE: Final = 3.0
"""Seconds beyond the longest grace after which a stop is made a hard one."""

_LOOK_AT_FILES: Final = 1.0

_ALL_MESSAGES: Final = 256 * 1024
"""Bytes; more than a socket's buffer holds. Who goes on talking is not listened to for longer."""


@final
class Supervisor:
    """One supervisor; `run` does everything.

    Args:
        plan: what is wanted.
        sockets: open, one list for each pool.
        replan: makes the plan anew for a reload.
        handover: of the image of this process that we have replaced.

    Attributes:
        pools: in the order of the plan.
        reloads: brings generations into service.
        began: by the monotonic clock.
    """

    def __init__(
        self, plan: Plan, sockets: Sockets, replan: Callable[[], Plan] | None, handover: Handover | None = None
    ) -> None:
        self.reactor: Final = Reactor()
        self.began: Final = time.monotonic() if handover is None else float(handover.content["began"])
        self.plan = plan
        self.sockets: Final = sockets
        self.stopping = False
        self._failed: BootFailed | None = None
        self.lifeline: Final = os.pipe() if handover is None else lifeline_of(handover)
        self.notifier: Final = Notifier()
        self._deadline = self.reactor.alarm(self._out_of_time)
        self._watch = Watch(plan.reload_on)
        self._watch_alarm = self.reactor.alarm(self._look_at_files)
        self._watchdog = self.reactor.alarm(self._on_watchdog)
        self._burial = self.reactor.alarm(self._reap)
        self.pools: Final = make_pools(plan, sockets, self, handover)
        self._leaving = self.pools[len(plan.pools) :]
        del self.pools[len(plan.pools) :]
        self._succession = Succession(self, replan)
        self.reloads: Final = Reloads(self, self.notifier, self._succession.take_plan, self._first_over)
        self.control: Final = Control(control_path(plan), self.reactor, self._obey, handover)
        if handover is not None:
            remove_pid_file(plan, handover)
            self.reloads.go_on(handover.content["reloads"], self.control.waiting)
            self._tell_news()
        self._status_door = StatusDoor(sockets.status, self.reactor, self.look, self._is_ready)
        self.pid_file: Final = None if plan.pid_file is None else PidFile(plan.pid_file)

    def run(self) -> int:
        """Until a stop signal; returns the exit status.

        Raises:
            BootFailed: the first generation could not be brought into service.
        """
        try:
            self._start()
            self.reactor.run()
        finally:
            # Not in a forked child, which leaves by another way: this is the supervisor's own end.
            if os.getpid() == self.sockets.pid:
                self._tidy_up()
        if self._failed is not None:
            raise self._failed
        log.info("stopped")
        return 0

    def _start(self) -> None:
        if self.pid_file is not None:
            self.pid_file.write()
        obeyed = {signal.SIGCHLD: self._reap, signal.SIGHUP: lambda: self.reload("SIGHUP"), signal.SIGQUIT: self._kill}
        obeyed |= dict.fromkeys(STOP_SIGNALS, self.stop)
        obeyed[signal.SIGUSR2] = lambda: self._succession.ask("SIGUSR2")
        if self.sockets.owned:
            obeyed[signal.SIGUSR1] = self._reopen
        for number, act in obeyed.items():
            self.reactor.obey(number, act)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, obeyed)
        self._reap()
        for pool in self.pools:
            warning = root_warning(pool.identity)
            if warning:
                log.warning("%s: %s", pool.plan.name, warning)
        if self.notifier.watchdog_interval:
            self._watchdog.set(self.notifier.watchdog_interval)
        self.reloads.begin()

    def _tidy_up(self) -> None:
        for pool in self.all_pools():
            pool.kill()
            pool.close()
        self.control.close()
        self._status_door.close()
        self.sockets.close()
        if self.pid_file is not None:
            self.pid_file.remove()
        self.notifier.close()
        self.reactor.close()

    @property
    def probation(self) -> float:
        """Seconds in which a generation may still be taken back."""
        return self.plan.probation

    # -- what pools ask of it

    def fork(self, generation: Generation) -> int:
        pid = self.reactor.fork()
        if pid == 0:
            self.control.let_go()
            self._status_door.let_go()
            os.close(self.lifeline[1])
            for pool in self.all_pools():
                for each in pool.generations():
                    each.close()
                pool.files.let_go()
                if pool.coming is not generation:
                    pool.let_go()
            assert generation.nest is not None
            self.sockets.let_go(generation.nest.pool)
            if self.pid_file is not None:
                self.pid_file.let_go()
            self.notifier.close()
        return pid

    def nest(self, pool: Crew, events: socket.socket, gate: int, *, preload: bool) -> Nest:
        return Nest(
            pool.plan,
            preload,
            pool.identity,
            events,
            gate,
            self.lifeline[0],
            pool.listeners,
            pool.exchange,
            pool.board,
            pool.files.stacks,
            self.sockets.access_fd(pool.plan),
            pool.files.outputs,
            self.sockets.access_files.get(pool.plan.name),
        )

    def generation_ready(self, generation: Generation) -> None:
        self.reloads.ready(generation)

    def generation_failed(self, pool: Crew, generation: Generation, error: str, traceback: str = "") -> None:
        self.reloads.failed(generation, error if len(self.pools) == 1 else f"{pool.plan.name}: {error}", traceback)

    def cut_off(self, pool: Crew, worker: Worker, request: Running, status: int) -> None:
        self.sockets.write_access(pool.plan, request, status, f"worker-{worker.pid}-died")

    def slow_log(self, text: str) -> None:
        self.sockets.slow_log.write(text.encode("utf-8", "backslashreplace"))

    def worker_gone(self, generation: Generation, *, told: bool) -> None:
        if not told:
            self.reloads.worker_died(generation)
        if self.stopping and not any(pool.workers() for pool in self.all_pools()):
            self.reactor.stopped = True

    # -- reload

    def reload(self, why: str) -> None:
        if not self.stopping:
            self.reloads.ask(why)

    def serves(self) -> None:
        """A generation of this plan serves: what only those before it needed can go."""
        for pool in self._leaving:
            for listener in pool.leaving:
                listener.begin_drain()
            if not pool.stopping:
                pool.stop()
        self._forget_leaving()
        self.sockets.end_leaving(self.notifier)
        self.sockets.store(self.notifier)
        self._watch = Watch(self.plan.reload_on)

    def _forget_leaving(self) -> None:
        for pool in [pool for pool in self._leaving if pool.is_over()]:
            self._leaving.remove(pool)
            pool.close()

    def all_pools(self) -> list[Pool]:
        """Those of the plan, and those of the one before that still have processes."""
        return [*self.pools, *self._leaving]

    def _first_over(self, error: str, traceback: str) -> None:
        """The first generation serves, or has failed."""
        if error:
            self._failed = BootFailed(error, traceback)
            self.reactor.stopped = True
            return
        self._tell_news()

    def _tell_news(self) -> None:
        for pool in self.pools:
            log.info(
                "penstock %s serves %s with %s workers, supervisor %d",
                *(__version__, pool.plan.app, pool.plan.workers, os.getpid()),
            )
        log.info("control socket: %s", self.control.path)
        if self.plan.reload_on:
            self._watch_alarm.set(_LOOK_AT_FILES)

    def _look_at_files(self) -> None:
        changed = self._watch.changed()
        if changed:
            self.reload(f"{changed[0]} has changed")
        self._watch_alarm.set(_LOOK_AT_FILES)

    def _on_watchdog(self) -> None:
        self.notifier.watchdog()
        self._watchdog.set(self.notifier.watchdog_interval)

    # -- commands

    def _obey(self, name: str, content: dict[str, Any], answer: Answer) -> None:
        if name == "ping":
            answer(ok=True, pid=os.getpid())
        elif name == "status":
            answer(ok=True, status=self.look())
        elif name in ("reload", "upgrade") and self.stopping:
            answer(ok=False, error="it is being stopped")
        elif name in ("reload", "upgrade"):
            ask = self.reloads.ask if name == "reload" else self._succession.ask
            waits = bool(content.get("wait"))
            if not waits:
                answer(ok=True)
            ask("asked for on the control socket", answer if waits else None)
        elif name == "stop":
            answer(ok=True)
            self.stop()
        elif name == "reopen":
            self._reopen()
            answer(ok=True)
        else:
            answer(ok=False, error=f"there is no command {name[:40]!a}")

    def look(self) -> dict[str, Any]:
        """The status."""
        return snapshot(self.began, self.all_pools(), self.reloads)

    def _is_ready(self) -> bool:
        return not self.stopping and all([pool.is_ready() for pool in self.pools if pool.current] or [False])

    def _reopen(self) -> None:
        # First ours, for workers are not root and may not be able to make the file.
        self.sockets.reopen_logs()
        for pool in self.pools:
            pool.reopen_logs()
        log.info("log files are open anew")

    # -- the end

    def stop(self) -> None:
        """Lose nobody: keep newcomers away, let workers accept and finish what is there; a second call ends it hard."""
        if self.stopping:
            self._kill()
            return
        self.stopping = True
        self.notifier.stopping("finishing what has been accepted")
        longest = max(pool.plan.grace for pool in self.all_pools()) + _LATE
        self.notifier.extend_timeout(longest + _LATE)
        self.reloads.end()
        log.info("stopping: %d workers", sum(len(pool.workers()) for pool in self.pools))
        self.sockets.begin_drain()
        for pool in self.all_pools():
            pool.stop(Event.CLOSE if self.sockets.stored else Event.STOP)
        self.sockets.leave_to_workers()
        if any(pool.workers() for pool in self.all_pools()):
            self._deadline.set(longest)
        else:
            self.reactor.stopped = True

    def _out_of_time(self) -> None:
        log.warning("not all workers finished in time")
        self._kill()

    def _kill(self) -> None:
        for pool in self.all_pools():
            pool.kill()
        self.reactor.stopped = True

    def _reap(self) -> None:
        """Bury one that has ended; all that it said before has to be heard first, or its number means nothing to us."""
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        # Applications may end processes as fast as we bury them; others have their turn in between.
        self._burial.set(0)
        for pool in self.all_pools():
            for generation in pool.generations():
                pool.hear(generation, _ALL_MESSAGES)
        pid, status = os.waitpid(ended.si_pid, 0)
        # Others are what applications have started and left behind; they come to us as we are the subreaper.
        any(pool.ended(pid, status) for pool in self.all_pools()) or self._succession.upgrade.ended(pid, status)
        self._forget_leaving()
