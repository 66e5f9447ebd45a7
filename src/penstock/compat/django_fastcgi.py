"""This file is django.core.servers.fastcgi, as Django had it up to 1.8: `runfastcgi(method="threaded")`.

Django made a server of flup's out of the options; here it is penstock's flup.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable
from typing import Any, Final

from penstock.server.notices import log

FASTCGI_OPTIONS: Final[dict[str, Any]] = {
    "protocol": "fcgi",
    "host": None,
    "port": None,
    "socket": None,
    "method": "fork",
    "daemonize": None,
    "workdir": "/",
    "pidfile": None,
    "maxspare": 5,
    "minspare": 2,
    "maxchildren": 50,
    "maxrequests": 0,
    "debug": None,
    "outlog": None,
    "errlog": None,
    "umask": None,
}
"""The options with their defaults, as Django had them."""

_PROTOCOLS: Final = ("fcgi", "scgi", "ajp")


def runfastcgi(argset: Iterable[str] = (), **kwargs: Any) -> bool:
    """Serve Django's application until a signal ends it.

    Nothing goes to the background here: with daemonize, by default or said, it serves in the foreground and says so,
    for systemd and supervisor want it there. outlog, errlog and workdir belong to that, and are not used.

    Args:
        argset: options as `manage.py runfcgi` took them: "method=threaded", or "debug".
        kwargs: options by name, over `argset`; values may be text.

    Returns:
        Whether SIGHUP has ended it.

    Raises:
        ValueError: an option that there is not, or its value makes no sense.
        ImportError: Django is not installed.
        CannotListen: an OSError: the address cannot be listened at.
    """
    options = _options(argset, kwargs)
    server, arguments = _server(options)
    if _daemonizes(options["daemonize"], arguments["bindAddress"] is not None):
        log.warning("penstock does not daemonize; it serves in the foreground, as systemd and supervisor want it")
    if options["umask"] is not None:
        os.umask(int(str(options["umask"]), 8))
    # By name, because Django is the program's to install, and no dependency of ours.
    application = importlib.import_module("django.core.wsgi").get_wsgi_application()
    pidfile = options["pidfile"]
    if pidfile:
        with open(pidfile, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    ended_by_hup: bool = server(application, **arguments).run()
    return ended_by_hup


def fastcgi_help(message: str | None = None) -> bool:
    """Write the options to standard error."""
    names = "\n".join(f"  {name}={'' if value is None else value}" for name, value in FASTCGI_OPTIONS.items())
    sys.stderr.write(f"{message or ''}\nrunfastcgi takes these options:\n{names}\n")
    return False


def _options(argset: Iterable[str], kwargs: dict[str, Any]) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for word in argset:
        name, equals, value = word.partition("=")
        given[name.lower()] = value if equals else True
    given.update(kwargs)
    for name in given:
        if name not in FASTCGI_OPTIONS:
            raise ValueError(f"runfastcgi has no option {name!r}; it has {', '.join(FASTCGI_OPTIONS)}")
    return FASTCGI_OPTIONS | given


def _server(options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The class of the server, and its arguments."""
    protocol, method = options["protocol"], options["method"]
    if protocol not in _PROTOCOLS:
        raise ValueError(f"protocol is {protocol!r}; it is one of {', '.join(_PROTOCOLS)}")
    arguments = {"minSpare": int(options["minspare"]), "maxSpare": int(options["maxspare"])}
    if method in ("prefork", "fork"):
        arguments |= {"maxChildren": int(options["maxchildren"]), "maxRequests": int(options["maxrequests"])}
    elif method in ("thread", "threaded"):
        arguments["maxThreads"] = int(options["maxchildren"])
    else:
        raise ValueError(f"method is {method!r}; it is prefork or threaded")
    name = protocol if "maxThreads" in arguments else f"{protocol}_fork"
    module = importlib.import_module(f"penstock.compat.flup.server.{name}")
    more = {"debug": options["debug"] is not None, "bindAddress": _address(options)}
    return module.WSGIServer, arguments | more


def _address(options: dict[str, Any]) -> Any:
    host, port, socket = options["host"], options["port"], options["socket"]
    if host and port and not socket:
        return host, int(port)
    if host or port:
        raise ValueError(
            "an address is host and port, or socket; or none of them for what the process was started with"
        )
    return socket or None


def _daemonizes(said: Any, bound: bool) -> bool:
    if said is None:
        return bound
    word = str(said).lower()
    if word not in ("true", "yes", "t", "false", "no", "f"):
        raise ValueError(f"daemonize is {said!r}; it is true or false")
    return word in ("true", "yes", "t")
