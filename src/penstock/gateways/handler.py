"""This file is penstock's own way to write an application: a class with `process(request)`, for each role one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, TypeAlias, TypeGuard, final

from penstock.gateways.environ import BadRequest
from penstock.gateways.forms import DEFAULT_FORM_LIMITS, FormLimits
from penstock.gateways.handler_request import Request
from penstock.gateways.request import Disconnected, Gateway
from penstock.gateways.request import Request as RawRequest
from penstock.gateways.response import error_page
from penstock.protocol.spec import Role

__all__ = ["Handler", "HandlerGateway", "Request", "RoleGateway", "gateway_for"]

_log: Final = logging.getLogger("penstock")

NewReference: TypeAlias = Callable[[], str]

_NOT_PLAIN: Final = 0x20 | 0x80 | 0x200  # inspect.CO_GENERATOR, CO_COROUTINE, CO_ASYNC_GENERATOR: calling runs nothing


class Handler:
    """An application: subclass it, write `process`, serve the class. Each request gets an instance of its own.

        class Hello(penstock.Handler):
            def process(self, request: penstock.Request) -> None:
                request.write("Hello, world!")

        penstock.serve(Hello)

    Attributes:
        form_limits: what a form, or a query string, may make us hold.
        guards: in every role the answer is a decision: without `request.allow()` the request is denied. In the role
            Authorizer it is so anyway; nginx's `auth_request` asks in the role Responder.
    """

    form_limits: ClassVar[FormLimits] = DEFAULT_FORM_LIMITS
    guards: ClassVar[bool] = False

    def process(self, request: Request) -> None:
        """Answer the request. Returning ends the response; so does `sys.exit()`, which ends nothing else.

        An exception is a 500 with a reference to the traceback in the log, as long as nothing has been sent; after that
        the response is broken off. A `BadRequest`, such as a form over its limits, is an answer of its own status.
        """
        raise NotImplementedError(f"{type(self).__name__} has no process(request)")

    def failed(self, request: Request, error: BaseException) -> None:  # noqa: ARG002 - for those who override it
        """Write the page for an exception of `process`, which is in the log already; only when nothing was sent.

        What `process` has set and written is forgotten; `request.status` and `request.reference` tell what it became.
        """
        request.write(error_page(request.status, request.reference).partition(b"\r\n\r\n")[2])


@final
class HandlerGateway:
    """Runs a handler for each request.

    Args:
        handlers: the handler class for each role that is served.
        new_reference: makes the name under which a failure is logged and shown.

    Attributes:
        roles: the roles that are served.

    Raises:
        TypeError: a key is no role, or a value no subclass of Handler with a `process` that can be run.
    """

    def __init__(self, handlers: Mapping[Role, type[Handler]], *, new_reference: NewReference) -> None:
        self.roles: Final = _roles(handlers)
        for handler in handlers.values():
            _check(handler)
        self._handlers: Final = dict(handlers)
        self._new_reference = new_reference

    def __call__(self, raw: RawRequest) -> None:
        """Run the handler for one request (`gateways.request.Gateway`).

        Raises:
            Disconnected: the web server does not take the response, or did not send the whole request.
        """
        kind = self._handlers.get(raw.role)
        if kind is None:
            _refuse_role(raw)
            return
        request = Request(raw, kind.form_limits, kind.guards or raw.role is Role.AUTHORIZER)
        handler: Handler | None = None
        try:
            try:
                handler = kind()
                handler.process(request)
            except SystemExit as end:
                if end.code:
                    raise
            request.end()
        except Disconnected:
            raise
        # A SystemExit of the handler ends its request, not the server.
        except BaseException as error:
            self._failed(raw, request, handler, error)
        finally:
            request.release()

    def _failed(self, raw: RawRequest, request: Request, handler: Handler | None, error: BaseException) -> None:
        raw.reference = reference = self._new_reference()
        refused = isinstance(error, BadRequest) and not request.head_sent
        if isinstance(error, BadRequest) and refused:
            _log.warning("answered %d [%s]: %s", error.status, reference, error.reason)
        else:
            what = "after its response was complete" if request.finished else "in the middle of its response"
            _log.error(
                "[%s] the handler failed %s: %r %r",
                reference,
                what if request.head_sent else "before its response began",
                raw.params.get("REQUEST_METHOD"),
                raw.params.get("REQUEST_URI"),
                exc_info=error,
            )
        if request.finished:
            return
        if request.head_sent:
            raw.abort()
            return
        status = error.status if isinstance(error, BadRequest) else 500
        try:
            request.clear()
            request.status = status
            (Handler() if handler is None else handler).failed(request, error)
            request.end()
        except Disconnected:
            raise
        except BaseException as another:
            _log.error("[%s] the handler failed to write its error page", reference, exc_info=another)
            if request.head_sent and not request.finished:
                raw.abort()
            elif not request.finished:
                raw.status = status
                raw.finish(error_page(status, reference, head_only=request.method == "HEAD"))


@final
class RoleGateway:
    """Hands each request to the gateway of its role: a WSGI application may be the Responder, a handler the Authorizer.

    Args:
        gateways: the gateway for each role that is served.

    Attributes:
        roles: the roles that are served.

    Raises:
        TypeError: a key is no role.
    """

    def __init__(self, gateways: Mapping[Role, Gateway]) -> None:
        self.roles: Final = _roles(gateways)
        self._gateways: Final = dict(gateways)

    def __call__(self, request: RawRequest) -> None:
        """Run the gateway for one request (`gateways.request.Gateway`)."""
        gateway = self._gateways.get(request.role)
        if gateway is None:
            _refuse_role(request)
        else:
            gateway(request)


def is_handler(app: object) -> TypeGuard[type[Handler]]:
    """Whether it is a class to be served as a handler."""
    return isinstance(app, type) and issubclass(app, Handler)


def gateway_for(
    app: object, make_gateway: Callable[[Any], Gateway], *, new_reference: NewReference
) -> tuple[Gateway, frozenset[Role]]:
    """The gateway for whatever `serve` was given, and the roles that it serves.

    Args:
        app: a subclass of Handler or another kind of application, for the role Responder; or a mapping from roles to
            any of these.
        make_gateway: makes the gateway of an application that is no handler.
        new_reference: makes the name under which a failure is logged and shown.

    Raises:
        TypeError: an instance of a handler was given instead of its class, a key of the mapping is no role, or a value
            no application.
    """
    apps: Mapping[Any, object] = app if isinstance(app, Mapping) else {Role.RESPONDER: app}
    roles = _roles(apps)
    handlers: dict[Role, type[Handler]] = {}
    gateways: dict[Role, Gateway] = {}
    for role, one in apps.items():
        if is_handler(one):
            handlers[role] = one
        elif isinstance(one, Handler):
            name = type(one).__name__
            raise TypeError(f"serve the class {name}, not an instance of it: each request gets one of its own")
        elif not callable(one):
            raise TypeError(f"for the role {role.name} there is an object of type {type(one).__name__}, no application")
        else:
            gateways[role] = make_gateway(one)
    if handlers:
        gateways.update(dict.fromkeys(handlers, HandlerGateway(handlers, new_reference=new_reference)))
    alone = set(gateways.values())
    # One gateway needs nobody to hand requests to it.
    return (alone.pop() if len(alone) == 1 else RoleGateway(gateways)), roles


def _check(handler: object) -> None:
    """Find at the start what would make every answer an empty one."""
    if not is_handler(handler):
        what = handler.__qualname__ if isinstance(handler, type) else f"an object of type {type(handler).__name__}"
        raise TypeError(f"a handler is a subclass of penstock.Handler, not {what}")
    name = handler.__qualname__
    if handler.process is Handler.process:
        raise TypeError(f"{name} has no process(request)")
    code = getattr(handler.process, "__code__", None)
    if code is not None and code.co_flags & _NOT_PLAIN:
        raise TypeError(f"process() of {name} is async or a generator; it must be plain and write to the request")


def _roles(served: Mapping[Role, object]) -> frozenset[Role]:
    if not served:
        raise TypeError("no role is served: the mapping is empty")
    for role in served:
        if not isinstance(role, Role):
            raise TypeError(f"a mapping for serve() has penstock.Role members as its keys, not {role!a}")
    return frozenset(served)


def _refuse_role(request: RawRequest) -> None:
    """A server asks nobody in a role that is not served; plain CGI, which knows Responders alone, may."""
    _log.error("a request came in the role %s, and no handler is for it", request.role.name)
    request.status = 500
    request.finish(error_page(500, head_only=request.params.get("REQUEST_METHOD") == "HEAD"))
