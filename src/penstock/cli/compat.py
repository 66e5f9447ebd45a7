"""This file is `penstock compat`: what somebody has to know who lets a web server start an old script as it is."""

from __future__ import annotations

from typing import Final

import click

from penstock.cli.options import GroupedCommand
from penstock.compat.aliases import PATH

NOTES: Final = (
    f'Apache: FcgidInitialEnv PYTHONPATH "{PATH}"',
    f'lighttpd: "bin-environment" => ( "PYTHONPATH" => "{PATH}" )',
    "`penstock serve SCRIPT` knows the folder by itself.",
    "Exit codes: 0 done, 2 wrong usage.",
)


def run(what: str) -> None:  # noqa: ARG001 - there is one thing to ask for
    """Print the folder, and nothing else, so that a shell can take it."""
    click.echo(PATH)


command = GroupedCommand(
    "compat",
    callback=run,
    params=[click.Argument(["what"], metavar="path", type=click.Choice(["path"]))],
    help="Print the folder that gives old scripts their flup, fcgi, jon, flipflop, fastcgi, gevent_fastcgi and fcgisgi:"
    " put it first in the PYTHONPATH that a web server starts them with.",
    notes=NOTES,
)
