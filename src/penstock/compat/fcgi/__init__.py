"""This room is the module `fcgi`, of which there were two: Allan Saddi's server and Robin Dunn's loop, in one here.

from fcgi import WSGIServer             saddi.py: WSGIServer(app).run(), Server(handler).run()
while fcgi.isFCGI(): fcgi.Accept()      dunn.py: one request after another, pulled by the program
"""

from __future__ import annotations

from penstock.compat.fcgi.dunn import FCGI, Accept, isFCGI
from penstock.compat.fcgi.saddi import Server, WSGIServer
from penstock.compat.flup.records import *  # noqa: F403 - the protocol's names, which programs import from here
from penstock.compat.flup.server.fcgi_base import (
    Connection,
    InputStream,
    MultiplexedConnection,
    MultiplexedInputStream,
    OutputStream,
    Request,
    StdoutWrapper,
    TeeOutputStream,
)

__all__ = [
    "FCGI",
    "Accept",
    "Connection",
    "InputStream",
    "MultiplexedConnection",
    "MultiplexedInputStream",
    "OutputStream",
    "Request",
    "Server",
    "StdoutWrapper",
    "TeeOutputStream",
    "WSGIServer",
    "isFCGI",
]
