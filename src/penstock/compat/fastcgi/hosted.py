"""This file serves a socketserver with a FcgiHandler in the place of a host, where there is one; see server/hosting.py.

`with TCPServer(address, MyHandler) as srv: srv.serve_forever()` uses nothing of ours but the handler, and would listen
at its address before anybody could tell it another. So three methods of the standard library ask first.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, wraps
from socketserver import BaseServer, TCPServer, ThreadingMixIn
from typing import Any

from penstock.compat._output import OutputGateway
from penstock.compat.fastcgi.handler import OPTIONS, FcgiHandler
from penstock.compat.flup.listening import bind_text
from penstock.gateways.request import Request
from penstock.server.hosting import Place, Wish, is_hosted, open_place


def take_over() -> None:
    """From here on, servers with a FcgiHandler bind nothing, and serve where the host says."""
    TCPServer.server_bind = _unless_ours(TCPServer.server_bind, _nothing)  # type: ignore[method-assign]
    TCPServer.server_activate = _unless_ours(TCPServer.server_activate, _nothing)  # type: ignore[method-assign]
    BaseServer.serve_forever = _unless_ours(BaseServer.serve_forever, _serve)  # type: ignore[method-assign]


def _unless_ours(method: Callable[..., None], instead: Callable[[Any], None]) -> Callable[..., None]:
    @wraps(method)
    def judged(server: Any, *args: Any, **kwargs: Any) -> None:
        handler = server.RequestHandlerClass
        if is_hosted() and isinstance(handler, type) and issubclass(handler, FcgiHandler):
            instead(server)
        else:
            method(server, *args, **kwargs)

    return judged


def _nothing(_server: Any) -> None:
    """Leave the address for `_serve`."""


def _serve(server: Any) -> None:
    threaded = isinstance(server, ThreadingMixIn)
    place = open_place(Wish(OPTIONS, (bind_text(server.server_address),), one_at_a_time=not threaded))
    assert place is not None, "with an address of its own, a program is given a place"
    _run(server, place)


def _run(server: Any, place: Place) -> None:
    from penstock.server.wiring import thread_server

    gateway = OutputGateway(partial(_answer, server), multithread=place.options.threads > 1)
    serving = thread_server(gateway, place.listeners, place.options, place.access_log)
    server.shutdown = serving.stop
    try:
        serving.run()
    finally:
        for listener in place.listeners:
            listener.close()


def _answer(server: Any, request: Request) -> bytes:
    handler: FcgiHandler = server.RequestHandlerClass.__new__(server.RequestHandlerClass)
    handler.request = None
    handler.client_address = ("", 0)
    handler.server = server
    return handler._answer(request)
