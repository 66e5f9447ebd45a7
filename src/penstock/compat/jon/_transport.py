"""This file carries a jonpy request to the floor below: it runs the handler, and no failure of it goes unanswered."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from penstock.compat.jon._answer import DEFAULT_TYPE
from penstock.compat.jon._request import Request
from penstock.compat.jon._text import to_text
from penstock.gateways.environ import BadRequest
from penstock.gateways.handler_sending import Sender
from penstock.gateways.request import Disconnected
from penstock.gateways.request import Request as RawRequest
from penstock.gateways.response import encode_head, error_page
from penstock.protocol.spec import Role

_log: Final = logging.getLogger("penstock")


class Served(Request):
    """A request that a server of penstock brings, be it FastCGI or plain CGI."""

    _raw: RawRequest
    _sender: Sender

    def _serve(self) -> None:
        """Run the handler and end the answer (`gateways.request.Gateway`, but for the argument).

        Raises:
            Disconnected: the web server does not take the answer, or did not send the whole request.
        """
        self._sender = Sender(self._raw)
        self._held: list[bytes] = []
        self._permit: list[tuple[str, str]] | None = None
        self._broken = False
        self._failing = False
        self._gone: Disconnected | None = None
        try:
            self._init()
            self._handle()
            self.close()
        except Disconnected:
            raise
        except BaseException as error:
            fail(self._raw, error, self._sender)
        if self._gone is not None:
            raise self._gone

    def _handle(self) -> None:
        handler = None
        try:
            handler = self._handler_type()
            handler.process(self)
        except (Disconnected, BadRequest):
            raise
        # SystemExit too, as in jonpy: it is the handler that ends, not the server.
        except BaseException:
            _name(self._raw)
            self._failing = True
            if self._permit is not None:
                self._permit = None
                self._broken = True
            if handler is None:
                self.traceback()
            else:
                handler.traceback(self)

    def error(self, s: object) -> None:
        """Write to penstock's log, on standard error; jonpy sent it as FCGI_STDERR, which some web servers choke on."""
        raw = self._raw
        where = ""
        if raw.reference:
            where = f"[{raw.reference}] {raw.params.get('REQUEST_METHOD')!a} {raw.params.get('REQUEST_URI')!a}: "
        _log.error("%s%s", where, to_text(s).rstrip("\n"))

    def _error_page(self) -> bytes:
        return error_page(500, self._raw.reference).partition(b"\r\n\r\n")[2]

    def _given_up(self) -> int:
        return 1 if self._raw.aborted else 0

    def _send_head(self, status: str, fields: Sequence[tuple[str, str]]) -> None:
        code = encode_head(status, ()).code
        guards = self._raw.role is Role.AUTHORIZER
        if guards and self._failing and code < 300:
            code = 500  # a handler's own error page must not let the request through
        if guards and code == 200:
            # Told at the end: until then a failure is still a denial. The type of a page that is none says nothing.
            self._permit = [field for field in fields if field != DEFAULT_TYPE]
        else:
            self._sender.start(code, fields, gzip=False, size=None)

    def _write(self, s: bytes) -> None:
        if s:
            self._held.append(s)
            if not self._flushing and not self._closing:
                self._send_held()

    def _flush(self) -> None:
        if not self._closing:
            self._send_held()

    def _send_held(self) -> None:
        block = b"".join(self._held)
        self._held.clear()
        if self._permit is not None or self._sender.finished or self.aborted:
            return
        try:
            self._sender.send(block, flush=False)
        except Disconnected as gone:
            self._gone = gone
            self.aborted = 2

    def _close(self) -> None:
        sender = self._sender
        if sender.finished or self.aborted:
            return
        if self._broken:
            if sender.head_sent:
                self._raw.abort()
            else:
                _refuse(self._raw, 500)
        elif self._permit is not None:
            sender.permit(self._permit)
        else:
            sender.finish(b"".join(self._held))

    def _break_off(self) -> None:
        self._broken = True


def fail(raw: RawRequest, error: BaseException, sender: Sender | None = None) -> None:
    """Log what nobody has caught, and answer it as far as that is possible.

    Raises:
        Disconnected: the web server does not take the answer.
    """
    _name(raw)
    status = 500
    if isinstance(error, BadRequest):
        status = error.status
        _log.warning("answered %d [%s]: %s", status, raw.reference, error.reason)
    else:
        method, uri = raw.params.get("REQUEST_METHOD"), raw.params.get("REQUEST_URI")
        _log.error("[%s] the handler failed: %r %r", raw.reference, method, uri, exc_info=error)
    if sender is None or not sender.head_sent:
        _refuse(raw, status)
    elif not sender.finished:
        raw.abort()


def _refuse(raw: RawRequest, status: int) -> None:
    raw.status = status
    head_only = raw.params.get("REQUEST_METHOD") == "HEAD"
    raw.finish(error_page(status, raw.reference, head_only=head_only))


def _name(raw: RawRequest) -> None:
    """Give the request a name that its error page and the log have in common."""
    from penstock.server.notices import new_reference  # late, for it brings a server that plain CGI does not need

    raw.reference = raw.reference or new_reference()
