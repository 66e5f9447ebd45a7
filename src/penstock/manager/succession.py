"""This file is the supervisor between two images of itself: what it hands over, and what becomes of that afterwards."""

from __future__ import annotations

import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol, final

from penstock.manager.control import Answer, Control, control_path
from penstock.manager.estate import Estate
from penstock.manager.generation import Generation, Stage, Worker
from penstock.manager.handover import Handover, Parcel
from penstock.manager.life import State
from penstock.manager.logfile import LogFile
from penstock.manager.parts import Owner
from penstock.manager.pidfile import PidFile, PidFileError
from penstock.manager.plan import Plan, PoolPlan, Workers
from penstock.manager.policy import slots_for
from penstock.manager.pool import Pool
from penstock.manager.privileges import find_identity
from penstock.manager.reactor import Reactor
from penstock.manager.reloads import Reloads
from penstock.manager.sockets import Sockets
from penstock.manager.systemd import Notifier
from penstock.manager.upgrade import Upgrade, fits
from penstock.server.homes import Home
from penstock.server.listen import open_listeners

_WORKER: Final = ("slot", "grace", "since", "pid", "capacity", "used_up", "busy", "killed_for")


class Supervisor(Protocol):
    """What is handed over of a supervisor."""

    plan: Plan
    stopping: bool

    @property
    def began(self) -> float: ...
    @property
    def reactor(self) -> Reactor: ...
    @property
    def reloads(self) -> Reloads: ...
    @property
    def sockets(self) -> Sockets: ...
    @property
    def control(self) -> Control: ...
    @property
    def lifeline(self) -> tuple[int, int]: ...
    @property
    def pid_file(self) -> PidFile | None: ...
    @property
    def notifier(self) -> Notifier: ...
    @property
    def pools(self) -> list[Pool]: ...
    def all_pools(self) -> list[Pool]: ...


@final
class Succession:
    """The upgrades of one supervisor.

    Args:
        replan: makes the plan anew.

    Attributes:
        upgrade: does it.
    """

    def __init__(self, supervisor: Supervisor, replan: Callable[[], Plan] | None) -> None:
        self._supervisor = supervisor
        self._replan = replan
        self.upgrade: Final = Upgrade(self, lambda: supervisor.reactor.obeyed)

    @property
    def reactor(self) -> Reactor:
        return self._supervisor.reactor

    def take_plan(self) -> bool:
        """Take the plan as it is now; false if it takes another image of the supervisor to come true."""
        if self._replan is None:
            return True
        supervisor, plan = self._supervisor, self._replan()
        if not fits(supervisor.plan, plan) or not all(map(_has_room, supervisor.pools, plan.pools)):
            self.upgrade.begin("other pools, addresses, users, files or more workers")
            return False
        for pool, wanted in zip(supervisor.pools, plan.pools, strict=True):
            pool.plan = wanted
        supervisor.plan = plan
        return True

    def ask(self, why: str, answer: Answer | None = None) -> None:
        """Become another image of ourselves; `answer` is told how that went."""
        if self._supervisor.stopping:
            return
        self._supervisor.reloads.expect(answer)
        if self._supervisor.sockets.owned:
            self.upgrade.begin(why)
        else:
            self.upgrade_failed("the socket is that of another program, which has to start penstock anew")

    def is_between(self) -> bool:
        return not self._supervisor.stopping and not self._supervisor.reloads.booting

    def prepare(self) -> Callable[[], None]:
        supervisor = self._supervisor
        places = supervisor.sockets.places
        plan = supervisor.plan if self._replan is None else self._replan()
        try_files(plan, "" if supervisor.pid_file is None else supervisor.pid_file.path, supervisor.control.path)
        opened = places.prepare(plan)
        return lambda: places.drop(opened)

    def home(self) -> Home:
        return self._supervisor.sockets.places.home

    def pack(self, parcel: Parcel) -> dict[str, str]:
        supervisor = self._supervisor
        supervisor.sockets.pack(parcel)
        supervisor.control.pack(parcel)
        parcel.content |= {
            "began": supervisor.began,
            "lifeline": [parcel.fd(fd) for fd in supervisor.lifeline],
            "pid_file": None if supervisor.pid_file is None else supervisor.pid_file.path,
            "reloads": supervisor.reloads.figures(),
            "pools": [pack(pool, parcel) for pool in supervisor.all_pools()],
        }
        return dict(supervisor.notifier.environ)

    def upgrade_failed(self, error: str) -> None:
        self._supervisor.reloads.fail(error)


def try_files(plan: Plan, pid_file: str, control: str) -> None:
    """Open what the next image of us will open, and close it again: once that has begun there is no way back.

    Args:
        pid_file, control: the paths that we have now.

    Raises:
        BindError, LogFileError, PidFileError, ValueError: one is not to be had.
    """
    if plan.pid_file is not None and os.path.abspath(plan.pid_file) != pid_file:
        file = PidFile(plan.pid_file)
        file.write()
        file.remove()
    if control_path(plan) != control:
        for listener in open_listeners(f"unix:{control_path(plan)}", socket_mode=0o600):
            listener.close()
    if plan.slow_log_file is not None:
        LogFile(plan.slow_log_file).close()
    for pool in plan.pools:
        if pool.access_log_file is not None and pool.serving.get("access_log", True):
            LogFile(pool.access_log_file, find_identity(pool.user, pool.group)).close()


