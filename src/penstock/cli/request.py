"""This file is `penstock request`: speak FastCGI by hand, as one speaks HTTP with curl."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, BinaryIO, Final

import click

from penstock import __version__
from penstock.cli import values
from penstock.cli.failure import TARGET, USAGE, Failure
from penstock.cli.options import GroupedCommand, KindType, SettingOption
from penstock.client import BadAddress, Client, ClientError, Exchange, Trace
from penstock.protocol.records import Record
from penstock.protocol.spec import Role
from penstock.server.address import shown
from penstock.server.tracing import Explainer

_HTTP: Final = "HTTP request"
_FASTCGI: Final = "FastCGI"
_OUTPUT: Final = "Output"
_FORM: Final = "application/x-www-form-urlencoded"

NOTES: Final = ("Exit codes: 0 answered, whatever the status; 2 wrong usage; 5 the target did not answer.",)


def run(address: str, url: str | None, **given: Any) -> None:
    """Ask and show the answer.

    Raises:
        Failure: there is no answer.
        UsageError: what was written makes no request.
    """
    trace = _new_trace() if given["verbose"] else None
    try:
        with Client(address, given["timeout"], trace) as client:
            if given["values"]:
                for name, value in client.values().items():
                    click.echo(f"{shown(name)}={shown(value)}")
            elif url is None:
                raise click.UsageError("the URL is missing; write a path such as / or /search?q=x")
            else:
                _ask(client, url, given)
    except BadAddress as error:
        raise click.UsageError(str(error)) from None
    except ClientError as error:
        raise Failure(TARGET, f"penstock request: {error}") from None
    except BrokenPipeError:
        # Whoever reads our output has enough (`| head`). What Python still holds of it would fail once more at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _ask(client: Client, url: str, given: dict[str, Any]) -> None:
    role: Role = given["role"]
    body = _body(given["data"], given["data_binary"])
    headers = [_header(line) for line in given["header"]]
    named = {name.lower() for name, _ in headers}
    if "user-agent" not in named:
        headers.append(("User-Agent", f"penstock/{__version__}"))
    if body is not None and "content-type" not in named:
        headers.append(("Content-Type", _FORM))
    method = given["method"] or ("GET" if body is None else "POST")
    params = dict(_param(text) for text in given["param"])
    filtered = given["filter_data"]
    try:
        exchange = client.stream(
            method,
            url,
            headers,
            body,
            role=role,
            params=params,
            data=None if filtered is None else _read_input(filtered, binary=True),
            keep_conn=False,
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with exchange:
        _show(exchange, given["include"])


def _show(exchange: Exchange, include: bool) -> None:
    """Write the answer as it comes: the body as it stands, and the application's error stream beside it."""
    out = sys.stdout.buffer
    told = 0
    try:
        head = exchange.head
        if include:
            lines = (("Status", f"{head.status} {head.reason}"), *head.headers)
            out.write("".join(f"{name}: {value}\n" for name, value in lines).encode("latin-1") + b"\n")
            out.flush()
        for piece in exchange:
            out.write(piece)
            out.flush()
            told = _show_errors(exchange, told)
    finally:
        _show_errors(exchange, told)


def _show_errors(exchange: Exchange, told: int) -> int:
    """Write what is new on the application's STDERR stream, and return how much of it has been written now."""
    new = bytes(exchange.stderr[told:])
    if new:
        sys.stderr.buffer.write(new)
        sys.stderr.flush()
    return told + len(new)


def _new_trace() -> Trace:
    """Show what passes on standard error, as `--log-level debug` does on the other side."""
    explain = Explainer()

    def show(sign: str, record: Record) -> None:
        for line in explain(*record):
            click.echo(f"{sign} {line}", err=True)

    return show


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon:
        raise click.UsageError(f"--header: {line!r} has no colon; write it as in 'Accept: text/html'")
    return name.strip(), _native(value.strip())


