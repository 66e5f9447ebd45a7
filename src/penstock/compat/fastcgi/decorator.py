"""This file is fastai's @fastcgi: a function that reads sys.stdin and os.environ and prints a page becomes a server.

@fastcgi("app.sock")
def hello():
    print("Content-Type: text/plain\\n")
    print("Hello,", os.environ["QUERY_STRING"])
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from functools import partial
from socketserver import ForkingTCPServer
from typing import Any

from penstock.compat._output import OutputGateway, TextStream
from penstock.compat.fastcgi.handler import OPTIONS, FcgiHandler, ForkingUnixServer, environ_of
from penstock.compat.fastcgi.records import Record
from penstock.compat.flup.listening import bind_text, listen
from penstock.gateways.request import Request
from penstock.server.homes import Home, answer_once, find_home, settle_descriptors
from penstock.server.hosting import Place, Wish, open_place
from penstock.server.notices import log
from penstock.server.serving import start_log

Script = Callable[[], object]


def fastcgi(sock: Any = "fcgi.sock", func: Script | None = None) -> Any:
    """Make a server of a function without arguments: @fastcgi, @fastcgi(), @fastcgi("/x.sock"), @fastcgi((host, port)).

    In the program that was started, it serves at once, and goes on behind the function when a signal ends that. While
    the function runs, sys.stdin, sys.stdout and os.environ are its request's, so one request runs at a time; fastai's
    forks for each. os.environ has the process's own variables too, as in CGI. If a web server or systemd has passed a
    listening socket, that is served, and not `sock`; one request of plain CGI is answered as such.

    Args:
        sock: a path for a unix socket, as text or as a Path, or (host, port).
        func: the function; left out where this is used as a decorator.

    Returns:
        In a module that was imported: a socketserver's class with its arguments, which serves when it is called and
        told to: `with hello() as server: server.serve_forever()`. Its attribute `gateway` is for penstock's own
        server. In the program itself: the function.

    Raises:
        CannotListen: an OSError: the address cannot be listened at.
        ValueError: `sock` is no address.
    """
    if callable(sock):
        return fastcgi(func=sock)
    if func is None:
        return partial(fastcgi, sock)
    gateway = OutputGateway(partial(answer, func))
    if func.__module__ == "__main__":
        _serve(func, gateway, sock)
        return func
    if isinstance(sock, tuple | list):
        made: Any = partial(ForkingTCPServer, tuple(sock), _handler_of(func))
    else:
        made = partial(ForkingUnixServer, os.fspath(sock), _handler_of(func))
    made.gateway = gateway
    return made


def answer(script: Script, request: Request) -> bytes:
    """Run a script for a request, and return what it has printed."""
    output = io.BytesIO()
    _run(script, environ_of(request), TextStream(request.stdin), TextStream(output))
    return output.getvalue()


def _run(script: Script, environ: dict[str, str], stdin: TextStream, stdout: TextStream) -> None:
    before: Any = sys.stdin, sys.stdout, os.environ
    own = os.environ
    try:
        sys.stdin, sys.stdout = stdin, stdout
        os.environ = {**own, **environ}  # type: ignore[assignment] # noqa: B003 - for this request alone, as fastai does
        script()
    except SystemExit as end:
        # So a CGI script says that its page is done, if it says nothing else.
        if end.code not in (None, 0):
            raise
    finally:
        sys.stdin, sys.stdout, os.environ = before


def _handler_of(func: Script) -> type[FcgiHandler]:
    class Handler(FcgiHandler):
        """Runs the script."""

        def handle(self) -> None:
            stdin, stdout = TextStream(self.streams[Record.STDIN]), TextStream(self.streams[Record.STDOUT])
            _run(func, self.environ, stdin, stdout)

    return Handler


def _serve(func: Script, gateway: OutputGateway, sock: Any) -> None:
    settle_descriptors()
    if not log.hasHandlers():
        start_log("warning")
    home = find_home(os.environ)
    if home is Home.CGI:
        status = answer_once(home, func, gateway, os.environ)
        if status:
            sys.exit(status)
        return
    # Imported late, because a plain CGI request needs none of it.
    from penstock.server.wiring import thread_server

    place = _place(home, sock)
    try:
        thread_server(gateway, place.listeners, place.options, place.access_log).run()
    finally:
        for listener in place.listeners:
            listener.close()


def _place(home: Home, sock: Any) -> Place:
    from penstock.server.host import inherited_place

    at_sock = home is Home.SHELL
    place = open_place(Wish(OPTIONS, (bind_text(sock),) if at_sock else (), one_at_a_time=True))
    if place is None and at_sock:
        place = Place(listen(sock, None, None, os.environ), OPTIONS, None)
        for listener in place.listeners:
            log.info("listening on %s", listener.address)
    return place or inherited_place(home, OPTIONS)
