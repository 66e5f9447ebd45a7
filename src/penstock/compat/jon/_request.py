"""This file is jon.cgi's Request: what the client sent, and an `Answer` to it, for whatever transport a subclass is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from typing import Any, BinaryIO, ClassVar

from penstock.compat.jon._answer import Answer
from penstock.compat.jon._forms import FORM_LIMITS, Params, merge_multipart, merge_urlencoded
from penstock.compat.jon._text import to_native
from penstock.compat.jon._tracebacks import html_page, text_of
from penstock.gateways.cookies import parse_cookies
from penstock.gateways.forms import FormLimits, FormTooLarge
from penstock.gateways.response import error_page


def traceback(req: Request, html: int = 0) -> None:
    """Report the exception that is being handled; to be called in an `except`.

    Args:
        req: its `error` gets the traceback.
        html: show it to the client as well, in place of what was not sent yet. Never where others can see it.
    """
    error = sys.exc_info()[1]
    req.error(text_of(error))
    if html:
        req._start_error_page()
        req.write(html_page(error))


class Request(Answer):
    """One request and the answer to it. A subclass is a transport: it has `environ`, `stdin` and `_write`.

    Headers are kept until the body begins or `output_headers()`; the body is kept until the end or `flush()`, unless
    `set_buffering(0)`. What is text and what bytes: see penstock.compat.jon._text.

    Attributes:
        environ: the parameters by name; text.
        stdin: the body of the request, a binary file. Read it or ask for `params`, not both.
        cookies: what the client sent, an http.cookies.SimpleCookie. One with a name that HTTP does not allow is left
            out; in jonpy it made every page an error.
        form_limits: what a form may make us hold. Not in jonpy, where a client could fill the memory.
    """

    form_limits: ClassVar[FormLimits] = FORM_LIMITS
    environ: dict[str, str]
    stdin: BinaryIO
    cookies: SimpleCookie

    def __init__(self, handler_type: Callable[[], Any]) -> None:
        """Make a request for a handler; `handler_type` is called without arguments and gives one for each request."""
        self._handler_type = handler_type
        self._params: Params | None = None

    def _init(self) -> None:
        super()._init()
        self._aborted = 0
        self._form_encoding: str | None = None
        self._params = None
        self.cookies = _load_cookies(self.environ.get("HTTP_COOKIE", ""))

    @property
    def aborted(self) -> int:
        """Not 0 when nobody waits for the answer any more: 1 for an abort, 2 for a connection that is gone.

        What is written from then on is dropped; a handler may look here and give up, and need not.
        """
        return self._aborted or self._given_up()

    @aborted.setter
    def aborted(self, value: int) -> None:
        self._aborted = value

    def _given_up(self) -> int:
        """What a transport knows of the client."""
        return 0

    # -- what the client sent

    @property
    def params(self) -> Params:
        """The fields of the query string and, over them, of a POST form; read when it is first asked for.

        Raises:
            BadForm: it passes `form_limits`, or is no form; a 400 or 413 when nobody catches it.
            LibraryMissing: it is multipart, and the `multipart` library is not installed.
        """
        if self._params is None:
            self._params = {}
            self._read_cgi_data(self.environ, self.stdin)
        return self._params

    @params.setter
    def params(self, value: Params) -> None:
        self._params = value

    def set_form_encoding(self, encoding: str | None) -> None:
        """Read `params` in this encoding instead of UTF-8; to be called before they are looked at."""
        self._form_encoding = encoding

    def get_form_encoding(self) -> str | None:
        """What `set_form_encoding` has set."""
        return self._form_encoding

    def _read_cgi_data(self, environ: dict[str, str], inf: BinaryIO) -> None:
        if "QUERY_STRING" in environ:
            self._mergevars(environ["QUERY_STRING"])
        if environ.get("REQUEST_METHOD") == "POST":
            kind = environ.get("CONTENT_TYPE", "")
            if kind.lower().startswith("multipart/form-data"):
                self._mergemime(kind, inf)
                return
            most = min(self.form_limits.max_size, self.form_limits.max_memory)
            block = inf.read(most + 1)
            if len(block) > most:
                raise FormTooLarge(f"a form of more than the {most} bytes that are allowed")
            self._mergevars(block)

    def _mergevars(self, encoded: str | bytes) -> None:
        block = encoded.encode("utf-8", "surrogateescape") if isinstance(encoded, str) else encoded
        merge_urlencoded(self.params, block, self._form_encoding, self.form_limits)

    def _mergemime(self, contenttype: str, encoded: BinaryIO) -> None:
        merge_multipart(self.params, contenttype, encoded, self._form_encoding, self.form_limits)

    # -- errors

    def error(self, s: object) -> None:
        """Write to the log, never to the client; a transport says where that is."""
        raise NotImplementedError(f"{type(self).__name__} has no error(s)")

    def traceback(self) -> None:
        """Log the exception that is being handled, and answer with a page that tells nothing of it.

        Where the headers are out already, the answer is broken off; jonpy wrote its page into the middle.
        """
        traceback(self)
        if self._start_error_page():
            self.write(self._error_page())

    def _error_page(self) -> bytes:
        return error_page(500).partition(b"\r\n\r\n")[2]

    def _start_error_page(self) -> bool:
        """Begin the answer anew, as an error; false when the headers are out."""
        if self._doneHeaders:
            self._break_off()
            return False
        self.clear_headers()
        self.set_encoding(None, None)
        self.set_header("Status", "500 Internal Server Error")
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self._drop_output()
        return True

    def _break_off(self) -> None:
        """The answer will not be complete; for a transport that can say so."""


def _load_cookies(header: str) -> SimpleCookie:
    cookies = SimpleCookie()
    for name, value in parse_cookies(to_native(header)).items():
        try:
            cookies[name] = value
        except CookieError:
            continue
    return cookies
