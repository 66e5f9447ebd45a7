"""This file finds out what kind of application it was given, and makes the gateway and the server that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeGuard

from penstock.gateways.request import AsyncGateway, Gateway
from penstock.protocol.spec import Role
from penstock.server.notices import Notices, new_reference
from penstock.server.options import ServerOptions

if TYPE_CHECKING:
    from penstock.server.accesslog import AccessLog
    from penstock.server.listen import Listener
    from penstock.server.threads import ThreadServer

Application: TypeAlias = Callable[..., Any] | type[Any] | Mapping[Any, Any]
"""A WSGI or ASGI callable, a subclass of `Handler`, or a mapping from roles to any of these but ASGI."""

INTERFACES: Final = ("auto", "wsgi", "asgi")

_IS_COROUTINE: Final = 0x80  # inspect.CO_COROUTINE; importing inspect would cost a CGI child more than all the rest


class NotAnApplication(TypeError):
    """What was to be served is neither WSGI nor ASGI nor a handler."""


class Server(Protocol):
    """What serves: runs in the calling thread until it is stopped."""

    def run(self) -> None:
        """Serve until stopped."""

    def stop(self) -> None:
        """Begin to stop; for any thread."""


def is_asynchronous(application: object) -> bool:
    """Whether calling it gives a coroutine: an `async def`, or an object whose class has an async `__call__`."""
    while hasattr(application, "func") and not isinstance(application, FunctionType):
        application = application.func  # functools.partial
    if isinstance(application, MethodType):
        application = application.__func__
    function = application if isinstance(application, FunctionType) else type(application).__call__
    code = getattr(function, "__code__", None)
    return code is not None and bool(code.co_flags & _IS_COROUTINE)


def is_asgi(application: Application, interface: str) -> bool:
    """Whether the application is to be run as ASGI.

    Args:
        interface: what was said: one of INTERFACES.

    Raises:
        ValueError: there is no such interface.
        NotAnApplication: it is nothing that could be served.
    """
    if interface not in INTERFACES:
        raise ValueError(f"there is no interface {interface!r}; use one of {', '.join(INTERFACES)}")
    if not (callable(application) or isinstance(application, Mapping)):
        kind = type(application).__name__
        raise NotAnApplication(f"an application is a WSGI or ASGI callable or a Handler class; {kind} is none of these")
    return interface == "asgi" or (interface == "auto" and is_asynchronous(application))


def is_wsgi(application: object) -> TypeGuard[Callable[..., Iterable[bytes]]]:
    """Whether a guess takes it for WSGI: a callable that is neither ASGI nor a handler."""
    from penstock.gateways.handler import is_handler

    return callable(application) and not is_asynchronous(application) and not is_handler(application)


def blocking_gateway(
    application: Application,
    *,
    wanted: Iterable[Role] = (),
    multithread: bool = False,
    multiprocess: bool = False,
    run_once: bool = False,
) -> tuple[Gateway, frozenset[Any] | None]:
    """The gateway of anything but ASGI, and the roles it is for; None where the application does not say.

    Args:
        wanted: roles that were asked for; nobody can tell whether a responder was.

    Raises:
        NotAnApplication: an instance of a handler, or a mapping that is none from roles to applications; one that is
            not for a role that was asked for.
    """

    def wsgi(app: Any) -> Gateway:
        if is_asynchronous(app):
            raise NotAnApplication(
                "an ASGI application serves alone; beside other roles it has to be WSGI or a Handler"
            )
        from penstock.gateways.wsgi import WSGIGateway

        return WSGIGateway(
            app,
            multithread=multithread,
            multiprocess=multiprocess,
            run_once=run_once,
            new_reference=new_reference,
        )

    if isinstance(application, FunctionType):
        return wsgi(application), None
    from penstock.gateways.handler import gateway_for, is_handler

    try:
        gateway, roles = gateway_for(application, wsgi, new_reference=new_reference)
    except TypeError as error:
        raise NotAnApplication(str(error)) from None
    if not (isinstance(application, Mapping) or is_handler(application)):
        return gateway, None
    if missing := [role.name for role in sorted(wanted) if role not in {*roles, Role.RESPONDER}]:
        raise NotAnApplication(
            f"it is for {', '.join(role.name for role in sorted(roles))}, and not for {', '.join(missing)};"
            f" serve a mapping that says who is, {{penstock.Role.{missing[0]}: ...}}"
        )
    return gateway, roles


def make_server(
    application: Application,
    interface: str,
    listeners: Sequence[Listener],
    options: ServerOptions,
    access_log: AccessLog | None,
    *,
    multiprocess: bool = False,
) -> Server:
    """The server for an application: threads for blocking ones, an event loop for ASGI.

    Raises:
        NotAnApplication, ValueError: as `is_asgi` and `blocking_gateway`.
    """
    if is_asgi(application, interface):
        # Imported only here, for asyncio is as large as all of penstock.
        from penstock.gateways.asgi import ASGIGateway
        from penstock.gateways.lifespan import Lifespan
        from penstock.server.loop import LoopServer
        from penstock.server.queueage import fresh_async

        lifespan = Lifespan(application)  # type: ignore[arg-type]
        asgi: AsyncGateway = ASGIGateway(application, new_reference=new_reference, state=lifespan.state)  # type: ignore[arg-type]
        if options.max_queue_age:
            asgi = fresh_async(asgi, options.max_queue_age, Notices())
        if options.tether is None:
            return LoopServer(asgi, listeners, options, access_log, lifespan)
        from penstock.server.tether_loop import TetheredLoop

        loop_server = TetheredLoop(asgi, listeners, options, access_log, lifespan)
        loop_server.tie(options.tether)
        return loop_server
    gateway, roles = blocking_gateway(
        application, wanted=options.roles, multithread=options.threads > 1, multiprocess=multiprocess
    )
    if roles is not None:
        options = options.with_roles(roles)
    if options.max_queue_age:
        from penstock.server.queueage import fresh

        gateway = fresh(gateway, options.max_queue_age, Notices())
    return thread_server(gateway, listeners, options, access_log)


def thread_server(
    gateway: Gateway, listeners: Sequence[Listener], options: ServerOptions, access_log: AccessLog | None
) -> ThreadServer:
    """The server for blocking handlers, tied to a supervisor if the options say so."""
    if options.tether is None:
        from penstock.server.threads import ThreadServer

        return ThreadServer(gateway, listeners, options, access_log)
    from penstock.server.tether import TetheredThreads

    server = TetheredThreads(gateway, listeners, options, access_log)
    server.tie(options.tether)
    return server
