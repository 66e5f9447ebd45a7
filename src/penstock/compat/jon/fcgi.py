"""This file is jon.fcgi: `Server`, which serves handlers of jon.cgi in all three roles of FastCGI.

import jon.cgi as cgi, jon.fcgi as fcgi

class Hello(cgi.Handler):
    def process(self, req):
        req.write("Hello, world!")

fcgi.Server({fcgi.FCGI_RESPONDER: Hello}).run()
"""

from __future__ import annotations

import io
import itertools
import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Final

from penstock.compat.jon import cgi
from penstock.compat.jon._records import NameValueData as NameValueData  # by name, for programs import them from here
from penstock.compat.jon._records import Record as Record
from penstock.compat.jon._text import from_native
from penstock.compat.jon._transport import Served, fail
from penstock.connection.limits import Limits
from penstock.gateways.request import Disconnected
from penstock.gateways.request import Request as RawRequest
from penstock.protocol.spec import (
    KEEP_CONN,
    LISTENSOCK_FILENO,
    MAX_CONNS,
    MAX_REQS,
    MPXS_CONNS,
    VERSION,
    ProtocolStatus,
    RecordType,
    Role,
)
from penstock.server.homes import find_home
from penstock.server.hosting import Wish, is_hosted, open_place

if TYPE_CHECKING:
    from penstock.server.options import ServerOptions

FCGI_LISTENSOCK_FILENO: Final = LISTENSOCK_FILENO
FCGI_VERSION_1: Final = VERSION
FCGI_BEGIN_REQUEST: Final = int(RecordType.BEGIN_REQUEST)
FCGI_ABORT_REQUEST: Final = int(RecordType.ABORT_REQUEST)
FCGI_END_REQUEST: Final = int(RecordType.END_REQUEST)
FCGI_PARAMS: Final = int(RecordType.PARAMS)
FCGI_STDIN: Final = int(RecordType.STDIN)
FCGI_STDOUT: Final = int(RecordType.STDOUT)
FCGI_STDERR: Final = int(RecordType.STDERR)
FCGI_DATA: Final = int(RecordType.DATA)
FCGI_GET_VALUES: Final = int(RecordType.GET_VALUES)
FCGI_GET_VALUES_RESULT: Final = int(RecordType.GET_VALUES_RESULT)
FCGI_UNKNOWN_TYPE: Final = int(RecordType.UNKNOWN_TYPE)
FCGI_KEEP_CONN: Final = KEEP_CONN
FCGI_RESPONDER: Final = int(Role.RESPONDER)
FCGI_AUTHORIZER: Final = int(Role.AUTHORIZER)
FCGI_FILTER: Final = int(Role.FILTER)
FCGI_REQUEST_COMPLETE: Final = int(ProtocolStatus.REQUEST_COMPLETE)
FCGI_CANT_MPX_CONN: Final = int(ProtocolStatus.CANT_MPX_CONN)
FCGI_OVERLOADED: Final = int(ProtocolStatus.OVERLOADED)
FCGI_UNKNOWN_ROLE: Final = int(ProtocolStatus.UNKNOWN_ROLE)

log_level = 0
"""How much `log` writes: 0 nothing, 1 to 4 what is worth that; from 3 on every record is in penstock's log, too."""

log_name: str | None = None
"""A file that gets penstock's log as well. jonpy wrote to /tmp/fcgi.log, where another user may have put a link."""

_VALUES: Final = (("1", "1", "0"), ("10", "10", "0"), ("10", "10", "1"))
"""MAX_CONNS, MAX_REQS and MPXS_CONNS that web servers are told, for each threading level."""

_log: Final = logging.getLogger("penstock")


def set_logging(level: int, filename: str | None = None) -> None:
    """Set `log_level` and `log_name`; to be called before `Server.run()`."""
    global log_level, log_name
    log_level = level
    log_name = filename or log_name


def _say(level: int, message: str, data: object = None) -> None:
    if log_level >= level:
        _log.info("%s", message if data is None else f"{message} {data!a}")


class Request(Served):
    """One request over FastCGI. A subclass of it can be `Server(request_type=...)`.

    Args:
        handler_type: gives a handler when called.
        connection: the request as penstock has it; in jonpy this was the connection.
        request_id: counts the requests of a server, for `log`; in jonpy it was the protocol's.
        flags: FCGI_KEEP_CONN.
        threading_level: the server's.
    """

    _fcgi_fallback_type: ClassVar[type[cgi.CGIRequest]] = cgi.CGIRequest

    def __init__(
        self,
        handler_type: Callable[[], Any],
        connection: RawRequest,
        request_id: int,
        flags: int,  # noqa: ARG002 - subclasses pass all of jonpy's arguments on
        threading_level: int,  # noqa: ARG002
    ) -> None:
        super().__init__(handler_type)
        self._raw = connection
        self._request_id = request_id
        self._data: BinaryIO | None = None
        self.environ = {name: from_native(value) for name, value in connection.params.items()}
        self.stdin = connection.stdin

    @property
    def fcgi_data(self) -> BinaryIO:
        """The second input of a filter, a binary file; empty in other roles.

        Reading over the end of data that is shorter than FCGI_DATA_LENGTH raises ShortData, a 400 if nobody catches it.
        """
        if self._data is None:
            if self._raw.role is Role.FILTER:
                from penstock.gateways.handler_request import Request as HandlerRequest  # late: few are filters

                self._data = HandlerRequest(self._raw).data
            else:
                self._data = io.BytesIO()
        return self._data

    @property
    def fastcgi_data(self) -> BinaryIO:
        """`fcgi_data`, by the name that jonpy's documentation has for it."""
        return self.fcgi_data

    def run(self) -> None:
        """Run the handler and end the answer."""
        self._serve()

    def log(self, level: int, message: str, data: object = None) -> None:
        """Write to penstock's log, if `log_level` is as high as `level`."""
        _say(level, f"{self._request_id}: {message}", data)


