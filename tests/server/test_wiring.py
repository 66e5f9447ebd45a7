"""This file tests which applications the commands take."""

from __future__ import annotations

import functools

import pytest

from penstock.protocol.spec import Role
from penstock.server.options import ServerOptions
from penstock.server.wiring import NotAnApplication, is_asynchronous, make_server


def wsgi(environ, start_response):
    return []


async def asgi(scope, receive, send):
    pass


class Wsgi:
    def __call__(self, environ, start_response):
        return []


class Asgi:
    async def __call__(self, scope, receive, send):
        pass

    async def method(self, scope, receive, send):
        pass


@pytest.mark.parametrize(
    "application", [asgi, Asgi(), Asgi().method, functools.partial(asgi), functools.partial(Asgi())]
)
def test_what_gives_a_coroutine_is_asynchronous(application):
    assert is_asynchronous(application)


@pytest.mark.parametrize("application", [wsgi, Wsgi(), Wsgi().__call__, functools.partial(wsgi), Wsgi, Asgi, len])
def test_what_gives_anything_else_is_not(application):
    assert not is_asynchronous(application)


def test_a_role_that_was_asked_for_and_that_a_mapping_does_not_have_is_refused():
    options = ServerOptions(roles=frozenset({Role.RESPONDER, Role.AUTHORIZER}))
    with pytest.raises(NotAnApplication, match=r"not for AUTHORIZER; .* {penstock.Role.AUTHORIZER: \.\.\.}$"):
        make_server({Role.FILTER: wsgi}, "auto", [], options, None)
