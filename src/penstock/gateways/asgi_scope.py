"""This file makes a request what ASGI 3 hands to an application: the scope of http, and of websocket."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias

from penstock.gateways.environ import scheme
from penstock.gateways.request import AsyncRequest

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
ASGIApplication: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[object]]

_ASGI: Final = {"version": "3.0", "spec_version": "2.5"}

# The name of each parameter that is a header, as ASGI has it; b"" for a parameter that is none. Clients choose names,
# so the cache has an end.
_MAX_REMEMBERED: Final = 1024
_header_names: Final[dict[str, bytes]] = {
    "CONTENT_TYPE": b"content-type",
    "CONTENT_LENGTH": b"content-length",
    # Dropped for the reasons that gateways.environ gives for each.
    "HTTP_PROXY": b"",
    "HTTP_CONTENT_LENGTH": b"",
    "HTTP_CONTENT_TYPE": b"",
    "HTTP_TRANSFER_ENCODING": b"",
    # A web server's configuration may send its own after the client's; the merged parameter knows which one counts.
    "HTTP_HOST": b"",
}


_log: Final = logging.getLogger("penstock")
_warned: Final[set[str]] = set()
_MOST_WARNINGS: Final = 256


class OutOfOrder(RuntimeError):
    """The application sent a message that has no place there."""


def warn_once(line: str) -> None:
    """Warn of what is asked for or done again and again, without filling the log."""
    if line not in _warned and len(_warned) < _MOST_WARNINGS:
        _warned.add(line)
        _log.warning("%s", line)


def _header_name(parameter: str) -> bytes:
    name = parameter[5:].replace("_", "-").lower().encode("latin-1") if parameter[:5] == "HTTP_" else b""
    if len(_header_names) < _MAX_REMEMBERED:
        _header_names[parameter] = name
    return name


def header_list(names: list[str], values: list[str], params: dict[str, str]) -> list[tuple[bytes, bytes]]:
    """The request's headers as ASGI has them: lower-case bytes, in the order of the wire, repeats kept."""
    headers: list[tuple[bytes, bytes]] = []
    host = params.get("HTTP_HOST")
    if host:
        headers.append((b"host", host.encode("latin-1")))
    known = _header_names.get
    for parameter, value in zip(names, values, strict=True):
        name = known(parameter)
        if name is None:
            name = _header_name(parameter)
        # An empty CONTENT_TYPE or CONTENT_LENGTH is CGI's way to say that there is none.
        if name and (value or parameter[:5] == "HTTP_"):
            headers.append((name, value.encode("latin-1")))
    return headers


def _text_path(native: str) -> str:
    return native if native.isascii() else native.encode("latin-1").decode("utf-8", "replace")


def _port(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() else 0


def build_scope(request: AsyncRequest, state: dict[str, Any]) -> dict[str, Any]:
    """The connection scope of a request (ASGI http, spec_version 2.5).

    `path` begins with `root_path`; `raw_path` is REQUEST_URI's, the only place where %2F survives.
    """
    params = request.params
    root_path = _text_path(params["SCRIPT_NAME"])
    path = _text_path(params["PATH_INFO"])
    uri = params.get("REQUEST_URI", "")
    version = params.get("SERVER_PROTOCOL", "HTTP/1.1").partition("/")[2]
    client = params.get("REMOTE_ADDR")
    return {
        "type": "http",
        "asgi": _ASGI,
        "http_version": "2" if version == "2.0" else version or "1.1",
        "method": params["REQUEST_METHOD"],
        "scheme": scheme(params),
        "path": root_path + path,
        "raw_path": uri.partition("?")[0].encode("latin-1") if uri else None,
        "query_string": params["QUERY_STRING"].encode("latin-1"),
        "root_path": root_path,
        "headers": header_list(request.names, request.values, params),
        "client": (client, _port(params.get("REMOTE_PORT"))) if client else None,
        "server": (params["SERVER_NAME"], _port(params.get("SERVER_PORT"))),
        "extensions": {"http.response.pathsend": {}},
        "state": state.copy(),
    }


def asks_for_websocket(params: dict[str, str]) -> bool:
    """Whether a request is a websocket's handshake; its Upgrade may have been lost on the way (h2o, HAProxy)."""
    if params.get("REQUEST_METHOD") != "GET":
        return False
    upgrade = params.get("HTTP_UPGRADE")
    return upgrade.lower() == "websocket" if upgrade is not None else "HTTP_SEC_WEBSOCKET_VERSION" in params


def build_websocket_scope(request: AsyncRequest, state: dict[str, Any]) -> dict[str, Any]:
    """The connection scope of a websocket (ASGI websocket, spec_version 2.5)."""
    scope = build_scope(request, state)
    del scope["method"]
    offered = request.params.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")
    scope["type"] = "websocket"
    scope["scheme"] = "wss" if scope["scheme"] == "https" else "ws"
    scope["subprotocols"] = [name.strip() for name in offered.split(",") if name.strip()]
    scope["extensions"] = {"websocket.http.response": {}}
    return scope
