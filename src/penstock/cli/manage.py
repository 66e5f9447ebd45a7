"""This file is `penstock reload`, `upgrade`, `stop`, `reopen` and `ping`: short words to a running supervisor."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final

import click

from penstock.cli.control import TARGETS, Conversation, find_control
from penstock.cli.failure import APP, TARGET, Failure
from penstock.cli.options import GroupedCommand, SettingOption
from penstock.manager.figures import lines

_TARGET_NOTE: Final = f"TARGET is {TARGETS}. Without it: the supervisor of ./penstock.sock, else the only one there is."
_WAITING: Final = "Waiting"


def run_reload(target: str | None, wait: bool) -> None:
    """Ask for a new generation.

    Raises:
        Failure: nobody answers, or the new generation does not serve.
    """
    _renew("reload", target, wait)


def run_upgrade(target: str | None, wait: bool) -> None:
    """Ask for another image of the supervisor, and a new generation.

    Raises:
        Failure: nobody answers, it cannot be, or the new generation does not serve.
    """
    _renew("upgrade", target, wait)


def _renew(command: str, target: str | None, wait: bool) -> None:
    with Conversation(find_control(target)) as supervisor:
        answer = supervisor.ask(command, wait=wait)
    if not answer["ok"]:
        traceback = lines(answer.get("traceback") or "")
        reason = _reason(answer)
        if reason in traceback:
            reason = "the new generation does not serve; the old one goes on"
        raise Failure(APP, "\n".join([*traceback, f"penstock {command}: {reason}"]))


def run_stop(target: str | None, wait: bool) -> None:
    """Ask for the end; running requests are finished first.

    Raises:
        Failure: nobody answers, or it refuses.
    """
    with ExitStack() as stack:
        supervisor = stack.enter_context(Conversation(find_control(target)))
        # Before it is asked: afterwards it may have gone already.
        end = stack.enter_context(supervisor.process()) if wait else None
        answer = supervisor.ask("stop", wait=wait)
        if not answer["ok"]:
            raise Failure(TARGET, f"penstock stop: {_reason(answer)}")
        if end is not None:
            end.wait()


def run_reopen(target: str | None) -> None:
    """Have log files opened anew, after they have been renamed.

    Raises:
        Failure: nobody answers, or it cannot.
    """
    with Conversation(find_control(target)) as supervisor:
        answer = supervisor.ask("reopen")
    if not answer["ok"]:
        raise Failure(TARGET, f"penstock reopen: {_reason(answer)}")


def run_ping(target: str | None) -> None:
    """Find out whether the supervisor answers.

    Raises:
        Failure: it does not.
    """
    with Conversation(find_control(target)) as supervisor:
        answer = supervisor.ask("ping")
    if not answer["ok"]:
        raise Failure(TARGET, f"penstock ping: {_reason(answer)}")
    click.echo(f"process {answer.get('pid')} answers")


def _reason(answer: dict[str, Any]) -> str:
    return "\n".join(lines(answer.get("error") or "the supervisor refused and gave no reason"))


def _target() -> click.Argument:
    return click.Argument(["target"], metavar="[TARGET]", required=False)


def _wait(text: str) -> SettingOption:
    return SettingOption(["wait", "--wait"], _WAITING, "--wait", is_flag=True, help=text)


reload: Final = GroupedCommand(
    "reload",
    callback=run_reload,
    params=[_target(), _wait("Return when the new generation serves, or has failed.")],
    help="Boot a new generation of workers beside the old one, which leaves when the new one serves.",
    notes=(
        _TARGET_NOTE,
        "Exit codes: 0 done, or asked for without --wait; 2 wrong usage; 3 the new generation does not serve and the"
        " old one goes on; 5 the target did not answer.",
    ),
)
upgrade: Final = GroupedCommand(
    "upgrade",
    callback=run_upgrade,
    params=[_target(), _wait("Return when the new generation serves, or has failed.")],
    help="Start the supervisor anew in place, for another penstock or Python; no request is lost.",
    notes=(
        _TARGET_NOTE,
        "Exit codes: 0 done, or asked for without --wait; 2 wrong usage; 3 it cannot be, and all goes on as it was;"
        " 5 the target did not answer.",
    ),
)
stop: Final = GroupedCommand(
    "stop",
    callback=run_stop,
    params=[_target(), _wait("Return when it has ended.")],
    help="Stop a supervisor and its workers; running requests are finished first.",
    notes=(
        _TARGET_NOTE,
        "Exit codes: 0 done, or asked for without --wait; 2 wrong usage; 5 the target did not answer.",
    ),
)
reopen: Final = GroupedCommand(
    "reopen",
    callback=run_reopen,
    params=[_target()],
    help="Open log files anew, when they have been renamed.",
    notes=(_TARGET_NOTE, "Exit codes: 0 done, 2 wrong usage, 5 the target did not answer."),
)
ping: Final = GroupedCommand(
    "ping",
    callback=run_ping,
    params=[_target()],
    help="Find out whether a supervisor answers.",
    notes=(_TARGET_NOTE, "Exit codes: 0 it answers, 2 wrong usage, 5 it does not."),
)
