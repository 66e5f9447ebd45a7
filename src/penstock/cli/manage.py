"""This file is `penstock reload`, `upgrade`, `stop`, `reopen` and `ping`: short words to a running supervisor."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import click

from penstock.cli.control import Conversation, ask, find_control
from penstock.cli.failure import APP, TARGET, Failure
from penstock.cli.options import SettingOption
from penstock.cli.target import TargetCommand
from penstock.manager.figures import lines

_WAITING: Final = "Waiting"


def run_renewal(command: str, target: str | None, wait: bool) -> None:
    """Ask for a new generation (reload), or for another image of the supervisor with a new generation (upgrade).

    Raises:
        Failure: nobody answers, it cannot be, or the new generation does not serve.
    """
    answer = ask(target, command, wait=wait)
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
        _obeyed("stop", supervisor.ask("stop", wait=wait))
        if end is not None:
            end.wait()


def run_reopen(target: str | None) -> None:
    """Have log files opened anew, after they have been renamed.

    Raises:
        Failure: nobody answers, or it cannot.
    """
    _obeyed("reopen", ask(target, "reopen"))


def run_ping(target: str | None) -> None:
    """Find out whether the supervisor answers.

    Raises:
        Failure: it does not.
    """
    click.echo(f"process {_obeyed('ping', ask(target, 'ping')).get('pid')} answers")


def _obeyed(command: str, answer: dict[str, Any]) -> dict[str, Any]:
    if not answer["ok"]:
        raise Failure(TARGET, f"penstock {command}: {_reason(answer)}")
    return answer


def _reason(answer: dict[str, Any]) -> str:
    return "\n".join(lines(answer.get("error") or "the supervisor refused and gave no reason"))


def _wait(text: str) -> SettingOption:
    return SettingOption(["wait", "--wait"], _WAITING, "--wait", is_flag=True, help=text)


reload: Final = TargetCommand(
    "reload",
    callback=partial(run_renewal, "reload"),
    params=[_wait("Return when the new generation serves, or has failed.")],
    help="Boot a new generation of workers beside the old one, which leaves when the new one serves.",
    exits="0 done, or asked for without --wait; 2 wrong usage; 3 the new generation does not serve and the"
    " old one goes on; 5 the target did not answer",
)
upgrade: Final = TargetCommand(
    "upgrade",
    callback=partial(run_renewal, "upgrade"),
    params=[_wait("Return when the new generation serves, or has failed.")],
    help="Start the supervisor anew in place, for another penstock or Python; no request is lost.",
    exits="0 done, or asked for without --wait; 2 wrong usage; 3 it cannot be, and all goes on as it was;"
    " 5 the target did not answer",
)
stop: Final = TargetCommand(
    "stop",
    callback=run_stop,
    params=[_wait("Return when it has ended.")],
    help="Stop a supervisor and its workers; running requests are finished first.",
    exits="0 done, or asked for without --wait; 2 wrong usage; 5 the target did not answer",
)
reopen: Final = TargetCommand(
    "reopen",
    callback=run_reopen,
    help="Open log files anew, when they have been renamed.",
    exits="0 done, 2 wrong usage, 5 the target did not answer",
)
ping: Final = TargetCommand(
    "ping",
    callback=run_ping,
    help="Find out whether a supervisor answers.",
    exits="0 it answers, 2 wrong usage, 5 it does not",
)
