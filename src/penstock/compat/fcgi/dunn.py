"""This file is Robin Dunn's fcgi.py of 1998: the program has the loop, and pulls one request after another.

while fcgi.isFCGI():
    req = fcgi.Accept()
    req.out.write("Content-Type: text/html\\n\\n<p>Hello")
    req.Finish()
"""

# ruff: noqa: N802 - Dunn's names

from __future__ import annotations

import importlib
import io
import sys
from typing import Any, TextIO

from penstock.compat._output import TextStream, to_text
from penstock.compat.fcgi.pulling import Line
from penstock.server.notices import log

_line: Line | None = None
_open: FCGI | None = None


def isFCGI() -> bool:
    """Whether there may be another request.

    True until it is known better: in plain CGI and in a shell it turns false after the first `Accept`, so that a loop
    on it runs once there. Once the program has been asked to stop and everything is answered, it is false too.
    """
    return _line is None or not _line.over


class FCGI:
    """The next request; making one waits for it. `Accept` is its other name.

    Between here and Finish, sys.stdin and sys.stdout are this request's, so print() and input() work. Text is UTF-8 in
    both directions, and a byte that is no UTF-8 is a lone surrogate (PEP 383); `inp.buffer` and `out.buffer` are for
    bytes. One request is open at a time: an older one that is open still is finished first.

    Attributes:
        inp, stdin: the body.
        out, stdout: takes a CGI response, text or bytes; it is kept until Finish.
        err, stderr: the process's own standard error; FCGI_STDERR ends a request with some web servers.
        env, environ: the parameters as text, in a dictionary; repaired as penstock's documentation says.
        data: the second input of a Filter, a binary file.
        haveFinished: Finish has been called.

    Raises:
        SystemExit: no more requests come, as the program was asked to stop (SIGTERM, SIGINT, SIGUSR1), or has answered
            the only one of plain CGI.
        AddressError, BindError: what the process was started with is no listening socket.
    """

    def __init__(self) -> None:
        global _line, _open
        self.haveFinished = True  # until there is something to finish
        if _open is not None:
            _open.Finish()
        if _line is None:
            _line = Line(_finish_open)
        call = _line.next()
        if call is None:
            sys.exit(_line.status)
        self._call = call
        self._output = io.BytesIO()
        self.env = self.environ = {name: to_text(value) for name, value in call.request.params.items()}
        self.inp = self.stdin = TextStream(call.request.stdin)
        self.out = self.stdout = TextStream(self._output)
        self.err: TextIO | None = sys.stderr
        self.stderr = self.err
        self.data = call.request.data if call.request.data is not None else io.BytesIO()
        self.haveFinished = False
        self._replaced = (sys.stdin, sys.stdout)
        sys.stdin, sys.stdout = self.inp, self.out
        _open = self

    def Finish(self, status: int = 0) -> None:
        """Send the answer; a second call does nothing.

        Args:
            status: FastCGI's application status; web servers do nothing with it, so it goes to the log.
        """
        if status and not self.haveFinished:
            log.debug("a request ended with application status %d, which is not passed on", status)
        self._end(True)

    def _end(self, whole: bool) -> None:
        global _open
        if self.haveFinished:
            return
        self.haveFinished = True
        _open = None
        if sys.stdin is self.inp:
            sys.stdin = self._replaced[0]
        if sys.stdout is self.out:
            sys.stdout = self._replaced[1]
        self._call.end(self._output.getvalue() if whole else None)
        if _line is not None:
            _line.settle()

    def getFieldStorage(self) -> Any:
        """The form as a `cgi.FieldStorage`, blank values kept.

        Raises:
            ImportError: Python has no `cgi` any more, from 3.13 on; `pip install 'penstock[legacy]'` brings it back.
        """
        try:
            # By name, because it is not of every Python.
            cgi = importlib.import_module("cgi")
        except ImportError:
            raise ImportError(
                "getFieldStorage() needs the module cgi, which Python has no more from 3.13 on;"
                " pip install 'penstock[legacy]' brings it back",
                name="cgi",
            ) from None
        if self.env.get("REQUEST_METHOD", "GET").upper() in ("GET", "HEAD"):
            return cgi.FieldStorage(environ=self.env, keep_blank_values=True)
        return cgi.FieldStorage(fp=self.inp.buffer, environ=self.env, keep_blank_values=True)


Accept = FCGI


def _finish_open(whole: bool) -> None:
    """End the request that the program has left open when it ended itself."""
    if _open is not None:
        _open._end(whole)