def _param(text: str) -> tuple[str, str | None]:
    """NAME=VALUE sets a parameter, NAME alone leaves it out."""
    name, equals, value = text.partition("=")
    if not name:
        raise click.UsageError(f"--param: {text!r} has no name; write NAME=VALUE, or NAME to leave it out")
    return _native(name), _native(value) if equals else None


def _native(text: str) -> str:
    """Typed text as the bytes it stood for, one character each: so it is sent, and so CGI variables have it."""
    return text.encode("utf-8", "surrogateescape").decode("latin-1")


def _body(texts: Iterable[str], binaries: Iterable[str]) -> bytes | BinaryIO | None:
    """All of -d and --data-binary, joined with & as curl does; a single file is sent without loading it."""
    pieces = [_read_input(text, binary=False) for text in texts] + [_read_input(text, binary=True) for text in binaries]
    if len(pieces) < 2:
        return pieces[0] if pieces else None
    return b"&".join(piece if isinstance(piece, bytes) else piece.read() for piece in pieces)


def _read_input(text: str, *, binary: bool) -> bytes | BinaryIO:
    """DATA as it stands, @FILE, or standard input for @- and a lone - (which -d, as in curl, takes as it stands)."""
    if text == "@-" or (binary and text == "-"):
        return sys.stdin.buffer if binary else _without_newlines(sys.stdin.buffer.read())
    if not text.startswith("@"):
        return os.fsencode(text)
    try:
        file = open(text[1:], "rb")  # noqa: SIM115 - sent as it is read; the process ends right after
    except OSError as error:
        raise Failure(USAGE, f"penstock request: {text[1:]} cannot be read: {error.strerror}") from None
    return file if binary else _without_newlines(file.read())


def _without_newlines(data: bytes) -> bytes:
    return data.replace(b"\r", b"").replace(b"\n", b"")


def _option(names: str, group: str, usage: str, help_text: str, **more: Any) -> SettingOption:
    return SettingOption(names.split(), group, usage, help=help_text, **more)


command = GroupedCommand(
    "request",
    callback=run,
    help="Ask the FastCGI application at ADDR for URL and write the body of its answer to standard output.",
    notes=NOTES,
    params=[
        click.Argument(["address"], metavar="ADDR"),
        click.Argument(["url"], metavar="URL", required=False),
        _option("method -X --request", _HTTP, "-X METHOD", "The method; GET, or POST with a body."),
        _option("header -H --header", _HTTP, "-H 'NAME: VALUE'", "A header; may be repeated.", multiple=True),
        _option(
            "data -d --data", _HTTP, "-d DATA", "A body; @FILE and @- lose their line ends, as in curl.", multiple=True
        ),
        _option(
            "data_binary --data-binary",
            _HTTP,
            "--data-binary @FILE",
            "A body as it stands; - is standard input.",
            multiple=True,
        ),
        _option(
            "role --role",
            _FASTCGI,
            "--role ROLE",
            "responder, authorizer or filter. [responder]",
            type=KindType(values.ROLE),
            default=Role.RESPONDER,
        ),
        _option(
            "param -p --param",
            _FASTCGI,
            "-p NAME=VALUE",
            "Set a parameter; -p NAME leaves one out. May be repeated.",
            multiple=True,
        ),
        _option("filter_data --filter-data", _FASTCGI, "--filter-data @FILE", "The file that a Filter filters."),
        _option("values --values", _FASTCGI, "--values", "Ask what the application can do (GET_VALUES).", is_flag=True),
        _option("include -i --include", _OUTPUT, "-i", "Show the head too.", is_flag=True),
        _option("verbose -v --verbose", _OUTPUT, "-v", "Show each record: > goes out, < comes in.", is_flag=True),
        _option(
            "timeout --timeout",
            _OUTPUT,
            "--timeout TIME",
            "Give up when nothing has moved for so long. [60s]",
            type=KindType(values.DURATION),
            default=60.0,
        ),
    ],
)
