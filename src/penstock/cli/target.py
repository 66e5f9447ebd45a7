"""This file is the shape that all commands to a running supervisor share: `penstock COMMAND [TARGET]`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from penstock.cli.control import TARGETS
from penstock.cli.options import GroupedCommand

_NOTE: Final = f"TARGET is {TARGETS}. Without it: the supervisor of ./penstock.sock, else the only one there is."


class TargetCommand(GroupedCommand):
    """A command whose callback gets a target, or None for the only one there is.

    Args:
        exits: what each exit code means.
    """

    def __init__(self, name: str, *, exits: str, params: Sequence[click.Parameter] = (), **more: Any) -> None:
        target = click.Argument(["target"], metavar="[TARGET]", required=False)
        super().__init__(name, params=[target, *params], notes=(_NOTE, f"Exit codes: {exits}."), **more)
