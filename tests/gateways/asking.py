"""This file asks handlers something in memory, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from penstock.gateways.handler import Handler, HandlerGateway, Request
from penstock.gateways.webserver import Response, cgi_params
from penstock.protocol.spec import Role
from penstock.testing import MemoryRequest, run_gateway

REFERENCE = "a-reference"


def gateway(handler: type[Handler], role: Role = Role.RESPONDER) -> HandlerGateway:
    """The gateway of a handler, whose references are all the same."""
    return HandlerGateway({role: handler}, new_reference=lambda: REFERENCE)


def handler(process: Callable[[Request], object], **attributes: object) -> type[Handler]:
    """A handler with this `process`."""

    class Made(Handler):
        def process(self, request: Request) -> None:
            process(request)

    for name, value in attributes.items():
        setattr(Made, name, value)
    return Made


def params(
    method: str = "GET",
    url: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The parameters of a request, some of them said outright."""
    made = cgi_params(method, url, headers, content_length=len(body) if body else None)
    return made | dict(more or {})


def ask(
    what: type[Handler] | Callable[[Request], object],
    method: str = "GET",
    url: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    role: Role = Role.RESPONDER,
    data: bytes | None = None,
    more: Mapping[str, str] | None = None,
) -> Response:
    """The answer of a handler, or of a function as its `process`."""
    kind = what if isinstance(what, type) else handler(what)
    return run_gateway(gateway(kind, role), params(method, url, headers, body, more), body, role=role, data=data)


def run(
    what: type[Handler] | Callable[[Request], object],
    method: str = "GET",
    role: Role = Role.RESPONDER,
    headers: Iterable[tuple[str, str]] = (),
) -> MemoryRequest:
    """The request after a handler has answered it, with every single write."""
    request = MemoryRequest(params(method, headers=headers), role=role)
    gateway(what if isinstance(what, type) else handler(what), role)(request)
    return request
