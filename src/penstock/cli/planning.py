"""This file makes the supervisor's plan of what was written: command line over environment over file over default."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

import click

from penstock.cli.config_file import DEFAULT_FILE, ConfigFile, Layer, Mistake, Mistakes, Place, Written, read
from penstock.cli.failure import USAGE, Failure
from penstock.cli.manager_settings import MANAGER_SETTINGS, SUPERVISOR_SETTINGS, WORKER_SETTINGS
from penstock.cli.options import collect, written_at
from penstock.cli.setting import Setting
from penstock.cli.settings import SETTINGS
from penstock.manager.handover import home_before
from penstock.manager.plan import Plan, PoolPlan, WorkerLimits
from penstock.manager.privileges import find_identity
from penstock.server.address import BindError, FdAddress, TcpAddress, UnixAddress, join_host, parse_address, shown
from penstock.server.homes import Home, find_home
from penstock.server.serving import DEFAULT_BIND
from penstock.server.unixsocket import group_id, user_id

ONLY_POOL: Final = "main"
"""The name of the pool that nobody has named."""


class Planner:
    """Makes the plan of one call of the command line, and makes it anew for a reload: then the file is read again.

    Args:
        app: APP, or None where a file says what to serve.
        given: what click has gathered.

    Raises:
        UsageError: there is neither APP nor file.
    """

    def __init__(self, app: str | None, given: dict[str, Any]) -> None:
        self._app = app
        self._own = _own_layer(given)
        # Asked once: a supervisor takes the sockets that were passed to it.
        self._home = home_before(os.environ) or find_home(os.environ)
        self._path = given["config"]
        if self._path is None and app is None:
            self._path = DEFAULT_FILE
            if not os.path.exists(DEFAULT_FILE):
                raise click.UsageError(
                    f"there is no APP, and no {DEFAULT_FILE} here; write APP as in blog:app, or --config FILE"
                )

    def __call__(self) -> Plan:
        """The plan as things stand now.

        Raises:
            Mistakes: with all that is wrong.
        """
        return make_plan(self._app, self._own, None if self._path is None else read(self._path), self._home)

    def first(self, command: str) -> Plan:
        """The same for the start of a command.

        Raises:
            Failure: with all that is wrong.
        """
        try:
            return self()
        except Mistakes as error:
            told = error.lines[0]
            if len(error.lines) > 1:
                told = "\n  ".join((f"{len(error.lines)} settings are wrong", *error.lines))
            raise Failure(USAGE, f"penstock {command}: {told}") from None


def _own_layer(given: dict[str, Any]) -> Layer:
    """What was said by flag or environment variable."""
    rows = [row for row in (*SETTINGS, *MANAGER_SETTINGS) if written_at(row)]
    values = collect(rows, given)
    return {row.name: Written(values[row.name], written_at(row)) for row in rows}


def make_plan(app: str | None, own: Layer, file: ConfigFile | None, home: Home = Home.SHELL) -> Plan:
    """Lay the sources over each other.

    Args:
        app: APP of the command line; then it is the only pool.
        own: what the command line and the environment say.
        file: penstock.toml.
        home: where sockets come from when nobody says where to listen.

    Raises:
        Mistakes: all that is wrong, in the file and between its parts.
    """
    mistakes = [] if file is None else list(file.mistakes)
    top = {} if file is None else file.top
    layers = _pool_layers(app, top, file, mistakes)
    pools = {name: _merged(top, layer, own) for name, layer in layers.items()}
    common_layer = _merged(top, own)
    for pool in pools.values():
        mistakes += _check_pool(pool, home, alone=len(pools) == 1)
    mistakes += _check_sockets(pools, common_layer)
    mistakes += _check_logs(pools)
    if mistakes:
        raise Mistakes(mistakes)
    common = _values(SUPERVISOR_SETTINGS, common_layer)
    return Plan(
        tuple(_pool(name, pool) for name, pool in pools.items()),
        pid_file=common["pid"],
        **{name: common[name] for name in ("control", "slow_log_file", "probation", "reload_on", "status_bind")},
    )


def _pool_layers(app: str | None, top: Layer, file: ConfigFile | None, mistakes: list[Mistake]) -> dict[str, Layer]:
    pools = {} if file is None else file.pools
    if app is not None:
        if pools:
            first = next(iter(pools))
            mistakes.append(Mistake(_pool_place(file, first), f"the file has its own pools; leave APP ({app}) out"))
        return {ONLY_POOL: {"app": Written(app, "APP")}}
    if not pools and file is not None:
        # Tables that were refused have been told of already.
        if "app" not in top and not mistakes:
            mistakes.append(
                Mistake(file.name, 'it names no application; write app = "blog:app", or [pool.blog] and an app')
            )
        return {ONLY_POOL: {}}
    if "app" in top:
        mistakes.append(
            Mistake(top["app"].where, "the file has pools, and each names its own application; move it there")
        )
        return pools
    mistakes += [
        Mistake(_pool_place(file, name), "app is missing") for name, layer in pools.items() if "app" not in layer
    ]
    return pools


def _pool_place(file: ConfigFile | None, pool: str) -> Place:
    assert file is not None, "pools come from files"
    return Place(file, ("pool", pool))


def _merged(*layers: Layer) -> Layer:
    """Later layers win; only variables of the environment add up."""
    merged: Layer = {}
    for layer in layers:
        for name, item in layer.items():
            before = merged[name].value if name == "env" and name in merged else ()
            merged[name] = Written(before + item.value, item.where) if before else item
    return merged


def _values(rows: Sequence[Setting], layer: Layer) -> dict[str, Any]:
    return {row.name: layer[row.name].value if row.name in layer else row.default for row in rows}


def _pool(name: str, layer: Layer) -> PoolPlan:
    serving = _values(SETTINGS, layer)
    bind = serving.pop("bind")
    own = _values(WORKER_SETTINGS, layer)
    return PoolPlan(
        name,
        layer["app"].value,
        tuple(bind),
        own["workers"],
        serving,
        WorkerLimits(**{field.name: own[field.name] for field in fields(WorkerLimits)}),
        own["preload"],
        own["user"],
        own["group"],
        dict(assignment.split("=", 1) for assignment in own["env"]),
        own["chdir"],
        own["access_log_file"],
    )


def _check_pool(layer: Layer, home: Home, *, alone: bool) -> list[Mistake]:
    mistakes = []
    # What is wrong with the group is said of the group alone.
    mistakes += _refusal(layer, "user", lambda name: find_identity(name, "0" if "group" in layer else None))
    mistakes += _refusal(layer, "group", lambda name: find_identity(None, name))
    mistakes += _refusal(layer, "socket_owner", user_id)
    mistakes += _refusal(layer, "socket_group", group_id)
    folder = layer.get("chdir")
    if folder is not None and not os.path.isdir(folder.value):
        mistakes.append(Mistake(folder.where, f"{shown(folder.value)} is no folder"))
    if "bind" in layer:
        return mistakes
    if not alone:
        if "app" in layer:
            mistakes.append(
                Mistake(layer["app"].where, "with several pools each says where it listens; write its bind")
            )
        return mistakes
    if home is Home.SHELL:
        layer["bind"] = Written((DEFAULT_BIND,), "")
    elif home is Home.CGI:
        mistakes.append(
            Mistake("CGI", "a CGI program answers one request and has no workers; leave their settings out")
        )
    return mistakes


def _refusal(layer: Layer, name: str, look_up: Callable[..., object]) -> list[Mistake]:
    if name not in layer:
        return []
    try:
        look_up(layer[name].value)
    except (ValueError, BindError) as error:
        return [Mistake(layer[name].where, str(error))]
    return []


def _check_sockets(pools: Mapping[str, Layer], common: Layer) -> list[Mistake]:
    """Each place to listen at has one owner, however its name is spelt."""
    owners: dict[str, str] = {}
    mistakes = []
    claims = [
        (text, f"pool {name}", layer["bind"].where)
        for name, layer in pools.items()
        if "bind" in layer
        for text in layer["bind"].value
    ]
    if "status_bind" in common:
        claims.append((common["status_bind"].value, "the status page", common["status_bind"].where))
    if "control" in common:
        claims.append((f"unix:{common['control'].value}", "the control socket", common["control"].where))
    for text, owner, where in claims:
        key = _socket_key(text)
        if key in owners:
            mistakes.append(Mistake(where, f"{shown(text)} is taken by {owners[key]} already; give {owner} another"))
        elif key:
            owners[key] = owner
    return mistakes


def _check_logs(pools: Mapping[str, Layer]) -> list[Mistake]:
    """Workers open a log anew when it has been renamed, so it belongs to one user."""
    owners: dict[str, tuple[str, tuple[object, ...]]] = {}
    mistakes = []
    for name, layer in pools.items():
        log, writes = layer.get("access_log_file"), layer.get("access_log")
        if log is None or (writes is not None and not writes.value):
            continue
        user = tuple(layer[key].value if key in layer else None for key in ("user", "group"))
        other, owner = owners.setdefault(os.path.realpath(log.value), (name, user))
        if owner != user:
            told = f"pool {other} writes {shown(log.value)} as another user; give pool {name} a file of its own"
            mistakes.append(Mistake(log.where, told))
    return mistakes


def _socket_key(text: str) -> str:
    """The same for two addresses that are one socket; "" for one that never is, port 0."""
    try:
        address = parse_address(text)
    except ValueError:
        return ""  # a path that is no address fails where it is opened
    if isinstance(address, UnixAddress):
        folder, name = os.path.split(os.path.abspath(address.path))
        return os.path.join(os.path.realpath(folder), name)
    if isinstance(address, TcpAddress):
        return join_host(address.host, address.port) if address.port else ""
    assert isinstance(address, FdAddress)
    return f"fd:{address.fd}"
