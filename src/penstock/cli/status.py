"""This file is `penstock status`: what a supervisor and its workers do, once or again and again."""

from __future__ import annotations

import sys
import time
from typing import Any, Final

import click

from penstock.cli.control import ask
from penstock.cli.failure import TARGET, USAGE, Failure
from penstock.cli.options import SettingOption
from penstock.cli.target import TargetCommand
from penstock.manager.openmetrics import NotInstalled
from penstock.manager.views import render

_OUTPUT: Final = "Output"
_INTERVAL: Final = 1.0
_CLEAR: Final = "\x1b[H\x1b[2J"


def run(target: str | None, **given: Any) -> None:
    """Show the status.

    Raises:
        Failure: nobody answers, or the extra is missing.
    """
    form = given["form"] or "text"
    while True:
        shown = _render(form, fetch(target))
        if given["watch"] and sys.stdout.isatty():
            click.echo(_CLEAR, nl=False)
        click.echo(shown, nl=False)
        if not given["watch"]:
            return
        time.sleep(_INTERVAL)


def fetch(target: str | None) -> dict[str, Any]:
    """The status of a supervisor.

    Raises:
        Failure: nobody answers, or not with a status.
    """
    answer = ask(target, "status")
    status = answer.get("status")
    if not isinstance(status, dict):
        raise Failure(TARGET, f"the supervisor gave no status: {answer.get('error') or 'and no reason'}")
    return status


def _render(form: str, status: dict[str, Any]) -> bytes:
    try:
        return render(form, status).body
    except NotInstalled as error:
        raise Failure(USAGE, f"penstock status: {error}") from None
    except (KeyError, TypeError) as error:
        raise Failure(TARGET, f"the status of another version of penstock cannot be shown ({error!r})") from None


def _form(name: str, text: str) -> SettingOption:
    return SettingOption(["form", f"--{name}"], _OUTPUT, f"--{name}", flag_value=name, help=text)


command: Final = TargetCommand(
    "status",
    callback=run,
    params=[
        _form("json", "For programs; its keys stay."),
        _form("openmetrics", "For Prometheus; needs penstock[metrics]."),
        _form("html", "A page for a browser."),
        SettingOption(["watch", "--watch"], _OUTPUT, "--watch", is_flag=True, help="Once a second, until Ctrl-C."),
    ],
    help="Show what a supervisor and its workers do.",
    exits="0 shown, 2 wrong usage, 5 the target did not answer",
)