def _has_room(pool: Pool, plan: PoolPlan) -> bool:
    threads = int(plan.serving.get("threads", 1))
    return slots_for(plan.workers) <= pool.board.slots and threads <= pool.board.most_lanes


def lifeline_of(handover: Handover) -> tuple[int, int]:
    """Both ends of the pipe whose end is the supervisor's end."""
    theirs, ours = handover.content["lifeline"]
    return handover.fd(theirs), handover.fd(ours)


def remove_pid_file(plan: Plan, handover: Handover) -> None:
    """Take the pid file away that the image before us has written, if ours has another path."""
    path = handover.content["pid_file"]
    file = None if path is None else PidFile(path)
    if file is not None and (plan.pid_file is None or PidFile(plan.pid_file).path != file.path):
        try:
            file.write()
        except PidFileError:
            return
        file.remove()


def make_pools(plan: Plan, sockets: Sockets, owner: Owner, handover: Handover | None) -> list[Pool]:
    """The pools of a plan, and after them those that the image before us had and this plan has not."""
    told = [] if handover is None else handover.content["pools"]
    planned = {wanted.name for wanted in plan.pools}
    estates = {
        each["name"]: Estate.unpack(each, handover)
        for each in told
        if handover is not None and (each["name"] in planned or each["generations"])
    }
    pools = [
        Pool(wanted, listeners, identity, owner, estates.get(wanted.name))
        for wanted, listeners, identity in zip(plan.pools, sockets.listeners, sockets.identities, strict=True)
    ]
    for name, estate in estates.items():
        if name not in planned:
            gone = PoolPlan(name, estate.told["app"], workers=Workers(0, 1), serving={"graceful_timeout": estate.grace})
            pools.append(Pool(gone, [], None, owner, estate))
    for pool in pools:
        if pool.plan.name in estates:
            estate = estates[pool.plan.name]
            pool.leaving = [listener for listener in sockets.leaving if listener.address in estate.told["addresses"]]
            settle(pool, estate)
    return pools


def pack(pool: Pool, parcel: Parcel) -> dict[str, Any]:
    """What the next image has to know of a pool."""
    for pair in pool.files.pipes:
        for fd in pair:
            parcel.fd(fd)
    return {
        "name": pool.plan.name,
        "app": pool.plan.app,
        "grace": pool.plan.grace,
        "addresses": [listener.address for listener in (*pool.listeners, *pool.leaving)],
        "slots": pool.board.slots,
        "lanes": pool.board.most_lanes,
        "exchange": [parcel.fd(fd) for fd in pool.exchange.ends],
        "board": parcel.fd(pool.board.fd),
        "pipes": pool.files.pipes,
        "stacks": [parcel.fd(fd) for fd in pool.files.stacks],
        "retired": pool.retired_requests,
        "requests": pool.requests,
        "spawns": pool.spawns,
        "exits": pool.exits,
        "slow": pool.watchman.slow,
        "timeouts": pool.watchman.timeouts,
        "current": -1 if pool.current is None else pool.current.number,
        "generations": [_packed(generation, parcel) for generation in pool.generations()],
    }


def _packed(generation: Generation, parcel: Parcel) -> dict[str, Any]:
    return {
        "number": generation.number,
        "events": parcel.fd(generation.events.fileno()),
        "gate": generation.gate if generation.gate < 0 else parcel.fd(generation.gate),
        "slots": generation.slots,
        "stage": generation.stage.name,
        "template": generation.template,
        "files": generation.files,
        "workers": [
            {"state": worker.state.name, **{name: getattr(worker, name) for name in _WORKER}}
            for worker in generation.workers.values()
        ],
    }


def settle(pool: Pool, estate: Estate) -> None:
    """Let the generations of the estate live on in a new pool."""
    told = estate.told
    same_board = pool.board.fd == estate.memory
    pool.retired_requests = told["retired"] if same_board else told["requests"]
    pool.spawns = told["spawns"]
    pool.exits = Counter(told["exits"])
    pool.watchman.slow, pool.watchman.timeouts = told["slow"], told["timeouts"]
    for each, (events, gate) in zip(told["generations"], estate.channels, strict=True):
        generation = Generation(each["number"], None, socket.socket(fileno=events), gate, each["slots"])
        generation.stage = Stage[each["stage"]]
        generation.template = each["template"]
        generation.files = tuple(each["files"])
        for facts in each["workers"]:
            _revive(pool, generation, facts)
        if generation.number == told["current"]:
            pool.current = generation
        else:
            pool.former.append(generation)
        pool.listen_to(generation)
    if pool.current is not None:
        pool.staff.begin(len(pool.current.workers))
    pool.watchman.begin()


def _revive(pool: Pool, generation: Generation, facts: dict[str, Any]) -> Worker:
    worker = pool.make_worker(generation, facts["slot"])
    worker.state = State[facts["state"]]
    for name in _WORKER:
        setattr(worker, name, facts[name])
    generation.workers[worker.slot] = worker
    limits = pool.plan.limits
    age = pool.reactor.now - worker.since
    if worker.state is State.BOOTING and limits.boot_timeout:
        worker.alarm.set(limits.boot_timeout - age)
    elif worker.state is State.SERVING and limits.max_lifetime:
        worker.alarm.set(limits.lifetime(worker.slot, pool.board.slots) - age)
    elif worker.state in (State.LEAVING, State.DYING):
        worker.alarm.set(worker.grace + 1.0 - age)
    return worker
