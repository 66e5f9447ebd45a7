"""This file holds flup's entry points for Paste: `use = egg:flup#fcgi` leads here, with text from an .ini file."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock.compat.flup.server import NoDefault, ajp, ajp_fork, fcgi, fcgi_fork, scgi, scgi_fork
from penstock.gateways.wsgi import WSGIApplication

Text = str | int | bool | None
"""A value from the .ini file, or what a program gives instead."""

Conf = Mapping[str, Any] | None

_TRUE = frozenset({"true", "yes", "on", "y", "t", "1"})
_FALSE = frozenset({"false", "no", "off", "n", "f", "0"})


def asbool(obj: object) -> bool:
    """Whether a value says yes.

    Raises:
        ValueError: it says neither yes nor no.
    """
    if not isinstance(obj, str):
        return bool(obj)
    word = obj.strip().lower()
    if word in _TRUE or word in _FALSE:
        return word in _TRUE
    raise ValueError(f"{obj!r} is neither true nor false")


def aslist(obj: Any, sep: str | None = None, strip: bool = True) -> list[Any]:
    """The words of a text, or what else there is as a list."""
    if isinstance(obj, str):
        words = obj.split(sep)
        return [word.strip() for word in words] if strip else words
    if obj is None:
        return []
    return list(obj) if isinstance(obj, list | tuple) else [obj]


def _mask(umask: Text) -> int | None:
    """A umask is octal, as everywhere; flup takes "022" for 22.

    Raises:
        ValueError: it is no octal number.
    """
    return int(umask, 8) if isinstance(umask, str) else umask


def _debug(debug: object, global_conf: Conf) -> bool:
    return asbool((global_conf or {}).get("debug", False) if debug is NoDefault else debug)


def _numbers(**given: Text) -> dict[str, Any]:
    return {name: int(value) for name, value in given.items() if value is not None}


def _place(host: str | None, port: Text, socket: str | None) -> str | tuple[str, int] | None:
    if socket and host is None and port is None:
        return socket
    if host and port is not None and not socket:
        return host, int(port)
    if host is None and port is None:
        return None
    raise ValueError("say either socket, or host and port, or none of them")


def run_fcgi_thread(
    wsgi_app: WSGIApplication,
    global_conf: Conf,
    host: str | None = None,
    port: Text = None,
    socket: str | None = None,
    umask: Text = None,
    multiplexed: Text = False,
    debug: object = NoDefault,
    minSpare: Text = None,
    maxSpare: Text = None,
    maxThreads: Text = None,
) -> None:
    """Serve with `flup.server.fcgi`."""
    fcgi.WSGIServer(
        wsgi_app,
        bindAddress=_place(host, port, socket),
        umask=_mask(umask),
        multiplexed=asbool(multiplexed),
        debug=_debug(debug, global_conf),
        **_numbers(minSpare=minSpare, maxSpare=maxSpare, maxThreads=maxThreads),
    ).run()


def run_fcgi_fork(
    wsgi_app: WSGIApplication,
    global_conf: Conf,
    host: str | None = None,
    port: Text = None,
    socket: str | None = None,
    umask: Text = None,
    multiplexed: Text = False,
    debug: object = NoDefault,
    minSpare: Text = None,
    maxSpare: Text = None,
    maxChildren: Text = None,
    maxRequests: Text = None,
) -> None:
    """Serve with `flup.server.fcgi_fork`."""
    fcgi_fork.WSGIServer(
        wsgi_app,
        bindAddress=_place(host, port, socket),
        umask=_mask(umask),
        multiplexed=asbool(multiplexed),
        debug=_debug(debug, global_conf),
        **_numbers(minSpare=minSpare, maxSpare=maxSpare, maxChildren=maxChildren, maxRequests=maxRequests),
    ).run()


def run_scgi_thread(
    wsgi_app: WSGIApplication,
    global_conf: Conf,
    scriptName: Any = NoDefault,
    host: str = "localhost",
    port: Text = "4000",
    allowedServers: Any = "127.0.0.1",
    debug: object = NoDefault,
    minSpare: Text = None,
    maxSpare: Text = None,
    maxThreads: Text = None,
) -> None:
    """Serve with `flup.server.scgi`."""
    scgi.WSGIServer(
        wsgi_app,
        scriptName=scriptName,
        bindAddress=_place(host, port, None),
        allowedServers=aslist(allowedServers),
        debug=_debug(debug, global_conf),
        **_numbers(minSpare=minSpare, maxSpare=maxSpare, maxThreads=maxThreads),
    ).run()


def run_scgi_fork(
    wsgi_app: WSGIApplication,
    global_conf: Conf,
    scriptName: Any = NoDefault,
    host: str = "localhost",
    port: Text = "4000",
    allowedServers: Any = "127.0.0.1",
    debug: object = NoDefault,
    minSpare: Text = None,
    maxSpare: Text = None,
    maxChildren: Text = None,
    maxRequests: Text = None,
) -> None:
    """Serve with `flup.server.scgi_fork`."""
    scgi_fork.WSGIServer(
        wsgi_app,
        scriptName=scriptName,
        bindAddress=_place(host, port, None),
        allowedServers=aslist(allowedServers),
        debug=_debug(debug, global_conf),
        **_numbers(minSpare=minSpare, maxSpare=maxSpare, maxChildren=maxChildren, maxRequests=maxRequests),
    ).run()


def run_ajp_thread(wsgi_app: WSGIApplication, global_conf: Conf, **_: object) -> None:  # noqa: ARG001
    """Not offered, as `BaseAJPServer` says."""
    ajp.WSGIServer(wsgi_app)


def run_ajp_fork(wsgi_app: WSGIApplication, global_conf: Conf, **_: object) -> None:  # noqa: ARG001
    """Not offered, as `BaseAJPServer` says."""
    ajp_fork.WSGIServer(wsgi_app)
