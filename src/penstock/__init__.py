"""This file is penstock's face: the names a program imports, each loaded when it is first used.

penstock is the FastCGI application server for Python. `penstock.serve(app)` serves a WSGI or ASGI application, or a
`Handler`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.gateways.handler import Handler, Request
    from penstock.protocol.spec import Role
    from penstock.server.embedding import Server
    from penstock.server.serving import serve

__version__ = "0.1.0"

__all__ = ["Handler", "Request", "Role", "Server", "__version__", "serve"]

# A CGI child pays for every import, so a name costs nothing until it is asked for.
_HOMES = {
    "Handler": "penstock.gateways.handler",
    "Request": "penstock.gateways.handler",
    "Role": "penstock.protocol.spec",
    "Server": "penstock.server.embedding",
    "serve": "penstock.server.serving",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'penstock' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])
