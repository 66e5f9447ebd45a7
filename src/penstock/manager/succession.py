"""This file is the supervisor between two images of itself: what it hands over, and what becomes of that afterwards."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

from penstock.manager.control import Answer
from penstock.manager.estate import Estate, pack, settle
from penstock.manager.handover import Handover, Parcel
from penstock.manager.parts import Owner
from penstock.manager.pidfile import PidFile, PidFileError
from penstock.manager.plan import Plan, PoolPlan, Workers
from penstock.manager.pool import Pool
from penstock.manager.reactor import Reactor
from penstock.manager.sockets import Sockets
from penstock.manager.upgrade import Upgrade, fits
from penstock.server.homes import Home

if TYPE_CHECKING:
    from penstock.manager.supervisor import Supervisor


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
        if not fits(supervisor.plan, plan) or not all(map(Pool.has_room, supervisor.pools, plan.pools)):
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
        places = self._supervisor.sockets.places
        opened = places.prepare(self._supervisor.plan if self._replan is None else self._replan())
        return lambda: places.drop(opened)

    def home(self) -> Home:
        return self._supervisor.sockets.places.home

    def pack(self, parcel: Parcel) -> dict[str, str]:
        supervisor = self._supervisor
        supervisor.sockets.places.pack(parcel)
        supervisor.control.pack(parcel)
        parcel.content |= {
            "began": supervisor.began,
            "lifeline": [parcel.fd(fd) for fd in supervisor.lifeline],
            "pid_file": None if supervisor.pid_file is None else supervisor.pid_file.path,
            "reloads": supervisor.reloads.figures(),
            "pools": [pack(pool, parcel) for pool in supervisor.pools],
        }
        return dict(supervisor.notifier.environ)

    def upgrade_failed(self, error: str) -> None:
        self._supervisor.reloads.fail(error)


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
    estates = {} if handover is None else {each["name"]: Estate.unpack(each, handover) for each in told}
    pools = [
        Pool(wanted, listeners, identity, owner, estates.get(wanted.name))
        for wanted, listeners, identity in zip(plan.pools, sockets.listeners, sockets.identities, strict=True)
    ]
    planned = {wanted.name for wanted in plan.pools}
    for name, estate in estates.items():
        if name not in planned and estate.told["generations"]:
            gone = PoolPlan(name, estate.told["app"], workers=Workers(0, 1), serving={"graceful_timeout": estate.grace})
            pools.append(Pool(gone, [], None, owner, estate))
    for pool in pools:
        if pool.plan.name in estates:
            estate = estates[pool.plan.name]
            pool.leaving = [listener for listener in sockets.leaving if listener.address in estate.told["addresses"]]
            settle(pool, estate)
    return pools
