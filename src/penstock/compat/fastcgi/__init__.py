"""This room is fastai's `fastcgi`: a decorator for CGI scripts, and handlers for the standard library's socketserver.

decorator.py   @fastcgi: a function that prints a page becomes a server
handler.py     FcgiHandler: `with TCPServer(address, MyHandler) as server: server.serve_forever()`
http.py        MinimalHTTPHandler: the same over HTTP, for small tools
records.py     the enums, and reading and writing records by hand
"""

from __future__ import annotations

import os
import sys
from typing import Final, NoReturn

from penstock.compat.fastcgi.decorator import fastcgi
from penstock.compat.fastcgi.handler import FcgiHandler, ForkingUnixServer, ReuseThreadingServer, TextWrapper
from penstock.compat.fastcgi.http import HandlerException, MinimalHTTPHandler
from penstock.compat.fastcgi.records import Record, Role, Status, params, readlen, recv_record, send_record, send_stream
from penstock.server.hosting import is_hosted

if is_hosted():
    from penstock.compat.fastcgi.hosted import take_over

    take_over()

__all__ = [
    "FcgiHandler",
    "ForkingUnixServer",
    "HandlerException",
    "MinimalHTTPHandler",
    "Record",
    "ReuseThreadingServer",
    "Role",
    "Status",
    "TextWrapper",
    "fastcgi",
    "os",
    "params",
    "readlen",
    "recv_record",
    "send_record",
    "send_stream",
    "sys",
]

__version__ = "0.0.3"
"""The fastcgi that is meant."""

_OTHER: Final = frozenset({"ThreadedServer", "ForkingServer", "ThreadedWSGIServer", "ForkingWSGIServer", "fcgi"})


def __getattr__(name: str) -> NoReturn:
    """Say which package is meant where two have one name.

    Raises:
        ImportError: the name belongs to python-fastcgi, a binding of a C library.
        AttributeError: nobody has it.
    """
    if name in _OTHER:
        raise ImportError(
            f"fastcgi.{name} is of python-fastcgi, and this is fastai's fastcgi; use penstock.serve",
            name=f"fastcgi.{name}",
        )
    raise AttributeError(f"fastcgi has no {name!r}")
