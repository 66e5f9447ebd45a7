"""This file opens a websocket on a request, or says why there can be none, and runs an ASGI application on it.

Of the web servers lighttpd alone, from 1.4.74 on, carries a websocket over FastCGI: it withholds the end of STDIN, and
after a `Status: 101` the bytes of both streams are the websocket's. All others end STDIN at once.
"""

from __future__ import annotations

import binascii
from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from penstock.gateways.asgi_scope import ASGIApplication, OutOfOrder, build_websocket_scope, warn_once
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.response import encode_head

Report: TypeAlias = Callable[[AsyncRequest, str, Exception], None]
"""Logs that an application failed on a request: when, and how."""

_NOT_CARRIED: Final = (
    "a websocket was asked for, and the web server cannot carry one over FastCGI: answered 426. lighttpd from 1.4.74 on"
    ' can, with "upgrade" => "enable" in fastcgi.server; with another web server, give the websocket\'s path to an HTTP'
    " server such as uvicorn"
)
_NO_LIBRARY: Final = (
    'a websocket was asked for, and wsproto is not installed: answered 426. Install it with `pip install "penstock'
    '[websocket]"`'
)


class _Refusal(NamedTuple):
    """Why there is no websocket: a status and a line for the client."""

    status: int
    detail: str
    headers: tuple[tuple[str, str], ...] = ()


async def serve_websocket(
    application: ASGIApplication, request: AsyncRequest, state: dict[str, Any], report: Report
) -> None:
    """Run the application for one websocket, to its end; or answer why there can be none.

    Args:
        application: the callable.
        request: a request that wants to become a websocket.
        state: what lifespan leaves; the scope gets a copy.
        report: is told when the application fails.
    """
    refusal = _judge(request.params) or await _take_over(request)
    if refusal is not None:
        _refuse(request, refusal)
        return
    from penstock.gateways.websocket_session import WebSocketSession

    scope = build_websocket_scope(request, state)
    session = WebSocketSession(request, scope["subprotocols"])
    try:
        await application(scope, session.receive, session.send)
        if session.unanswered and not session.cut_off:
            raise OutOfOrder("the application returned without an answer to the websocket's handshake")
        await session.end(failed=False)
    except Disconnected:
        await session.end(failed=True)
    except Exception as error:
        # What an application raises because its client has left says nothing that an operator could mend.
        if not (session.cut_off or request.disconnected):
            report(request, "before it accepted a websocket" if session.unanswered else "on its websocket", error)
        await session.end(failed=True)
    finally:
        session.drop()


def _judge(params: dict[str, str]) -> _Refusal | None:
    """Hold the handshake against RFC 6455 4.2.1."""
    if params.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        return _Refusal(426, "The version of a websocket is 13.", (("Sec-WebSocket-Version", "13"),))
    try:
        key = binascii.a2b_base64(params.get("HTTP_SEC_WEBSOCKET_KEY", ""))
    except ValueError:
        key = b""
    if len(key) != 16:
        return _Refusal(400, "Sec-WebSocket-Key is not the base64 of 16 bytes.")
    return None


async def _take_over(request: AsyncRequest) -> _Refusal | None:
    """Make the request's two streams the websocket's, if web server and library are able to."""
    if "HTTP_UPGRADE" not in request.params or not await request.upgrade():
        warn_once(_NOT_CARRIED)
        return _Refusal(426, "The web server in front of this application does not carry websockets.")
    try:
        import wsproto  # noqa: F401 - whether it is there
    except ImportError:
        warn_once(_NO_LIBRARY)
        return _Refusal(426, "This application is not set up for websockets.")
    return None


def _refuse(request: AsyncRequest, refusal: _Refusal) -> None:
    if request.disconnected:
        return
    request.status = refusal.status
    page = f"{refusal.detail}\n".encode()
    head = encode_head(str(refusal.status), [("Content-Type", "text/plain; charset=utf-8"), *refusal.headers])
    request.body_length = len(page)
    request.finish(head.to_bytes(len(page)) + page)
