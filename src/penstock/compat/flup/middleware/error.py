"""This file is flup.middleware.error: WSGI middleware with a page and an e-mail for when an application fails."""

# ruff: noqa: N802, N803, N806 - flup's names

from __future__ import annotations

import html
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from email.message import EmailMessage
from typing import Any, cast, final

from penstock.gateways.request import Disconnected
from penstock.gateways.wsgi import WSGIApplication

__all__ = ["ErrorMiddleware"]


class ErrorMiddleware:
    """Catches what the application lets through: a page with status 500, and the traceback by e-mail.

    flup sends its page with status 200, which tells caches and search engines that all is well.

    Args:
        application: a WSGI application.
        adminAddress: who gets the e-mail; None for nobody.
        fromAddress: who sends it.
        smtpHost: where it is handed in.
        applicationName: stands in its subject; the application's own name by default.
        errorPageMimeType, errorPage: the page, as text or bytes.
        errorPageFile: the file with the page, if errorPage is not given.
        emailInterval: minutes between two e-mails.
        intervalCheckFile: where processes that run one request each remember the last e-mail, by its modification time.
        debug: show the traceback, and send no e-mail.

    Raises:
        OSError: the page cannot be read.
    """

    def __init__(
        self,
        application: WSGIApplication,
        adminAddress: str | None,
        fromAddress: str = "wsgiapp",
        smtpHost: str = "localhost",
        applicationName: str | None = None,
        errorPageMimeType: str = "text/html",
        errorPage: str | bytes | None = None,
        errorPageFile: str = "error.html",
        emailInterval: float = 15,
        intervalCheckFile: str = "errorEmailCheck",
        debug: bool = False,
    ) -> None:
        self._application = application
        self._adminAddress = adminAddress
        self._fromAddress = fromAddress
        self._smtpHost = smtpHost
        self._applicationName = applicationName or _name_of(application)
        self._errorPageMimeType = errorPageMimeType
        if errorPage is None:
            with open(errorPageFile, "rb") as file:
                errorPage = file.read()
        self._errorPage = errorPage.encode() if isinstance(errorPage, str) else errorPage
        self._emailInterval = emailInterval * 60
        self._lastEmailTime = 0.0
        self._intervalCheckFile = intervalCheckFile
        self._debug = debug
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """PEP 3333."""
        try:
            result = self._application(environ, start_response)
        except Disconnected:
            raise
        except Exception:
            self.exceptionHandler(environ)
            return self.displayErrorPage(environ, start_response)
        if type(result) in (list, tuple):
            return result
        return _Guarded(result, self, environ, start_response)

    def exceptionHandler(self, environ: dict[str, Any]) -> None:
        """Report the exception that is being handled: always to wsgi.errors, by e-mail where that is due."""
        errors = environ["wsgi.errors"]
        traceback.print_exc(file=errors)
        errors.flush()
        if self._shouldSendEmail(environ):
            self._sendErrorEmail(environ)

    def displayErrorPage(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer in the application's place, inside the `except`; may be overridden."""
        return (self._displayDebugPage if self._debug else self._displayErrorPage)(environ, start_response)

    def _displayErrorPage(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # noqa: ARG002
        return self._page(start_response, self._errorPageMimeType, self._errorPage)

    def _displayDebugPage(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:  # noqa: ARG002
        page = self._generateHTMLErrorEmail().encode("utf-8", "backslashreplace")
        return self._page(start_response, "text/html; charset=utf-8", page)

    def _page(self, start_response: Callable[..., Any], kind: str, page: bytes) -> list[bytes]:
        headers = [("Content-Type", kind), ("Content-Length", str(len(page)))]
        start_response("500 Internal Server Error", headers, sys.exc_info())
        return [page]

    def _shouldSendEmail(self, environ: dict[str, Any]) -> bool:
        """Whether an e-mail is due; the answer yes begins the next interval."""
        if self._debug or self._adminAddress is None:
            return False
        now = time.time()
        if not environ.get("wsgi.run_once"):
            with self._lock:
                due = self._lastEmailTime + self._emailInterval < now
                if due:
                    self._lastEmailTime = now
            return due
        try:
            if os.path.getmtime(self._intervalCheckFile) + self._emailInterval >= now:
                return False
        except OSError:
            pass  # there has been no e-mail yet
        try:
            with open(self._intervalCheckFile, "w"):
                os.utime(self._intervalCheckFile)
        except OSError as error:
            environ["wsgi.errors"].write(f"the time of this e-mail cannot be kept: {error}\n")
        return True

    def _sendErrorEmail(self, environ: dict[str, Any]) -> None:
        import smtplib  # a large module for a rare event

        message = self._generateErrorEmail()
        message["From"] = self._fromAddress
        message["To"] = self._adminAddress
        message["Subject"] = f"{self._applicationName}: unhandled exception"
        try:
            with smtplib.SMTP(self._smtpHost, timeout=10) as server:
                server.send_message(message)
        except (OSError, smtplib.SMTPException) as error:
            environ["wsgi.errors"].write(f"the e-mail about this error could not be sent: {error}\n")

    def _generateErrorEmail(self) -> EmailMessage:
        message = EmailMessage()
        message.set_content(self._generatePlainErrorEmail())
        message.add_alternative(self._generateHTMLErrorEmail(), subtype="html")
        return message

    def _generatePlainErrorEmail(self) -> str:
        return traceback.format_exc()

    def _generateHTMLErrorEmail(self) -> str:
        return f"<!DOCTYPE html>\n<title>Error</title>\n<pre>{html.escape(traceback.format_exc())}</pre>\n"


@final
class _Guarded:
    """An application's iterable; should it fail before its response is on the way, the error page takes its place."""

    def __init__(
        self,
        result: Iterable[bytes],
        middleware: ErrorMiddleware,
        environ: dict[str, Any],
        start_response: Callable[..., Any],
    ) -> None:
        self._result = result
        self._iterator: Iterator[bytes] | None = None
        self._middleware = middleware
        self._environ = environ
        self._start_response = start_response

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._result)
            return next(self._iterator)
        except (StopIteration, Disconnected):
            raise
        except Exception:
            self._middleware.exceptionHandler(self._environ)
            # start_response raises the exception again if the response has begun.
            page = self._middleware.displayErrorPage(self._environ, self._start_response)
            self._iterator = iter(page)
            return next(self._iterator)

    def close(self) -> None:
        close = getattr(self._result, "close", None)
        if close is not None:
            close()


def _name_of(application: object) -> str:
    name = cast(str, getattr(application, "__name__", type(application).__name__))
    module = getattr(application, "__module__", "__main__")
    return name if module == "__main__" else f"{module}.{name}"
