"""This file is where `penstock` begins: it finds the command, loads that one alone, and turns ends into exit codes."""

from __future__ import annotations

import difflib
import os
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from penstock import __version__
from penstock.cli.failure import DONE, USAGE


class _Entry(NamedTuple):
    """A command that is not loaded yet: its module, what the overview shows, and its name in the module."""

    module: str
    usage: str
    help: str
    attribute: str = "command"


# A server that will run for months carries what it has imported, so each command's module is loaded when it is called.
COMMANDS: Final[dict[str, _Entry]] = {
    "serve": _Entry("penstock.cli.serve", "serve APP", "Serve an application to a web server, over FastCGI."),
    "dev": _Entry("penstock.cli.dev.command", "dev APP", "Develop: HTTP, reload on change, tracebacks in the page."),
    "request": _Entry("penstock.cli.request", "request ADDR URL", "Ask a FastCGI application something, like curl."),
    "config": _Entry("penstock.cli.config.command", "config SERVER APP", "Write a web server's configuration."),
    "check": _Entry("penstock.cli.check", "check [APP]", "Check settings and application; serve nothing."),
    "status": _Entry("penstock.cli.status", "status [TARGET]", "Show what a supervisor and its workers do."),
    "top": _Entry("penstock.cli.top", "top [TARGET]", "The same as a table that stays up to date."),
    "reload": _Entry("penstock.cli.manage", "reload [TARGET]", "Boot new workers; the old ones leave then.", "reload"),
    "upgrade": _Entry("penstock.cli.manage", "upgrade [TARGET]", "Put a new penstock in its place.", "upgrade"),
    "stop": _Entry("penstock.cli.manage", "stop [TARGET]", "Stop a supervisor; running requests finish.", "stop"),
    "reopen": _Entry("penstock.cli.manage", "reopen [TARGET]", "Open log files anew, when renamed.", "reopen"),
    "ping": _Entry("penstock.cli.manage", "ping [TARGET]", "Find out whether a supervisor answers.", "ping"),
    "compat": _Entry("penstock.cli.compat", "compat path", "Print the folder that gives old scripts flup, fcgi, jon."),
}

HELP: Final = (
    ("APP", "module:attribute, such as blog:app; a module with an app or application; a path, such as blog/app.py."),
    ("ADDR", "unix:/run/app.sock, 127.0.0.1:9000, [::1]:9000 or fd:3."),
)


class Commands(click.Group):
    """`penstock` itself."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        entry = COMMANDS.get(name)
        if entry is None:
            return None
        command: click.Command = getattr(import_module(entry.module), entry.attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            near = difflib.get_close_matches(name, COMMANDS, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(COMMANDS)}"
            raise click.UsageError(f"there is no command {name!r}; {hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_usage(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write_text("penstock: the FastCGI application server for Python")

    def format_options(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(entry.usage, entry.help) for entry in COMMANDS.values()])
        with formatter.section("Words"):
            formatter.write_dl(list(HELP))
        with formatter.section("Options"):
            formatter.write_dl([("--version, --help", "Show the version; this, or the help of a command.")])


@click.pass_context
def _without_command(ctx: click.Context) -> None:
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(USAGE)


penstock: Final = Commands(
    "penstock",
    callback=_without_command,
    invoke_without_command=True,
    params=[
        click.Option(
            ["--version"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=lambda ctx, _param, wanted: _show_version(ctx) if wanted else None,
        )
    ],
)


def _show_version(ctx: click.Context) -> None:
    click.echo(f"penstock {__version__}")
    ctx.exit()


def _has_current_folder() -> bool:
    """Not so in a shell that stands in a release that somebody has removed."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return False
    return True


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `penstock ARGUMENTS` (those of the process if None) and return the exit code."""
    try:
        ended = penstock.main(
            None if arguments is None else list(arguments), prog_name="penstock", standalone_mode=False
        )
    except click.UsageError as error:
        path = error.ctx.command_path if error.ctx is not None else "penstock"
        click.echo(f"{path}: {error.format_message()}\n{path} --help says more", err=True)
        return USAGE
    except click.ClickException as error:
        click.echo(error.format_message(), err=True)
        return error.exit_code
    except FileNotFoundError:
        if _has_current_folder():
            raise
        click.echo("penstock: the current folder is gone; change to one that is there", err=True)
        return USAGE
    except (click.Abort, KeyboardInterrupt):
        return 130  # what a shell says of a program that Ctrl-C has ended
    return ended if isinstance(ended, int) else DONE
