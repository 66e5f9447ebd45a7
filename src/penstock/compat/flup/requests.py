"""This file is a request as programs see it that override handler() or error() of flup's FastCGI servers."""

# ruff: noqa: N803 - requestId, inputStreamClass and their kin are flup's names

from __future__ import annotations

import io

from penstock.compat.flup.handling import Call, HandledRequest
from penstock.compat.flup.records import FCGI_CANT_MPX_CONN, FCGI_OVERLOADED
from penstock.compat.flup.streams import LOG
from penstock.compat.flup.unsupported import refuse
from penstock.protocol.spec import Role
from penstock.server.notices import log


class TimeoutException(Exception):
    """What fcgi_fork's `timeout` raises inside an application."""


class Request(HandledRequest):
    """One request.

    Args:
        conn: where it comes from; made by the server.
        inputStreamClass, timeout: part of flup's signature and not used.

    Attributes:
        server, stdin, stdout: as in flup.
        params: the parameters in native strings (PEP 3333), repaired as penstock's documentation says.
        stderr: writes to the process's standard error.
        data: the second input of a Filter.
        requestId, role: the web server's numbers.
        flags: always 0; what becomes of the connection is penstock's to see to.
    """

    def __init__(self, conn: Call, inputStreamClass: object = None, timeout: object = None) -> None:  # noqa: ARG002
        super().__init__(conn)
        request = conn.request
        self.params: dict[str, str] = request.params.copy()
        self.stderr = LOG
        self.data = request.data if request.data is not None else io.BytesIO()
        self.requestId: int = getattr(request, "request_id", 1)
        self.role = int(request.role)
        self.flags = 0

    @property
    def aborted(self) -> bool:
        """The web server wants no answer any more."""
        return self._call.request.aborted

    def run(self) -> None:
        """Call the server's handler(), and error() if that fails."""
        self.attempt(self._handle)

    def run_application(self) -> None:
        """Call the server's WSGI application with the parameters as they are now."""
        environ = self._call.environ
        for name in self._call.request.params.keys() - self.params.keys():
            environ.pop(name, None)
        environ.update(self.params)
        if self._call.request.role is Role.AUTHORIZER:
            environ.setdefault("REQUEST_METHOD", "GET")  # PEP 3333 wants one, an authorizer need not be sent any
        self.call_application(environ)

    def _handle(self) -> None:
        protocol_status, app_status = self.server.handler(self)
        if protocol_status and not self.stdout.dataWritten and not self.result:
            # END_REQUEST cannot carry the status from here, and a web server makes more of an answer anyway.
            busy = protocol_status in (FCGI_CANT_MPX_CONN, FCGI_OVERLOADED)
            status = "503 Service Unavailable" if busy else "500 Internal Server Error"
            log.warning("a handler refused a request with protocol status %d; answered %s", protocol_status, status)
            retry = "Retry-After: 1\r\n" if busy else ""
            self.stdout.write(f"Status: {status}\r\n{retry}Content-Type: text/plain\r\n\r\n{status}\n")
        self._call.request.app_status = app_status


class CGIRequest(Request):
    """The one request of plain CGI."""

    def __init__(self, server: Call) -> None:
        super().__init__(server)


class Connection:
    """flup's own connection; penstock's are in penstock.server."""

    def __init__(self, *_: object) -> None:
        refuse("flup's Connection", "its server reads connections itself, so override handler() of WSGIServer")


class MultiplexedConnection(Connection):
    """As Connection."""
