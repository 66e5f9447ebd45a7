"""This file answers the one request of plain CGI (RFC 3875): parameters in the environment, body on standard input."""

from __future__ import annotations

import io
import logging
import os
from collections.abc import Mapping
from typing import BinaryIO, ClassVar, Final, final

from penstock.gateways.environ import BadRequest, content_length, merge, normalise, require_method
from penstock.gateways.request import Disconnected, Gateway, Request, TruncatedInput
from penstock.gateways.response import error_page
from penstock.protocol.params import Pair
from penstock.protocol.spec import Role

_log: Final = logging.getLogger("penstock")

HELD_INPUT: Final = 4096
"""Bytes of response that are written while the body is not all read; even a short pipe holds one page. Apache's mod_cgi
reads nothing before it has sent the whole body: with the pipes full both ways, it would wait for us and we for it."""

BODY_MEMORY: Final = 1024 * 1024
"""Bytes of a body taken in ahead of its reader that stay in memory; a longer one goes to an unlinked temporary file."""

_NAMES: Final = frozenset(
    (
        # RFC 3875 4.1
        *("AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "GATEWAY_INTERFACE", "PATH_INFO", "PATH_TRANSLATED"),
        *("QUERY_STRING", "REMOTE_ADDR", "REMOTE_HOST", "REMOTE_IDENT", "REMOTE_USER", "REQUEST_METHOD"),
        *("SCRIPT_NAME", "SERVER_NAME", "SERVER_PORT", "SERVER_PROTOCOL", "SERVER_SOFTWARE"),
        # what Apache, lighttpd and others add to it
        *("CONTEXT_DOCUMENT_ROOT", "CONTEXT_PREFIX", "DOCUMENT_ROOT", "DOCUMENT_URI", "HTTPS", "REMOTE_PORT"),
        *("REQUEST_SCHEME", "REQUEST_URI", "SCRIPT_FILENAME", "SCRIPT_URI", "SCRIPT_URL", "SERVER_ADDR"),
        *("SERVER_ADMIN", "SERVER_SIGNATURE", "UNIQUE_ID"),
    )
)
_PREFIXES: Final = ("HTTP_", "REDIRECT_", "SSL_")


class TooLarge(BadRequest):
    """The body passes the limit."""

    status: ClassVar[int] = 413


def cgi_pairs(environ: Mapping[str, str]) -> list[Pair]:
    """Return what a web server says about the request, in native strings (PEP 3333), each byte one character.

    The rest of the environment belongs to the process (PATH, secrets of the deployment) and is left out: a program that
    wants it has `os.environ`, and error pages that print a request must not have it.

    Args:
        environ: the environment as `os.environ` has it.
    """
    return [
        (os.fsencode(name).decode("latin-1"), os.fsencode(value).decode("latin-1"))
        for name, value in environ.items()
        if name in _NAMES or name.startswith(_PREFIXES)
    ]


@final
class CGIRequest(Request):
    """The request that this process was started for.

    Args:
        stdin: where the body comes from, a binary file at its beginning.
        stdout: where the response goes to, a binary file.

    Attributes:
        ended: nothing more can be sent.
        broken: the response is not whole.
        started: bytes of the response have been sent.
        fault: what is wrong with the input; None if nothing is known to be.
    """

    __slots__ = ("_body", "_source", "_stdout", "_written", "broken", "ended", "fault", "started")

    def __init__(self, stdin: BinaryIO, stdout: BinaryIO) -> None:
        super().__init__(Role.RESPONDER, {})
        self._source = stdin
        self._body: _Body | None = None
        # Past the buffer: what a client that has left would leave in it, Python would complain about on its way out.
        self._stdout: BinaryIO = getattr(stdout, "raw", stdout)
        try:
            stdout.flush()
        except OSError:
            pass  # the first write will tell
        self._written = 0
        self.ended = False
        self.broken = False
        self.started = False
        self.fault: BadRequest | None = None

    def admit(self, environ: Mapping[str, str], mount: str | None = None, max_body: int | None = None) -> None:
        """Take parameters and body: the parameters are repaired like those of FastCGI, and FCGI_ROLE is added.

        Without CONTENT_LENGTH there is no body (RFC 3875 4.2), except where the web server says that it was chunked:
        then it ends where the input does, and is taken in at once, for programs trust CONTENT_LENGTH alone.

        Args:
            environ: as `os.environ` has it.
            mount: as for `gateways.environ.normalise`.
            max_body: most bytes of body; None for no limit.

        Raises:
            BadRequest: the request cannot be answered by an application.
        """
        pairs = cgi_pairs(environ)
        self.params = params = merge(pairs)
        # normalise() drops it, for what reaches a program is chunked no longer.
        endless = "chunked" in params.get("HTTP_TRANSFER_ENCODING", "").lower() or params.get("CONTENT_LENGTH") == "-1"
        normalise(params, mount)
        params["FCGI_ROLE"] = "RESPONDER"
        require_method(params)
        expected = content_length(params)
        if expected is None and not endless:
            return
        if expected is not None and max_body is not None and expected > max_body:
            raise TooLarge(f"a body of {expected} bytes; {max_body} are allowed")
        self._body = body = _Body(self._source, expected, self)
        if expected is None:
            body.take_in(max_body)
            params["CONTENT_LENGTH"] = str(body.received)
        self.stdin = io.BufferedReader(body, 65536)

    def write(self, data: bytes | memoryview) -> None:
        self._check()
        self._written += len(data)
        if self._written > HELD_INPUT and self._body is not None:
            self._body.take_in()
        self._send(data)

    def finish(self, data: bytes | memoryview = b"") -> None:
        self.write(data)
        self.ended = True

    def abort(self) -> None:
        """CGI has no sign for a broken response but the length that the head promised, and the exit status."""
        self.ended = True
        self.broken = True

    def _check(self) -> None:
        if self.ended:
            raise Disconnected("the response has ended already")

    def _send(self, data: bytes | memoryview) -> None:
        view = memoryview(data)
        self.started = True
        try:
            while view:
                written = self._stdout.write(view)
                if not written:
                    raise BlockingIOError("standard output does not block")
                view = view[written:]
            self._stdout.flush()
        except (OSError, ValueError) as error:  # ValueError: the program has closed it
            self.abort()
            raise Disconnected(f"the web server takes no more of the response: {error}") from error


@final
class _Body(io.RawIOBase):
    """The request body; of the input not one byte behind it is read (RFC 3875 4.2).

    Args:
        source: the input.
        length: bytes of it that are the body; None for all up to its end.
        request: told of a body that ends too early.
    """

    def __init__(self, source: BinaryIO, length: int | None, request: CGIRequest) -> None:
        self.received = 0
        self._left = length
        self._request = request
        self._kept: BinaryIO | None = None
        # One read of the system at a time where the source can, so that a slow body is seen as it arrives.
        self._read_some = getattr(source, "read1", source.read)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer)  # type: ignore[arg-type]
        chunk = self._receive(len(view)) if self._kept is None else self._kept.read(len(view))
        if not chunk and self._request.fault is not None:
            raise TruncatedInput(self._request.fault.reason)
        view[: len(chunk)] = chunk
        return len(chunk)

    def take_in(self, most: int | None = None) -> None:
        """Receive all that is still to come; it waits here for its reader.

        Raises:
            TooLarge: it is more than `most` bytes.
        """
        if self._kept is not None or self._left == 0:
            return
        kept: BinaryIO = io.BytesIO()
        size = 0
        try:
            while chunk := self._receive(65536):
                if most is not None and self.received > most:
                    raise TooLarge(f"more than the {most} bytes of body that are allowed")
                if size <= BODY_MEMORY < size + len(chunk):
                    kept = _to_file(kept)
                kept.write(chunk)
                size += len(chunk)
        except BaseException:
            kept.close()
            raise
        kept.seek(0)
        self._kept = kept

    def _receive(self, size: int) -> bytes:
        left = self._left
        if left == 0:
            return b""
        try:
            chunk: bytes = self._read_some(size if left is None else min(size, left)) or b""
        except OSError:  # a web server that has left resets its socket
            chunk = b""
        self.received += len(chunk)
        if not chunk:
            if left is not None:
                said = self.received + left
                self._request.fault = BadRequest(f"the body has {self.received} bytes, its CONTENT_LENGTH says {said}")
            self._left = 0
        elif left is not None:
            self._left = left - len(chunk)
        return chunk

    def close(self) -> None:
        if self._kept is not None:
            self._kept.close()
        super().close()


