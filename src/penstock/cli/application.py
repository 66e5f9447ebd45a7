"""This file gets the application for the commands that serve one, and sees to it that it is one they can serve."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import Final

from penstock.gateways.wsgi import WSGIApplication
from penstock.server.importer import AppError, Application, load

_IS_COROUTINE: Final = 0x80  # inspect.CO_COROUTINE


def load_wsgi(target: str) -> WSGIApplication:
    """Import what APP names.

    Raises:
        AppError: it cannot be imported, or is no WSGI application.
    """
    application = load(target)
    if is_asynchronous(application):
        raise AppError(
            f"{target} is an ASGI application, and this version of penstock serves WSGI alone",
            hint="ASGI comes with a later version; until then, run it with an ASGI server",
        )
    return application  # type: ignore[return-value]


def is_asynchronous(application: Application) -> bool:
    """Whether calling it gives a coroutine: an `async def`, or an object whose class has an async `__call__`."""
    while hasattr(application, "func") and not isinstance(application, FunctionType):
        application = application.func  # functools.partial
    if isinstance(application, MethodType):
        application = application.__func__
    function = application if isinstance(application, FunctionType) else type(application).__call__
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & _IS_COROUTINE)
