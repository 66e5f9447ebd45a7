"""This file is `penstock serve`: what was written goes to `penstock.serve`, and failures become exit codes."""

from __future__ import annotations

import os
import signal
from typing import Any, Final

import click

from penstock import __version__
from penstock.cli.failure import APP, BIND, DONE, USAGE, Failure
from penstock.cli.finding import find, give_old_names
from penstock.cli.manager_settings import MANAGER_SETTINGS
from penstock.cli.options import GroupedCommand, collect, option, written_at
from penstock.cli.settings import SETTINGS
from penstock.gateways.request import StartupFailed
from penstock.server.address import AddressError, BindError
from penstock.server.homes import Home, find_home
from penstock.server.importer import AppError
from penstock.server.lifecycle import STOP_SIGNALS
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.script import Script
from penstock.server.serving import DEFAULT_BIND, serve
from penstock.server.wiring import NotAnApplication

NOTES: Final = (
    "Every option is an environment variable too: --io-timeout is PENSTOCK_IO_TIMEOUT. The command line wins.",
    "Exit codes: 0 stopped by a signal, 2 wrong usage, 3 the application cannot be loaded, 4 cannot listen there.",
)


def run(app: str | None, **given: Any) -> int | None:
    """Serve until a stop signal: in this process, or with workers where one of their settings is written.

    The order is usage, application, address. What is written wrong costs nothing to find, so it comes first; and as
    long as the application may still fail, no socket is open that a web server would send requests to.

    Raises:
        Failure: the application cannot be loaded, or an address cannot be bound.
        UsageError: an address is refused as it is written.
    """
    if app is None or any(written_at(setting) for setting in MANAGER_SETTINGS):
        return _supervise(app, given)
    keywords = collect(SETTINGS, given)
    # A stop is a success whenever it comes. The server has its own handlers once it runs; until then, and for what an
    # application may do as it is imported, this one unwinds the stack.
    for number in STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        # A supervisor and a terminal pass no socket and no request: then the command serves at its own place.
        homeless = not keywords["bind"] and find_home(os.environ) is Home.SHELL
        application = find(app)
        if homeless and not isinstance(application, Script):
            keywords["bind"] = DEFAULT_BIND  # a script may have an address of its own
        default = f"unix:{os.path.abspath(DEFAULT_BIND.removeprefix('unix:'))}"  # a script changes the folder
        serve(
            application,
            on_ready=lambda listeners: announce(app, keywords, listeners, hint=listeners[0].address == default),
            **keywords,
        )
    except KeyboardInterrupt:
        pass
    except AppError as error:
        raise Failure(APP, error.report()) from None
    except StartupFailed as error:
        raise Failure(APP, f"penstock serve: {app} did not start: {error}") from None
    except NotAnApplication as error:
        raise Failure(APP, f"penstock serve: {app}: {error}") from None
    except AddressError as error:
        raise click.UsageError(str(error)) from None
    except BindError as error:
        raise Failure(BIND, f"penstock serve: {error}") from None
    # What is left is the application's own end, its threads and atexit functions; a second stop need not wait for it.
    for number in STOP_SIGNALS:
        signal.signal(number, lambda *_: os._exit(DONE))
    return None


def _supervise(app: str | None, given: dict[str, Any]) -> int:
    """Hand over to a supervisor and its workers."""
    from penstock.cli.planning import Planner

    give_old_names()
    planner = Planner(app, given)
    plan = planner.first("serve")
    from penstock.manager.entry import BootFailed, supervise
    from penstock.manager.handover import PREFLIGHT
    from penstock.manager.logfile import LogFileError
    from penstock.manager.pidfile import PidFileError

    if PREFLIGHT in os.environ:
        return DONE
    try:
        return supervise(plan, planner)
    except BootFailed as error:
        told = f"penstock serve: {error}"
        raise Failure(APP, f"{error.traceback.rstrip()}\n{told}" if error.traceback else told) from None
    except AddressError as error:
        raise click.UsageError(str(error)) from None
    except BindError as error:
        raise Failure(BIND, f"penstock serve: {error}") from None
    except (LogFileError, PidFileError, OSError, ValueError) as error:
        raise Failure(USAGE, f"penstock serve: {error}") from None


def announce(app: str, keywords: dict[str, Any], listeners: list[Listener], *, hint: bool) -> None:
    """Say what is served, and where nobody has said where, how to reach it."""
    threads = "1 thread" if keywords["threads"] == 1 else f"{keywords['threads']} threads"
    log.info("penstock %s serves %s with %s, process %d", __version__, app, threads, os.getpid())
    if hint:
        place = listeners[0].address
        protocol = keywords["protocol"]
        log.info("for nginx:  include %s_params;", protocol)
        log.info("            %s_pass %s;", protocol, f'"{place}"' if set(place) & set(" ;'{}#") else place)


command = GroupedCommand(
    "serve",
    callback=run,
    params=[
        click.Argument(["app"], metavar="[APP]", required=False),
        *(option(setting) for setting in (*SETTINGS, *MANAGER_SETTINGS)),
    ],
    help="Serve APP, a WSGI or ASGI application, to a web server over FastCGI; without APP, what penstock.toml says.",
    notes=NOTES,
)
