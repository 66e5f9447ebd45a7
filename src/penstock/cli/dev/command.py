"""This file is `penstock dev`: it opens the port, starts what stands behind it, and watches the files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import click

from penstock.cli.dev.backend import Backend
from penstock.cli.dev.front import Front
from penstock.cli.failure import BIND, USAGE, Failure
from penstock.cli.options import GroupedCommand, collect, option
from penstock.cli.settings import DEV_SETTINGS
from penstock.server.address import AddressError, BindError, TcpAddress, parse_address
from penstock.server.listen import Listener, open_listeners

if TYPE_CHECKING:
    from watchfiles import Change, DefaultFilter

# What an application reads once, as it starts. Data files are not among them: one that writes its own would go round in
# circles.
WATCHED: Final = (".py", ".fcgi", ".html", ".htm", ".jinja", ".jinja2", ".j2", ".mako", ".toml", ".ini", ".cfg")

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_MOST_REQUESTS: Final = 64
"""Requests that the front holds at a time; each waits in a thread."""

_END_OF_RESPONSES: Final = 2
"""Seconds that running responses get after Ctrl-C."""

NOTES: Final = (
    "Restarts the application when a file of it changes. For development only; penstock serve is for all else.",
    "Exit codes: 0 ended by Ctrl-C or a signal, 2 wrong usage, 4 the port cannot be had.",
)


def run(app: str, **given: Any) -> None:
    """Serve until Ctrl-C.

    Raises:
        Failure: the extra is not installed, or the port cannot be had.
        UsageError: the address is none for HTTP.
    """
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.default_int_handler)
    try:
        _run(app, collect(DEV_SETTINGS, given))
    except KeyboardInterrupt:
        return  # it came before the server was there to take it


def _run(app: str, keywords: dict[str, Any]) -> None:
    try:
        import uvicorn
        import watchfiles  # noqa: F401 - asked for here, used later
    except ImportError as error:
        message = f"penstock dev needs {error.name}, which is not installed: pip install 'penstock[dev]'"
        raise Failure(USAGE, message) from None
    listeners = _listen(keywords["http"])
    folder = tempfile.mkdtemp(prefix="penstock-dev-")
    backend = Backend(app, keywords["threads"], folder)
    config = uvicorn.Config(
        Front(backend),
        loop="asyncio",
        ws="none",
        lifespan="off",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,  # who a browser is decides whether it sees tracebacks, so nobody's word is taken for it
        server_header=False,
        timeout_graceful_shutdown=_END_OF_RESPONSES,
    )
    server = uvicorn.Server(config)
    # uvicorn raises every signal that it has obeyed once more when it is done; by then it has to be harmless.
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda *_: setattr(server, "should_exit", True))
    try:
        asyncio.run(_serve(app, server, backend, listeners))
    finally:
        for listener in listeners:
            listener.close()
        shutil.rmtree(folder, ignore_errors=True)


def _listen(http: str) -> list[Listener]:
    if not isinstance(parse_address(http), TcpAddress):
        raise click.UsageError(f"--http: {http!r} is no address for a browser; write it as in 127.0.0.1:8000")
    try:
        # The allow-list is FastCGI's; a browser may come from wherever the address can be reached.
        return open_listeners([http], environ={}, insecure_public=True)
    except AddressError as error:
        raise click.UsageError(f"--http: {error}") from None
    except BindError as error:
        raise Failure(BIND, f"penstock dev: {error}") from None


async def _serve(app: str, server: Any, backend: Backend, listeners: list[Listener]) -> None:
    asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(_MOST_REQUESTS, "front"))
    watcher = asyncio.create_task(_watch(app, backend))
    # One step of the watcher sets the watches up; a file that changes from here on is noticed.
    await asyncio.sleep(0)
    backend.boot()
    click.echo(f"penstock dev: {_url(listeners)} serves {app} and reloads it on change; Ctrl-C ends it", err=True)
    try:
        await server.serve(sockets=[listener.socket for listener in listeners])
    finally:
        watcher.cancel()
        await backend.stop()


def _url(listeners: list[Listener]) -> str:
    """One URL that a browser on this machine can open."""
    place = listeners[0].address.replace("0.0.0.0:", "127.0.0.1:").replace("[::]:", "[::1]:")
    return f"http://{place}/"


async def _watch(app: str, backend: Backend) -> None:
    from watchfiles import awatch

    folder = watched_folder(app)
    try:
        async for changes in awatch(folder, watch_filter=_source_filter()):
            click.echo(f"penstock dev: {_named(changes, folder)} changed, reloading", err=True)
            backend.boot()
    except OSError as error:
        click.echo(f"penstock dev: {folder} cannot be watched, so nothing reloads: {error}", err=True)


def watched_folder(app: str) -> str:
    """Where the application's files are looked for: the current folder, or that of an APP which lies elsewhere."""
    here = os.getcwd()
    place = app if os.path.exists(app) else app.partition(":")[0]
    folder = os.path.dirname(os.path.abspath(place)) if os.sep in place else here
    return here if os.path.join(folder, "").startswith(os.path.join(here, "")) else folder


def _source_filter() -> DefaultFilter:
    from watchfiles import DefaultFilter

    class SourceFilter(DefaultFilter):
        """Source files, not in the folders of version control, environments and caches."""

        def __call__(self, change: Change, path: str) -> bool:
            return path.endswith(WATCHED) and super().__call__(change, path)

    return SourceFilter()


def _named(changes: Iterable[tuple[object, str]], folder: str) -> str:
    paths = sorted({os.path.relpath(path, folder) for _, path in changes})
    return paths[0] if len(paths) == 1 else f"{paths[0]} and {len(paths) - 1} more"


command = GroupedCommand(
    "dev",
    callback=run,
    params=[click.Argument(["app"], metavar="APP"), *(option(setting) for setting in DEV_SETTINGS)],
    help="Serve APP to your browser, the way it will be served: through FastCGI.",
    notes=NOTES,
)
