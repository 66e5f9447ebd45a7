"""This file answers GET / on a terminal, for somebody who has typed a program that a web server was to start."""

from __future__ import annotations

import codecs
import os
import shlex
import sys
from typing import Final, TextIO, final

from penstock.gateways.environ import normalise
from penstock.gateways.request import Disconnected, Gateway, Request
from penstock.gateways.webserver import MalformedHead, ResponseReader, cgi_params
from penstock.protocol.spec import Role

MOST_BYTES: Final = 262_144
"""Bytes of body that are received; an application that streams for ever is stopped there."""

MOST_LINES: Final = 40
MOST_CHARACTERS: Final = 4000

_SOCKET: Final = "unix:app.sock"


@final
class _Visit(Request):
    """A request whose answer is kept for being looked at.

    Attributes:
        reader: has the head once it is there.
        body: the begin of the body.
        cut: there was more of it.
        broken: the response is not whole, and why.
    """

    __slots__ = ("body", "broken", "cut", "reader")

    def __init__(self) -> None:
        super().__init__(Role.RESPONDER, cgi_params("GET", "/"))
        normalise(self.params)
        self.params["FCGI_ROLE"] = "RESPONDER"
        self.reader = ResponseReader()
        self.body = bytearray()
        self.cut = False
        self.broken = ""

    def write(self, data: bytes | memoryview) -> None:
        try:
            self.body += self.reader.feed(bytes(data))
        except MalformedHead as error:
            self.broken = str(error)
            raise Disconnected(self.broken) from error
        if len(self.body) > MOST_BYTES:
            del self.body[MOST_BYTES:]
            self.cut = True
            raise Disconnected("the terminal has seen enough")

    def finish(self, data: bytes | memoryview = b"") -> None:
        self.write(data)

    def abort(self) -> None:
        self.broken = "the application failed in the middle of its response"


def run_shell(gateway: Gateway, app_name: str, stream: TextIO) -> int:
    """Show on a terminal how GET / is answered, and say how to go on.

    Args:
        gateway: runs the application.
        app_name: APP, as `penstock serve` takes it.
        stream: where the text goes.

    Returns:
        The exit status: 0 when there is an answer, 1 when the application failed.

    Raises:
        OSError: the stream cannot be written to.
    """
    visit = _Visit()
    try:
        gateway(visit)
    except Disconnected:
        pass
    if visit.reader.head is None and not visit.broken:
        visit.broken = "the application gave no answer"
    text = f"GET / is answered like this:\n\n{_shown(visit)}\n{_next_step(app_name)}"
    # In the terminal's own encoding: a C locale must not turn an answer into a traceback.
    encoding = stream.encoding or "utf-8"
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()
    return 1 if visit.broken or visit.reference else 0


def name_of(app: object) -> str:
    """Return APP for `penstock serve`, of an application that the running program serves."""
    main = sys.modules["__main__"]
    spec = getattr(main, "__spec__", None)
    file = getattr(main, "__file__", None)
    if spec is not None:  # python -m blog
        place = str(spec.name).removesuffix(".__main__")
    elif file is not None:
        place = os.path.relpath(file)
        if place.startswith(os.pardir):
            place = str(file)
    else:
        return "APP"
    names = [name for name, value in vars(main).items() if value is app and not name.startswith("__")]
    if not names or "app" in names or "application" in names:
        return place
    return f"{place}:{min(names)}"


def _shown(visit: _Visit) -> str:
    lines = []
    head = visit.reader.head
    if head is not None:
        lines += [f"{head.status} {head.reason}", *(f"{name}: {value}" for name, value in head.headers)]
        if visit.body:
            lines += ["", *_shown_body(visit)]
    if visit.broken:
        lines += ["", f"The answer is not complete: {visit.broken}."]
    elif visit.reference:
        lines += ["", f"The application failed; the log has the reason under {visit.reference}."]
    return "".join(f"    {_printable(line)}".rstrip() + "\n" for line in lines)


def _shown_body(visit: _Visit) -> list[str]:
    size = f"{'more than ' if visit.cut else ''}{len(visit.body):,} bytes"
    text = _decode(visit)
    if text is None:
        kind = next((value for name, value in _headers(visit) if name == "content-type"), "data")
        return [f"({size} of {kind})"]
    lines = text[:MOST_CHARACTERS].splitlines()
    if visit.cut or len(text) > MOST_CHARACTERS or len(lines) > MOST_LINES:
        return [*lines[:MOST_LINES], f"... ({size} in all)"]
    return lines


def _headers(visit: _Visit) -> list[tuple[str, str]]:
    head = visit.reader.head
    return [] if head is None else [(name.lower(), value) for name, value in head.headers]


def _decode(visit: _Visit) -> str | None:
    """The body as text; None when it is something else."""
    charset = "utf-8"
    for name, value in _headers(visit):
        if name == "content-encoding":
            return None
        if name == "content-type" and "charset=" in value.lower():
            charset = value.lower().partition("charset=")[2].partition(";")[0].strip(" \"'")
    try:
        # Incremental, because a cut body may end inside a character.
        text: object = codecs.getincrementaldecoder(charset)().decode(bytes(visit.body), not visit.cut)
    except (LookupError, ValueError, TypeError):  # TypeError: `rot13` is among the codecs, and takes no bytes
        return None
    return text if isinstance(text, str) and "\0" not in text else None


def _printable(line: str) -> str:
    """Escape what would steer the terminal."""
    if line.isprintable():
        return line
    return "".join(c if c.isprintable() or c == "\t" else c.encode("unicode_escape").decode("ascii") for c in line)


def _next_step(app_name: str) -> str:
    return f"""\
No web server has started this program, so it asked itself. To serve it:

    penstock serve {shlex.quote(app_name)} --bind {_SOCKET}

and point a web server to that socket. Or let one start this program as it is: Apache (mod_fcgid, or as plain CGI),
lighttpd, spawn-fcgi, supervisor (fcgi-program) or systemd (a .socket unit).
"""
