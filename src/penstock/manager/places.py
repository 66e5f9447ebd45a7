"""This file keeps a supervisor's listeners by their address, so that another plan or another image of it finds them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, final

from penstock.manager.handover import STORED, Handover, Parcel
from penstock.manager.plan import Plan, PoolPlan
from penstock.manager.systemd import Notifier
from penstock.server.address import (
    AddressError,
    BindError,
    FdAddress,
    TcpAddress,
    UnixAddress,
    join_host,
    parse_address,
)
from penstock.server.homes import Home, find_home, inherited_listeners, passed_sockets
from penstock.server.host import DEFAULT_MODE, Listening, announce
from penstock.server.listen import Listener, open_listeners
from penstock.server.notices import log
from penstock.server.passing import Passed, pass_on, take_over, take_stored

INHERITED: Final = "inherited"

Taking = Callable[..., Listener]
"""Takes a listener that has been kept: taking(allow, insecure_public=...)."""


@final
class Places:
    """Open listeners, and those that can be had without opening them.

    Attributes:
        open: by address.
        owned: no web server has started us with its socket.
        home: where sockets come from that nobody has named.
    """

    def __init__(self) -> None:
        self.open: Final[dict[str, list[Listener]]] = {}
        self.owned = True
        self.home = Home.SHELL
        self._kept: dict[str, list[Taking]] = {}

    def unpack(self, handover: Handover) -> None:
        """Look at what we have handed over to ourselves.

        Raises:
            KeyError, TypeError, ValueError: that makes no sense.
        """
        self.home = Home[handover.content["home"]]
        for key, listeners in handover.content["listeners"].items():
            self._kept[key] = [_handed(handover, told) for told in listeners]

    def unpack_stored(self) -> None:
        """Look at what systemd has kept for us; what is meant for us by its unit stays there for others to take."""
        passed = passed_sockets(os.environ)
        ours = [socket for socket in passed if socket.name.startswith(STORED)]
        for number, name in ours:
            address = unescape(name.removeprefix(STORED))
            self._kept.setdefault(address, []).append(_stored(number, address))
        if ours and len(ours) == len(passed):
            for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
                os.environ.pop(name, None)

    def prepare(self, plan: Plan) -> list[str]:
        """Open what another plan needs beside what is open; all of it, or nothing. Returns what that was.

        Raises:
            AddressError, BindError: an address cannot be listened on.
        """
        before = set(self.open)
        try:
            for pool in plan.pools:
                self.of_pool(pool)
            if plan.status_bind is not None:
                self.of_status(plan.status_bind)
        except BaseException:
            self.drop(self.open.keys() - before)
            raise
        return [*(self.open.keys() - before)]

    def of_pool(self, pool: PoolPlan) -> list[Listener]:
        """The listeners of a pool, in the order of its addresses.

        Raises:
            AddressError, BindError: an address cannot be listened on.
            ValueError: it has no address.
        """
        words: dict[str, Any] = dict(pool.serving)
        allow: Sequence[str] | None = words.get("allow")
        public = bool(words.get("insecure_public", False))

        def listen(*binds: str) -> list[Listener]:
            mode = words.get("socket_mode", DEFAULT_MODE)
            owner, group = words.get("socket_owner"), words.get("socket_group")
            return Listening(binds, mode, owner, group, allow, public).open()

        if not pool.bind:
            return self._find(INHERITED, allow, public, lambda: self._inherit(pool, allow, public))
        numbers = [bind for bind in pool.bind if key_of(bind).startswith("fd:") and not self._has(bind)]
        # At once, for a socket that moves takes the next number that is free.
        for bind, listener in zip(numbers, listen(*numbers) if numbers else (), strict=True):
            self.open[key_of(bind)] = [listener]
            announce([listener], None)
        found = []
        for place, bind in enumerate(pool.bind):
            key = key_of(bind)
            if key.endswith(":0"):  # the kernel chooses a port, another one for each
                key += f" ({pool.name} {place})"
            found += self._find(key, allow, public, partial(listen, bind))
        return found

    def of_status(self, bind: str) -> list[Listener]:
        """The listeners of the status page."""
        return self._find(key_of(bind), None, False, lambda: open_listeners(bind))

    def _has(self, bind: str) -> bool:
        key = key_of(bind)
        return key in self.open or key in self._kept

    def _inherit(self, pool: PoolPlan, allow: Sequence[str] | None, public: bool) -> list[Listener]:
        self.home = find_home(os.environ)
        if self.home.once:
            raise ValueError(f"pool {pool.name} has no address; give it one with bind")
        return inherited_listeners(self.home, os.environ, allow=allow, insecure_public=public)

    def _find(
        self, key: str, allow: Sequence[str] | None, public: bool, make: Callable[[], list[Listener]]
    ) -> list[Listener]:
        if key not in self.open:
            listeners: list[Listener] = []
            for take in self._kept.pop(key, ()):
                try:
                    listeners.append(take(allow, insecure_public=public))
                except (BindError, OSError) as error:
                    log.warning("what was kept for %s is of no use: %s", key, error)
            self.open[key] = listeners = listeners or make()
            announce(listeners, None)
        if key == INHERITED:
            self.owned = self.home is not Home.FASTCGI
        return self.open[key]

    def rest(self) -> list[Listener]:
        """Take what was kept and nobody has asked for; it is open, and whoever waits there has not been answered."""
        found = []
        for kept in self._kept.values():
            for take in kept:
                with suppress(AddressError, BindError, OSError, ValueError):
                    found.append(take(None, insecure_public=True))
        self._kept.clear()
        return found

    def all(self) -> Iterator[Listener]:
        for listeners in self.open.values():
            yield from listeners

    def drop(self, keys: Sequence[str] | set[str]) -> None:
        """Close what is open at these addresses."""
        for key in keys:
            for listener in self.open.pop(key):
                listener.close()

    def pack(self, parcel: Parcel, leaving: Sequence[Listener]) -> None:
        """Hand all of it over, and those that have no place any more."""
        parcel.content["home"] = self.home.name
        parcel.content["listeners"] = {
            key: [packed(parcel, pass_on(listener)) for listener in listeners] for key, listeners in self.open.items()
        }
        for listener in leaving:
            parcel.content["listeners"].setdefault(listener.address, []).append(packed(parcel, pass_on(listener)))

    def store(self, notifier: Notifier) -> bool:
        """Have systemd keep our listeners while we are away; false if it does not.

        It says with FDSTORE (systemd 254) whether it keeps anything; what came from its unit it keeps anyway.
        """
        room = os.environ.get("FDSTORE", "")
        wanted = [(key, listener) for key in self.open for listener in self.open[key] if _may_be_stored(key)]
        if not wanted or INHERITED in self.open or not room.isdecimal() or int(room) < len(wanted):
            return False
        return all(
            notifier.store_fds(STORED + escape(key), [listener.socket.fileno()]) for key, listener in wanted
        ) and len(wanted) == sum(1 for _ in self.all())


def key_of(bind: str) -> str:
    """The same for each way in which an address can be written."""
    address = parse_address(bind)
    if isinstance(address, UnixAddress):
        return f"unix:{os.path.abspath(address.path)}"
    if isinstance(address, TcpAddress):
        return join_host(address.host, address.port)
    assert isinstance(address, FdAddress)
    return f"fd:{address.fd}"


def escape(address: str) -> str:
    """An address as a name of systemd's store, which takes printable ASCII without colons."""
    data = os.fsencode(address)
    return "".join(chr(byte) if 32 < byte < 127 and byte not in b":%" else f"%{byte:02x}" for byte in data)


