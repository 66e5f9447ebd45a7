"""This file leads a request through flup's hooks, handler() and error(), and leaves the rest to penstock's gateway."""

# ruff: noqa: N802 - protocolStatus and its kin are flup's names

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol, cast, final

from penstock.compat.flup.answers import Answer
from penstock.compat.flup.streams import LOG, OutputStream
from penstock.gateways.environ import Params, normalise, scheme
from penstock.gateways.request import Disconnected, Request
from penstock.gateways.wsgi import WSGIApplication, WSGIGateway
from penstock.server.notices import log, new_reference

# What flup sets after everything else, so that `environ=` cannot change it.
_SET_LAST = frozenset(
    f"wsgi.{name}" for name in ("version", "input", "errors", "multithread", "multiprocess", "run_once", "url_scheme")
)


class Server(Protocol):
    """What a request needs of the server that it came to."""

    application: WSGIApplication
    environ: dict[str, Any]

    def error(self, req: Any) -> None:
        """Answer a request that has failed; called inside the `except`."""

    def _answers_errors(self) -> bool:
        """Whether `error` has more to say than penstock's own page."""

    def _sanitizeEnv(self, environ: dict[str, Any]) -> None:
        """Put the environ right."""

    def _make_request(self, call: Call) -> HandledRequest:
        """flup's view of a request."""


class Call(NamedTuple):
    """One request as it comes from the gateway; it stands where flup has a Connection.

    Attributes:
        server: the server it came to.
        request: penstock's request.
        environ: the gateway's environ, `wsgi.` keys and all.
        answer: takes the response.
    """

    server: Server
    request: Request
    environ: dict[str, Any]
    answer: Answer


class HandledRequest:
    """What flup's requests have in common.

    Attributes:
        server: the server that the request came to.
        stdin: the body, a binary file.
        stdout: takes a CGI response.
        result: what is left to send once the handler has returned: the application's iterable.
    """

    def __init__(self, call: Call) -> None:
        self.server: Any = call.server
        self.stdin = call.request.stdin
        self.stdout = OutputStream(call.answer.start_response)
        self.result: Iterable[bytes] = ()
        self._call = call

    def run(self) -> None:
        """Call the server's handler; what it leaves open is for the gateway to end."""
        raise NotImplementedError

    def attempt(self, handler: Callable[[], object]) -> None:
        """Run a handler and, should it fail before its response has begun, the server's error()."""
        try:
            handler()
        except Disconnected:
            raise
        except Exception:
            self._failed()
        self.stdout.close()

    def call_application(self, environ: dict[str, Any]) -> None:
        """Call the WSGI application with this environ; its result is sent once the handler has returned."""
        server, answer = self._call.server, self._call.answer
        _add(environ, server.environ)
        environ["wsgi.errors"] = LOG
        server._sanitizeEnv(environ)
        self.result = answer.body(server.application(environ, answer.start_response), self._failed)

    def _failed(self) -> None:
        server, answer = self._call.server, self._call.answer
        failure = sys.exc_info()
        if answer.begun or not server._answers_errors():
            raise  # noqa: PLE0704 - this runs inside the `except`; the gateway logs, and answers with its own page
        environ = self._call.environ
        log.error(
            "the application failed before its response began: %r %r",
            environ.get("REQUEST_METHOD"),
            environ.get("REQUEST_URI"),
            exc_info=failure[1],
        )
        self.result = ()
        self.stdout = OutputStream(lambda status, headers: answer.start_response(status, headers, cast(Any, failure)))
        server.error(self)
        self.stdout.close()


def _add(environ: dict[str, Any], given: dict[str, Any]) -> None:
    """Put the server's `environ=` over what the web server has sent."""
    if not given:
        return
    environ.update({name: value for name, value in given.items() if name not in _SET_LAST})
    if "SCRIPT_NAME" in given and not environ.get("PATH_INFO"):
        # The path was split for another SCRIPT_NAME; with this one it has to be found again.
        environ.pop("PATH_INFO", None)
        normalise(cast(Params, environ))
    environ["wsgi.url_scheme"] = scheme(cast(Params, environ))


@final
class HookedGateway:
    """Runs requests through a server's hooks (`gateways.request.Gateway`).

    Args:
        server: the server.
        multithread, multiprocess, run_once: what the application is told.
    """

    def __init__(self, server: Server, *, multithread: bool, multiprocess: bool, run_once: bool = False) -> None:
        self._server = server
        self._current = threading.local()
        self._wsgi = WSGIGateway(
            self._answer,
            multithread=multithread,
            multiprocess=multiprocess,
            run_once=run_once,
            new_reference=new_reference,
        )

    def __call__(self, request: Request) -> None:
        """Answer one request, in this thread.

        Raises:
            Disconnected: the web server does not take the response.
        """
        self._current.request = request
        self._wsgi(request)

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        server = self._server
        handled = server._make_request(Call(server, self._current.request, environ, Answer(start_response)))
        handled.run()
        return handled.result
