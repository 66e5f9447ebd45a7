"""This file is jon.cgi: `Handler`, what it gets, and plain CGI.

import jon.cgi as cgi

class Hello(cgi.Handler):
    def process(self, req):
        req.write("Hello, world!")

cgi.CGIRequest(Hello).process()
"""

from __future__ import annotations

import os
from typing import Final
from urllib.parse import quote, unquote_plus

from penstock.compat.jon._answer import Error, SequencingError
from penstock.compat.jon._gzip import GZipMixIn
from penstock.compat.jon._request import Request, traceback
from penstock.compat.jon._text import from_native, to_text
from penstock.compat.jon._transport import Served
from penstock.gateways.request import Request as RawRequest
from penstock.server.homes import answer_once, find_home, settle_descriptors

__all__ = [
    "CGIRequest",
    "DebugHandler",
    "DebugHandlerMixIn",
    "Error",
    "GZipCGIRequest",
    "GZipMixIn",
    "Handler",
    "Request",
    "SequencingError",
    "html_encode",
    "traceback",
    "url_decode",
    "url_encode",
]

# "+" because UTF-7 begins with it, which browsers once guessed where nobody had named a charset.
_ENTITIES: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "+": "&#43;"})


def html_encode(raw: object) -> str:
    """Anything as text that can stand in HTML, in an attribute too."""
    return to_text(raw).translate(_ENTITIES)


def url_encode(raw: object) -> str:
    """Anything as text that can stand in a URL: all but letters, digits and `_.!~*()-` as %XX, of its UTF-8 bytes."""
    return quote(to_text(raw), safe="!*()", encoding="utf-8", errors="surrogateescape")


def url_decode(enc: str) -> str:
    """The text that `url_encode` reads, or a browser: "+" is a space."""
    return unquote_plus(enc, "utf-8", "surrogateescape")


class CGIRequest(Served):
    """Plain CGI: the one request that this process was started for.

    What the handler prints goes to the error log; in jonpy it went into the response, in front of the headers mostly.
    Typed in a shell, the program shows how GET / is answered.
    """

    def _init(self) -> None:
        # All of the environment, where programs look for what Apache's SetEnv has put there; over it the parameters, as
        # they have been repaired.
        self.environ = {
            name: os.fsencode(value).decode("utf-8", "surrogateescape")
            for name, value in os.environ.items()
            if name != "HTTP_PROXY"
        }
        self.environ.update((name, from_native(value)) for name, value in self._raw.params.items())
        self.stdin = self._raw.stdin
        super()._init()

    def process(self) -> None:
        """Answer the request.

        Raises:
            RuntimeError: this process was started for FastCGI.
        """
        home = find_home(os.environ)
        if not home.once:
            raise RuntimeError(
                "CGIRequest answers one request of plain CGI, and this process was given a listening socket;"
                " jon.fcgi.Server serves that"
            )
        settle_descriptors()
        # The application's name is looked for by identity: without one, a shell is told the name of the program alone.
        answer_once(home, object(), self._answer, os.environ)

    def _answer(self, raw: RawRequest) -> None:
        self._raw = raw
        self._serve()


class GZipCGIRequest(GZipMixIn, CGIRequest):
    """Plain CGI, compressed."""


class Handler:
    """An application: subclass it and write `process`. Each request has an instance of its own."""

    def process(self, req: Request) -> None:
        """Answer the request, by writing to it."""
        raise NotImplementedError(f"{type(self).__name__} has no process(req)")

    def traceback(self, req: Request) -> None:
        """Answer where `process` has raised an exception, which is being handled; it is called for SystemExit too."""
        req.traceback()


class DebugHandlerMixIn:
    """Put before a handler, it shows exceptions to the client: for development alone, since they tell secrets."""

    def traceback(self, req: Request) -> None:
        """Answer with the traceback."""
        traceback(req, html=1)


class DebugHandler(DebugHandlerMixIn, Handler):
    """A handler that shows its exceptions to the client."""
