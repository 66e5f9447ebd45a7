"""This file turns away requests that have waited too long for somebody to run them: their clients mostly have left.

A server that is overloaded and answers everybody in turn answers nobody in time. How long a request has waited only the
web server can tell, in the parameter REQUEST_START: nginx's $msec, or Apache's `t=` with microseconds.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final, TypeVar

from penstock.gateways.request import AsyncGateway, AsyncRequest, Gateway, Request
from penstock.gateways.response import body_size, error_page
from penstock.server.notices import Notices, new_reference

_RETRY_AFTER: Final = 1

# From these numbers on it cannot be seconds, or milliseconds, since 1970.
_MILLISECONDS: Final = 1e11
_MICROSECONDS: Final = 1e14

AnyRequest = TypeVar("AnyRequest", Request, AsyncRequest)


def age_of(params: Mapping[str, str], now: float) -> float:
    """Seconds since the web server received the request; 0 where it does not say so, or its clock goes ahead of ours.

    Args:
        now: seconds since 1970.
    """
    told = params.get("REQUEST_START")
    if not told:
        return 0.0
    try:
        moment = float(told.removeprefix("t="))
    except ValueError:
        return 0.0
    if moment >= _MICROSECONDS:
        moment /= 1e6
    elif moment >= _MILLISECONDS:
        moment /= 1e3
    return max(0.0, now - moment) if moment > 0 else 0.0


def fresh(gateway: Gateway, most: float, notices: Notices) -> Gateway:
    """The gateway for requests that are no older than `most` seconds; others are answered 503."""

    def run(request: Request) -> None:
        page = _refusal(request, most, notices)
        if page:
            request.finish(page)
        else:
            gateway(request)

    return run


def fresh_async(gateway: AsyncGateway, most: float, notices: Notices) -> AsyncGateway:
    """The same for an event loop."""

    async def run(request: AsyncRequest) -> None:
        page = _refusal(request, most, notices)
        if page:
            request.finish(page)
        else:
            await gateway(request)

    return run


def _refusal(request: AnyRequest, most: float, notices: Notices) -> bytes:
    age = age_of(request.params, time.time())
    if age <= most:
        return b""
    request.status = 503
    request.reference = new_reference()
    head_only = request.params.get("REQUEST_METHOD") == "HEAD"
    page = error_page(503, request.reference, retry_after=_RETRY_AFTER, head_only=head_only)
    request.body_length = body_size(page)
    notices.warn(f"answered 503 [{request.reference}]: the request had waited {age:.1f} s, more than {most:g}")
    return page
