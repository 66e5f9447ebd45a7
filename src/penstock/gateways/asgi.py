"""This file runs an ASGI 3 application for each request: over http itself, a websocket through `websocket.py`."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, final

from penstock.gateways.asgi_http import HTTPCycle
from penstock.gateways.asgi_scope import ASGIApplication, OutOfOrder, asks_for_websocket, build_scope
from penstock.gateways.request import AsyncRequest, Disconnected
from penstock.gateways.response import body_size, error_page

_log: Final = logging.getLogger("penstock")


@final
class ASGIGateway:
    """Runs an ASGI application for each request.

    Args:
        application: the callable.
        state: what lifespan leaves for requests; every scope gets a copy.
        new_reference: makes the name under which a failure is logged and shown.
    """

    def __init__(
        self, application: ASGIApplication, *, new_reference: Callable[[], str], state: dict[str, Any] | None = None
    ) -> None:
        self._application = application
        self._new_reference = new_reference
        self._state = state if state is not None else {}

    async def __call__(self, request: AsyncRequest) -> None:
        """Run the application for one request; it may go on in the background once the response is over."""
        params = request.params
        if ("HTTP_SEC_WEBSOCKET_KEY" in params or "HTTP_UPGRADE" in params) and asks_for_websocket(params):
            # Imported only here: most applications have none.
            from penstock.gateways.websocket import serve_websocket

            await serve_websocket(self._application, request, self._state, self._report)
            return
        cycle = HTTPCycle(request)
        try:
            await self._application(build_scope(request, self._state), cycle.receive, cycle.send)
        except Disconnected:
            return
        except Exception as error:
            # What an application raises because its client has left says nothing that an operator could mend.
            if not request.disconnected:
                self._failed(request, cycle, error)
            return
        if not cycle.finished and not request.disconnected:
            self._failed(request, cycle, OutOfOrder("the application returned before its response was complete"))

    def _failed(self, request: AsyncRequest, cycle: HTTPCycle, error: Exception) -> None:
        when = "after" if cycle.finished else "in the middle of" if cycle.head_sent else "before"
        self._report(request, f"{when} its response", error)
        if cycle.finished:
            return
        if cycle.head_sent:
            request.abort()
            return
        request.status = 500
        page = error_page(500, request.reference, head_only=request.params.get("REQUEST_METHOD") == "HEAD")
        request.body_length = body_size(page)
        request.finish(page)

    def _report(self, request: AsyncRequest, when: str, error: Exception) -> None:
        request.reference = self._new_reference()
        _log.error(
            "[%s] the application failed %s: %r %r",
            request.reference,
            when,
            request.params.get("REQUEST_METHOD"),
            request.params.get("REQUEST_URI"),
            exc_info=error,
        )