class GZipRequest(cgi.GZipMixIn, Request):
    """The same, compressed where the client takes it."""

    _fcgi_fallback_type = cgi.GZipCGIRequest


class _NoResponder(cgi.Handler):
    def process(self, req: cgi.Request) -> None:
        raise NotImplementedError("this program has no handler for FCGI_RESPONDER, the one role that plain CGI knows")


class Server:
    """Serves handlers on the socket that this process was started with; without one, it answers by plain CGI.

    Args:
        handler_types: the handler of each role that is served; a request in another is refused.
        max_requests: requests after which `run` returns, all of them answered; 0 for no end. jonpy counted
            connections, which may carry any number of requests, and let requests that were still running die.
        params: answers to FCGI_GET_VALUES, over those of the threading level; in jonpy one of these was an error.
        request_type: `Request` or a subclass of it.
        threading_level: 0, one request at a time; 1, several, but one at a time on each connection; 2, several also
            on one connection.

    Attributes:
        threads: how many requests run at a time, above level 0. jonpy had a thread for every connection, and told web
            servers that it took 10.

    Raises:
        TypeError, ValueError: an argument is none of these.
    """

    threads: ClassVar[int] = 10

    def __init__(
        self,
        handler_types: Mapping[int, Callable[[], Any]],
        max_requests: int = 0,
        params: Mapping[str, object] | None = None,
        request_type: type[Request] = Request,
        threading_level: int = 1,
    ) -> None:
        for role in handler_types:
            if role not in tuple(Role):
                raise ValueError(f"{role!r} is no role; use FCGI_RESPONDER, FCGI_AUTHORIZER and FCGI_FILTER")
        if not isinstance(threading_level, int):
            raise TypeError(f"threading_level is 0, 1 or 2, not {threading_level!r}")
        if not _is_request_type(request_type):
            raise TypeError(f"request_type is a subclass of jon.fcgi.Request, not {request_type!r}")
        self.handler_types = handler_types
        self.max_requests = max_requests
        self.params = params
        self.request_type = request_type
        self.threading_level = threading_level
        self._numbers = itertools.count(1)
        self._stop: Callable[[], None] | None = None
        self._stopped = False

    def log(self, level: int, message: str) -> None:
        """Write to penstock's log, if `log_level` is as high as `level`."""
        _say(level, message)

    def exit(self) -> None:
        """Make `run` return, once the requests that run are answered; for any thread."""
        self._stopped = True
        if self._stop is not None:
            self._stop()

    def run(self) -> None:
        """Serve until `exit`, `max_requests` or a stop signal (SIGTERM, SIGINT, SIGUSR1), or answer by plain CGI.

        Raises:
            AddressError, BindError: what was passed is no listening socket, or FCGI_WEB_SERVER_ADDRS is written wrong.
        """
        place = open_place(Wish(self._options(), one_at_a_time=self.threading_level <= 0)) if is_hosted() else None
        home = find_home(os.environ)
        once = place is None and home.once
        # Late, for plain CGI needs no server, and a process pays for every import.
        if log_level or not once:
            from penstock.compat.jon._serving import open_log

            open_log(log_level >= 3, log_name)
        if once:
            self.log(1, "no listening socket: plain CGI")
            handler = self.handler_types.get(FCGI_RESPONDER, _NoResponder)
            self.request_type._fcgi_fallback_type(handler).process()
            return
        from penstock.compat.jon._serving import serve_inherited

        serve_inherited(self._answer, home, self._options(), self._started, place)

    def _options(self) -> ServerOptions:
        from penstock.server.options import ServerOptions

        level = min(max(self.threading_level, 0), 2)
        values = dict(zip((MAX_CONNS, MAX_REQS, MPXS_CONNS), _VALUES[level], strict=True))
        values.update((name, str(value)) for name, value in (self.params or {}).items())
        return ServerOptions(
            threads=self.threads if level else 1,
            roles=frozenset(Role(role) for role in self.handler_types),
            limits=Limits(requests=self.threads if level == 2 else 1),
            values=values,
        )

    def _started(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        if self._stopped:
            stop()

    def _answer(self, raw: RawRequest) -> None:
        """Run the handler for one request (`gateways.request.Gateway`)."""
        number = next(self._numbers)
        if number == self.max_requests:
            self.exit()
        request: Request | None = None
        try:
            handler = self.handler_types[int(raw.role)]
            request = self.request_type(handler, raw, number, FCGI_KEEP_CONN, self.threading_level)
            request.run()
        except Disconnected:
            raise
        # What a subclass of Request does wrong on its own.
        except BaseException as error:
            fail(raw, error, getattr(request, "_sender", None))


def _is_request_type(candidate: object) -> bool:
    return isinstance(candidate, type) and issubclass(candidate, Request)


class _Absent:
    """Something of jonpy's own server, which penstock's takes the place of."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        raise NotImplementedError(
            f"jon.fcgi.{type(self).__name__} belongs to jonpy's own server; jon.fcgi.Server runs penstock's"
        )


class Connection(_Absent):
    """Not to be had; see `Server`."""


class InputStream(_Absent):
    """Not to be had; a request's `stdin` and `fcgi_data` are binary files."""
