"""This file tests that an authorizer, whatever it is written with, says its status before its headers.

What stands before the status lighttpd takes for the headers of a permission, and drops.
"""

from __future__ import annotations

import pytest

from penstock.gateways.handler import gateway_for
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.spec import Role
from penstock.testing import MemoryRequest
from tests.gateways.asking import handler, params


def wsgi(environ, start_response):
    start_response("302 Found", [("Location", "/login")])
    return []


def fails(*_):
    raise LookupError


def refuses(request):
    request.deny(302, headers={"Location": "/login"})


def head(app, role):
    """The lines of the answer's head."""
    answer, _ = gateway_for({role: app}, lambda one: WSGIGateway(one, new_reference=str), new_reference=str)
    request = MemoryRequest(params(), role=role)
    answer(request)
    return request.output.partition(b"\r\n\r\n")[0].split(b"\r\n")


@pytest.mark.parametrize("app", [handler(refuses), wsgi], ids=["handler", "WSGI"])
def test_a_refusal_begins_with_its_status(app):
    first, *others = head(app, Role.AUTHORIZER)
    assert first == b"Status: 302 Found"
    assert b"Location: /login" in others


@pytest.mark.parametrize("app", [handler(fails), fails], ids=["handler", "WSGI"])
def test_so_does_the_page_for_an_error(app):
    assert head(app, Role.AUTHORIZER)[0] == b"Status: 500 Internal Server Error"


@pytest.mark.parametrize("app", [handler(refuses), wsgi], ids=["handler", "WSGI"])
def test_a_responder_says_it_last(app):
    assert head(app, Role.RESPONDER)[-1] == b"Status: 302 Found"
