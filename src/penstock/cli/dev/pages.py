"""This file shows an application's errors in the browser of whoever develops it: tracebacks, failed imports.

It stands between our server and the application in the process that `penstock dev` starts, and nowhere else. A page
goes to browsers on this machine alone; all others get the server's own short page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, final

from penstock.cli.dev.page import error_page, load_page
from penstock.gateways.request import Disconnected
from penstock.gateways.wsgi import WSGIApplication
from penstock.server.importer import OURS, AppError
from penstock.server.importhints import trace_without
from penstock.server.notices import log

StartResponse = Callable[..., Callable[[bytes], object]]

HEADERS: Final = (
    ("Content-Type", "text/html; charset=utf-8"),
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'"),
)
"""What a page is sent with: nobody keeps it, and nothing in it runs."""


@final
class Debugged:
    """A WSGI application whose exceptions become pages, as long as nothing of its response has been sent."""

    def __init__(self, application: WSGIApplication) -> None:
        self._application = application

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        started = False

        def start(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Callable[[bytes], object]:
            nonlocal started
            started = True
            return start_response(status, headers, exc_info)

        try:
            result = self._application(environ, start)
            if type(result) in (list, tuple) and started and all(isinstance(piece, bytes) for piece in result):
                return result  # nothing can fail any more, and the server can tell its length
        except Disconnected:
            raise
        except (Exception, SystemExit) as error:
            return _page(error, environ, start_response)
        return _Guarded(result, lambda: started, lambda error: _page(error, environ, start_response))


@final
class _Guarded:
    """What an application returned, with a page in its place if it fails before its first bytes."""

    def __init__(
        self, result: Iterable[bytes] | None, started: Callable[[], bool], page: Callable[[BaseException], list[bytes]]
    ) -> None:
        self._result = result
        self._started = started
        self._page = page

    def __iter__(self) -> Iterator[bytes]:
        try:
            if self._result is None:
                raise TypeError("the application returned None; it has to return an iterable of bytes")
            for piece in self._result:
                if not isinstance(piece, bytes):
                    raise TypeError(f"a WSGI application returns pieces of bytes, not of {type(piece).__name__}")
                self._check_started()
                yield piece
            self._check_started()
        except Disconnected:
            raise
        except (Exception, SystemExit) as error:
            yield from self._page(error)

    def _check_started(self) -> None:
        if not self._started():
            raise RuntimeError("the application returned without having called start_response()")

    def close(self) -> None:
        close = getattr(self._result, "close", None)
        if close is not None:
            close()


def _page(error: BaseException, environ: dict[str, Any], start_response: StartResponse) -> list[bytes]:
    """Answer with the page of an error; where that may not be, or comes too late, leave the error to the server.

    Raises:
        BaseException: the error itself.
    """
    if not is_local(environ):
        raise error
    request = f"{environ.get('REQUEST_METHOD')} {environ.get('REQUEST_URI')}"
    # With exc_info the server refuses if the head is out already, and then the response is broken off.
    start_response("500 Internal Server Error", list(HEADERS), (type(error), error, error.__traceback__))
    return [draw(error, request)]


def draw(error: BaseException, request: str) -> bytes:
    """The page of an error; the terminal gets its traceback too."""
    log.error("the application failed: %r\n%s", request, trace_without(error, OURS).rstrip())
    return traceback_page(error, request)


def traceback_page(error: BaseException, request: str) -> bytes:
    """The page of an error that is in the log already."""
    return error_page(error, request, OURS)


def unloadable(error: AppError) -> WSGIApplication:
    """An application that answers every request with why the real one could not be loaded."""

    def application(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        start_response("500 Internal Server Error", list(HEADERS))
        if is_local(environ):
            return [load_page(error, OURS)]
        return [b"<!doctype html><title>500</title><p>The application could not be loaded. Its log says why."]

    return application


def is_local(environ: dict[str, Any]) -> bool:
    """Whether the browser runs on this machine, as far as anyone can tell; a tunnel or a proxy may stand in between."""
    forwarded = "HTTP_X_FORWARDED_FOR" in environ or "HTTP_FORWARDED" in environ
    peer = environ.get("REMOTE_ADDR", "").removeprefix("::ffff:")
    return not forwarded and (peer == "::1" or peer.startswith("127."))