def unescape(name: str) -> str:
    head, *parts = name.split("%")
    try:
        data = head.encode() + b"".join(bytes.fromhex(part[:2]) + part[2:].encode() for part in parts)
    except ValueError:
        return ""
    return os.fsdecode(data)


def _may_be_stored(key: str) -> bool:
    return not key.startswith("fd:") and len(STORED + escape(key)) < 256


def packed(parcel: Parcel, passed: Passed) -> Passed:
    """Let the descriptors of a listener come along."""
    parcel.fd(passed.socket)
    if passed.lock >= 0:
        parcel.fd(passed.lock)
    return passed


def unpacked(handover: Handover, told: Sequence[Any]) -> Passed:
    """What was packed of a listener.

    Raises:
        TypeError, ValueError: that makes no sense.
    """
    passed = Passed(*told)
    return passed._replace(socket=handover.fd(passed.socket), lock=handover.fd(passed.lock) if passed.lock >= 0 else -1)


def _handed(handover: Handover, told: Sequence[Any]) -> Taking:
    passed = unpacked(handover, told)
    return lambda allow, **more: take_over(passed, allow, **more)


def _stored(number: int, address: str) -> Taking:
    def take(allow: Sequence[str] | None, **more: Any) -> Listener:
        return take_stored(number, address, allow, **more)

    return take