def _to_file(begun: BinaryIO) -> BinaryIO:
    # Imported late because few bodies come this far, and every process pays for every import.
    from tempfile import TemporaryFile

    file: BinaryIO = TemporaryFile(prefix="penstock-")  # noqa: SIM115 - it lives as long as its body
    begun.seek(0)
    file.write(begun.read())
    begun.close()
    return file


def run_cgi(
    gateway: Gateway,
    environ: Mapping[str, str],
    stdin: BinaryIO,
    stdout: BinaryIO,
    mount: str | None = None,
    *,
    max_body: int | None = None,
) -> int:
    """Answer the request that this process was started for.

    Args:
        gateway: runs the application.
        environ: as `os.environ` has it.
        stdin, stdout: binary files, both blocking; neither is closed.
        mount: as for `gateways.environ.normalise`.
        max_body: most bytes of body, more is a 413; None for no limit.

    Returns:
        The exit status: 0 when a whole response was written, be it an error page, and 1 when it was not.
    """
    request = CGIRequest(stdin, stdout)
    try:
        request.admit(environ, mount, max_body)
        gateway(request)
    except BadRequest as error:
        request.fault = error
    except Disconnected as error:
        _log.debug("a response was not delivered: %s", error)
    except BaseException:
        # SystemExit too: a web server must get an answer first.
        _log.exception("a request ended with an error that its gateway let through")
    if not request.ended:
        _conclude(request)
    request.stdin.close()
    return 1 if request.broken else 0


def _conclude(request: CGIRequest) -> None:
    """End what a gateway has left open: the web server must not see an empty response."""
    if request.started:
        request.abort()
        return
    fault = request.fault
    request.status = 500 if fault is None else fault.status
    request.reference = request.reference or os.urandom(5).hex()
    reason = "the application gave no answer" if fault is None else fault.reason
    _log.warning("answered %d [%s]: %s", request.status, request.reference, reason)
    head_only = request.params.get("REQUEST_METHOD") == "HEAD"
    try:
        request.finish(error_page(request.status, request.reference, head_only=head_only))
    except Disconnected as error:
        _log.debug("a response was not delivered: %s", error)
