"""This file asks handlers of jon.cgi something in memory, for tests."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from penstock.compat.jon import cgi, fcgi
from penstock.gateways.webserver import Response, cgi_params
from penstock.protocol.spec import Role
from penstock.testing import MemoryRequest, run_gateway

Process = Callable[[Any], object]


def handler(process: Process, base: type[cgi.Handler] = cgi.Handler) -> type[cgi.Handler]:
    """A handler with this `process`."""

    return type("Made", (base,), {"process": lambda self, req: process(req)})


def server(what: type | Process, role: Role = Role.RESPONDER, request_type=fcgi.Request, **options) -> fcgi.Server:
    """A server that is not run; `_answer` is its gateway."""
    kind = what if isinstance(what, type) else handler(what)
    return fcgi.Server({role: kind}, request_type=request_type, **options)


def params(
    method: str = "GET",
    url: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    more: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """The parameters of a request, some of them said outright."""
    return cgi_params(method, url, headers, content_length=len(body) if body else None) | dict(more or {})


def ask(
    what: type | Process,
    method: str = "GET",
    url: str = "/",
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
    *,
    role: Role = Role.RESPONDER,
    request_type=fcgi.Request,
    data: bytes | None = None,
    more: Mapping[str, str] | None = None,
) -> Response:
    """The answer of a handler, or of a function as its `process`."""
    gateway = server(what, role, request_type)._answer
    return run_gateway(gateway, params(method, url, headers, body, more), body, role=role, data=data)


def run(what: type | Process, method: str = "GET", role: Role = Role.RESPONDER, **options) -> MemoryRequest:
    """The request after a handler has answered it, with every single write."""
    request = MemoryRequest(params(method), role=role)
    server(what, role, **options)._answer(request)
    return request


def fields(url: str = "/", body: bytes = b"", kind: str = "application/x-www-form-urlencoded", **more):
    """What `params` has for this request; `more` are attributes and `encoding` of the request."""
    found = {}
    encoding = more.pop("encoding", None)
    request_type = type("Request", (fcgi.Request,), more)

    def process(req):
        req.set_form_encoding(encoding)
        found.update(req.params)

    method, headers = ("POST", [("Content-Type", kind)]) if body else ("GET", [])
    answer = ask(process, method, url, headers, body, request_type=request_type)
    assert answer.status == 200, answer
    return found
