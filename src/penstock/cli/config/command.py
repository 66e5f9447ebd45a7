"""This file is `penstock config`: it reads the command line, and writes the configuration to standard output."""

from __future__ import annotations

import os
from typing import Any, Final

import click

from penstock.cli.config.checks import check_files, check_sockets, warnings
from penstock.cli.config.quoting import Refused
from penstock.cli.config.servers import ALIASES, SERVERS, find_server
from penstock.cli.config.site import DEFAULT_LISTEN, Site, SiteError
from penstock.cli.config.text import config_text
from penstock.cli.options import GroupedCommand, SettingOption

_APPLICATION: Final = "Application"
_FRONT: Final = "Web server"
_OUTPUT: Final = "Output"

NOTES: Final = (
    "SERVER is one of " + ", ".join(SERVERS) + ". " + ", ".join(f"{a} is {n}" for a, n in ALIASES.items()) + ".",
    "Exit codes: 0 written, 2 wrong usage.",
)


def run(server: str, app: str, **given: Any) -> None:
    """Write the text to standard output, and to standard error what the web server will not reach.

    Raises:
        UsageError: an option is wrong, or a value cannot be written in that syntax.
    """
    try:
        row = find_server(server)
        if given["user"] is None and given["full"]:  # where root starts it; else it stays whoever does
            given["user"] = row.user if row.drops and os.geteuid() == 0 else ""
        site = Site(app=app, **given | {"static": [_static(text) for text in given["static"]]})
        text = config_text(row.name, site)  # what this server cannot be told comes before what is missing
        check_files(site)
        check_sockets(row, site)
        for warning in warnings(row, site):
            click.echo(f"penstock config: {warning}", err=True)
    except (SiteError, Refused) as error:
        raise click.UsageError(str(error)) from None
    click.echo(text, nl=False)


def _static(text: str) -> tuple[str, str]:
    url, equals, folder = text.partition("=")
    if not equals or not folder:
        raise SiteError(f"--static: {text!r} does not say which directory; write it as in --static /static=DIR")
    return url, folder


def _option(names: str, group: str, usage: str, help_text: str, **more: Any) -> SettingOption:
    return SettingOption(names.split(), group, usage, help=help_text, **more)


command = GroupedCommand(
    "config",
    callback=run,
    help="Write the configuration of SERVER for APP: a commented snippet, or with --full a file that starts as it is.",
    notes=NOTES,
    params=[
        click.Argument(["server"], metavar="SERVER"),
        click.Argument(["app"], metavar="APP"),
        _option("bind --bind", _APPLICATION, "--bind ADDR", "Where penstock listens. [unix:penstock.sock]", default=""),
        _option("mount --mount", _APPLICATION, "--mount PATH", "URL prefix of the application, as /app.", default=""),
        _option(
            "upstreams --upstream",
            _APPLICATION,
            "--upstream ADDR",
            "One of several penstock, in place of --bind; may be repeated.",
            multiple=True,
        ),
        _option(
            "listen --listen",
            _FRONT,
            "--listen HOST:PORT",
            f"Where HTTP is listened for. [{DEFAULT_LISTEN}]",
            default=DEFAULT_LISTEN,
        ),
        _option(
            "server_names --server-name",
            _FRONT,
            "--server-name NAME",
            "Host name to answer to; may be repeated. [all]",
            multiple=True,
        ),
        _option(
            "static --static",
            _FRONT,
            "--static /URL=DIR",
            "Directory that the web server serves itself; may be repeated.",
            multiple=True,
        ),
        _option(
            "tls_cert --tls-cert", _FRONT, "--tls-cert FILE", "Certificate chain (PEM); makes it HTTPS.", default=""
        ),
        _option("tls_key --tls-key", _FRONT, "--tls-key FILE", "Its private key (PEM).", default=""),
        _option("user --user", _FRONT, "--user NAME", "Who the web server runs as. [Debian's user for it]"),
        _option("full --full", _OUTPUT, "--full", "Write a whole file and not a snippet.", is_flag=True),
        _option(
            "state_dir --state-dir",
            _OUTPUT,
            "--state-dir DIR",
            "Where a whole file keeps pid, logs and temporary files. [.]",
            default="",
        ),
    ],
)
