"""This file is `penstock check`: the settings are read, the applications imported in children, and nothing is bound."""

from __future__ import annotations

import os
import re
import select
import signal
import traceback
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import click

from penstock.cli.failure import APP, USAGE, Failure
from penstock.cli.finding import find
from penstock.cli.manager_settings import MANAGER_SETTINGS, SUPERVISOR_SETTINGS, WORKER_SETTINGS
from penstock.cli.options import GroupedCommand, option, written_at
from penstock.cli.planning import Planner
from penstock.cli.setting import Setting
from penstock.cli.settings import SETTINGS
from penstock.cli.values import ASSIGNMENTS, SWITCH
from penstock.manager.plan import Plan, PoolPlan
from penstock.manager.privileges import check_identity, drop_privileges, find_identity
from penstock.server.importer import AppError
from penstock.server.script import Script
from penstock.server.wiring import NotAnApplication, blocking_gateway, is_asgi, is_wsgi

NOTES: Final = (
    "Takes the options of penstock serve, and prints what holds in the words of penstock.toml.",
    "Exit codes: 0 all is well, 2 a setting is wrong, 3 an application cannot be loaded.",
)


def run(app: str | None, **given: Any) -> None:
    """Check.

    Raises:
        Failure: something is wrong.
    """
    supervised = app is None or any(written_at(setting) for setting in MANAGER_SETTINGS)
    plan = Planner(app, given).first("check")
    click.echo("\n".join(as_toml(plan, supervised=supervised)))
    failed = False
    for pool in plan.pools:
        try:
            click.echo(f"pool {pool.name}: {pool.app} is {_import_in_child(pool)}", err=True)
        except AppError as error:
            told = filter(None, (error.report(), f"pool {pool.name}: {pool.app} cannot be served"))
            click.echo("\n".join(told), err=True)
            failed = True
    if failed:
        raise Failure(APP, "penstock check: not all applications can be loaded")


def as_toml(plan: Plan, *, supervised: bool = True) -> Iterator[str]:
    """The lines of a penstock.toml that makes this plan.

    Args:
        supervised: without it, what concerns workers and their supervisor is left out.
    """
    if supervised:
        names = {"pid": "pid_file"}
        common = {row.name: getattr(plan, names.get(row.name, row.name), None) for row in SUPERVISOR_SETTINGS}
        yield from _rows(SUPERVISOR_SETTINGS, common)
    else:
        yield "# one process, without a supervisor"
    for pool in plan.pools:
        yield ""
        yield f"[pool.{_key(pool.name)}]"
        yield f"app = {_text(pool.app)}"
        yield from _rows(SETTINGS, {**pool.serving, "bind": pool.bind})
        if supervised:
            own = {row.name: getattr(pool, row.name, getattr(pool.limits, row.name, None)) for row in WORKER_SETTINGS}
            assignments = tuple(f"{name}={value}" for name, value in pool.env.items())
            yield from _rows(WORKER_SETTINGS, {**own, "chdir": pool.directory, "env": assignments})


def _rows(rows: Sequence[Setting], values: Mapping[str, Any]) -> Iterator[str]:
    for row in rows:
        value = values[row.name]
        if value is None or (row.kind.many and not value and not row.default):
            continue
        yield f"{row.name} = {_toml(row, value)}"


def _toml(row: Setting, value: Any) -> str:
    kind = row.kind
    if kind is SWITCH:
        return "true" if value else "false"
    if kind is ASSIGNMENTS:
        pairs = (assignment.split("=", 1) for assignment in value)
        return "{ " + ", ".join(f"{_key(name)} = {_text(text)}" for name, text in pairs) + " }"
    if kind.many:
        return "[" + ", ".join(_text(kind.show(item)) for item in value) + "]"
    text = kind.show(value)
    return text if int in kind.toml and text.lstrip("-").isdigit() else _text(text)


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name, re.ASCII) else _text(name)


def _text(text: str) -> str:
    """A basic string of TOML."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in escaped) + '"'


def _import_in_child(pool: PoolPlan) -> str:
    """What the application is: imported the way a worker would, as its user, in its folder.

    Raises:
        AppError: it cannot be loaded or served; the child has said on standard error why, or it took too long.
        Failure: nobody here may become the pool's user.
    """
    identity = find_identity(pool.user, pool.group)
    try:
        check_identity(identity)
    except PermissionError as error:
        raise Failure(USAGE, f"penstock check: {error}") from None
    result, ours = os.pipe()
    child = os.fork()
    if not child:
        os.close(result)
        status = 1
        try:
            drop_privileges(identity)
            if identity is not None:
                os.environ.update(identity.environ())
            os.environ.update(pool.env)
            if pool.directory is not None:
                os.chdir(pool.directory)
            os.write(ours, _kind_of(pool).encode())
            status = 0
        except AppError as error:
            click.echo(error.report(), err=True)
        except Exception:
            click.echo(traceback.format_exc(), err=True, nl=False)
        finally:
            os._exit(status)  # no end of the command that was forked, and no wait for threads of the application
    os.close(ours)
    return _outcome(pool, child, result)


def _outcome(pool: PoolPlan, child: int, result: int) -> str:
    try:
        ready, _, _ = select.select([result], [], [], pool.limits.boot_timeout or None)
        kind = os.read(result, 100).decode() if ready else ""
        if not ready:
            raise AppError(f"it was still being imported after {pool.limits.boot_timeout:g} seconds")
    finally:
        os.close(result)
        os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    if not kind:
        # _kind_of has told of what it knows; what ends a process without a word is a crash.
        code = os.waitstatus_to_exitcode(status)
        raise AppError("" if code == 1 else f"its import ended the process with {code}")
    return kind


def _kind_of(pool: PoolPlan) -> str:
    interface = pool.serving["interface"]
    application = find(pool.app)
    if isinstance(application, Script):
        return "a script, which was not run"
    try:
        if is_asgi(application, interface):
            return "an ASGI application"
        blocking_gateway(application, wanted=pool.serving["roles"])
    except NotAnApplication as error:
        raise AppError(str(error)) from None
    return "a WSGI application" if is_wsgi(application) else "a handler"


command: Final = GroupedCommand(
    "check",
    callback=run,
    params=[
        click.Argument(["app"], metavar="[APP]", required=False),
        *(option(setting) for setting in (*SETTINGS, *MANAGER_SETTINGS)),
    ],
    help="Check settings and APP, or what penstock.toml says, without serving anything.",
    notes=NOTES,
)
