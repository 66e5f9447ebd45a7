"""This file runs WSGI applications (PEP 3333): a request becomes an environ and an iterable becomes a response."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any, BinaryIO, Final, TypeAlias, final

from penstock.gateways.environ import scheme
from penstock.gateways.request import Disconnected, Request
from penstock.gateways.response import ResponseHead, encode_head, error_page, head_warning
from penstock.protocol.spec import Role

_log: Final = logging.getLogger("penstock")

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType]
WSGIApplication: TypeAlias = Callable[..., Iterable[bytes]]
NewReference: TypeAlias = Callable[[], str]

_JOINED: Final = 262_144
"""Bytes of head and body that are joined for a single send; a larger body is not copied for it."""


_MOST_WARNINGS: Final = 100
_warned: Final[set[str]] = set()


def _warn_once(message: str) -> None:
    """Warn of what an application does oddly: mostly it does so in each response, which is one line and no flood."""
    if message not in _warned and len(_warned) < _MOST_WARNINGS:
        _warned.add(message)
        _log.warning("%s", message)


class BodyMismatch(Exception):
    """The body is not as long as the application's own Content-Length says."""


@final
class _Nowhere(io.TextIOBase):
    """`wsgi.errors` of a process that was started without a standard error."""

    def write(self, text: str) -> int:
        return len(text)


_NOWHERE: Final = _Nowhere()


@final
class FileWrapper:
    """`wsgi.file_wrapper`: a file as a response, read block by block.

    Args:
        file: something with `read(size)`; its `close`, if it has one, is called at the end.
        block_size: bytes to read at a time.
    """

    def __init__(self, file: BinaryIO, block_size: int = 65528) -> None:
        self._file = file
        # A block that fills a record spares a second one; a smaller one only costs calls.
        self._block_size = max(block_size, 65528)
        if hasattr(file, "close"):
            self.close = file.close

    def __iter__(self) -> Iterator[bytes]:
        return iter(lambda: self._file.read(self._block_size), b"")


@final
class WSGIGateway:
    """Calls a WSGI application for each request.

    Args:
        application: the callable.
        multithread: whether it may be called by several threads at a time.
        multiprocess: whether other processes serve it too.
        new_reference: makes the name under which a failure is logged and shown.
    """

    def __init__(
        self,
        application: WSGIApplication,
        *,
        multithread: bool = False,
        multiprocess: bool = False,
        run_once: bool = False,
        new_reference: NewReference,
    ) -> None:
        self._application = application
        self._new_reference = new_reference
        self._base: dict[str, Any] = {
            "wsgi.version": (1, 0),
            "wsgi.multithread": multithread,
            "wsgi.multiprocess": multiprocess,
            "wsgi.run_once": run_once,
            "wsgi.file_wrapper": FileWrapper,
            # Reading past the end of the body gives b"" here, so a body of unknown length can be read to its end.
            "wsgi.input_terminated": True,
        }

    def __call__(self, request: Request) -> None:
        """Run the application for one request (`gateways.request.Gateway`).

        Raises:
            Disconnected: the web server does not take the response.
        """
        environ: dict[str, Any] = request.params.copy()
        environ.update(self._base)
        environ["wsgi.url_scheme"] = scheme(environ)
        environ["wsgi.input"] = request.stdin
        # Looked up for each request, because programs and tests replace it.
        environ["wsgi.errors"] = _NOWHERE if sys.stderr is None else sys.stderr
        response = _Response(request)
        try:
            result = self._application(environ, response.start_response)
            try:
                response.send(result)
            finally:
                close = getattr(result, "close", None)
                if close is not None:
                    close()
        except Disconnected:
            raise
        # A SystemExit of the application ends its request, not the server.
        except BaseException as error:
            self._failed(request, response, error)

    def _failed(self, request: Request, response: _Response, error: BaseException) -> None:
        request.reference = self._new_reference()
        what = "after its response was complete" if response.finished else "in the middle of its response"
        _log.error(
            "[%s] the application failed %s: %r %r",
            request.reference,
            what if response.head_sent else "before its response began",
            request.params.get("REQUEST_METHOD"),
            request.params.get("REQUEST_URI"),
            exc_info=error,
        )
        if response.finished:
            return
        if response.head_sent:
            request.abort()
            return
        request.status = 500
        head_only = request.params.get("REQUEST_METHOD") == "HEAD"
        request.finish(error_page(500, request.reference, head_only=head_only))


@final
class _Response:
    """What the application has said so far, and how much of it is out."""

    __slots__ = ("_excess", "_head", "_left", "_request", "_sends_body", "finished", "head_sent")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._head: ResponseHead | None = None
        self._left: int | None = None
        self._sends_body = True
        self._excess = False
        self.head_sent = False
        self.finished = False

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: ExcInfo | None = None
    ) -> Callable[[bytes], object]:
        """PEP 3333's start_response.

        Raises:
            BadResponse: the status or a header cannot be sent.
            RuntimeError: it is called a second time without `exc_info`.
        """
        if exc_info is not None:
            try:
                if self.head_sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None  # PEP 3333: breaks the circle of traceback and frame.
        elif self._head is not None:
            raise RuntimeError("start_response() was called a second time without exc_info")
        head = encode_head(status, headers)
        if self._request.role is Role.AUTHORIZER:
            head.put_status_first()
        if head.stripped:
            _warn_once(f"hop-by-hop headers are the web server's to send, left out: {', '.join(head.stripped)}")
        if len(head.fields) > 400:  # below that there is nothing to warn of, and no call is due
            warning = head_warning(head)
            if warning is not None:
                _warn_once(warning)
        self._head = head
        self._request.status = head.code
        return self.write

    def write(self, data: bytes) -> None:
        """PEP 3333's write(): send now.

        Raises:
            TypeError: the data is not bytes.
        """
        if type(data) is not bytes:
            data = _as_bytes(data)
        if data:
            self._write(data, False)

    def send(self, result: Iterable[bytes]) -> None:
        """Send what the application returned, and end the response.

        Raises:
            TypeError: a chunk is not bytes, or there is nothing that could have chunks.
        """
        if type(result) in (list, tuple) and not self.head_sent:
            body = result[0] if len(result) == 1 else b"".join(result)  # type: ignore[arg-type, index]
            self._send_whole(body if type(body) is bytes else _as_bytes(body))
            return
        try:
            chunks = iter(result)
        except TypeError as error:
            kind = type(result).__name__
            raise TypeError(f"the application returned a {kind}, no iterable of bytes (PEP 3333)") from error
        for chunk in chunks:
            data = chunk if type(chunk) is bytes else _as_bytes(chunk)
            if data:
                self._write(data, True)
                if self._excess or not self._sends_body:
                    return  # Whatever else there is, and it may have no end, would go nowhere.
        if not self.finished:
            self._finish()

    def _ready_head(self) -> ResponseHead:
        head = self._head
        if head is None:
            raise RuntimeError("the application did not call start_response()")
        self._sends_body = head.body_allowed and self._request.params.get("REQUEST_METHOD") != "HEAD"
        return head

    def _send_whole(self, body: bytes) -> None:
        """The whole body is here: one send carries everything."""
        head = self._ready_head()
        size = len(body)
        declared = head.content_length
        if declared is not None and declared != size and self._sends_body:
            body = self._fit(body, declared)
        request = self._request
        # An empty body is an answer to HEAD as it should be, and tells nothing of the length that GET has.
        block = head.to_bytes(size if size or self._sends_body else None)
        self.head_sent = True
        if not self._sends_body:
            self.finished = True
            request.finish(block)
            return
        request.body_length = len(body)
        if size > _JOINED:
            request.write(block)
            self.finished = True
            request.finish(body)
        else:
            self.finished = True
            request.finish(block + body)

    def _fit(self, body: bytes, declared: int) -> bytes:
        if len(body) < declared:
            raise BodyMismatch(f"the response has {len(body)} bytes and its Content-Length says {declared}")
        self._warn_of_excess()
        return body[:declared]

    def _write(self, chunk: bytes, may_end: bool) -> None:
        """Send a chunk at once; with `may_end`, end the response with the chunk that completes its Content-Length."""
        if self.finished:
            self._warn_of_excess()
            return
        request = self._request
        block = b""
        if not self.head_sent:
            head = self._ready_head()
            block = head.to_bytes()
            self.head_sent = True
            self._left = head.content_length
            if not self._sends_body:
                self.finished = True
                request.finish(block)
                return
        left = self._left
        if left is not None:
            if len(chunk) > left:
                chunk = chunk[:left]
                self._warn_of_excess()
            left = self._left = left - len(chunk)
        request.body_length += len(chunk)
        if left == 0 and may_end:
            self.finished = True
            request.finish(block + chunk)
        elif block or chunk:
            request.write(block + chunk)

    def _warn_of_excess(self) -> None:
        if self._sends_body and not self._excess:
            self._excess = True
            params = self._request.params
            what = f"{params.get('REQUEST_METHOD')!a} {params.get('SCRIPT_NAME', '') + params.get('PATH_INFO', '')!a}"
            _warn_once(f"{what}: the application gave more bytes than its Content-Length; the rest was dropped")

    def _finish(self) -> None:
        block = b""
        if not self.head_sent:
            head = self._ready_head()
            if self._sends_body and head.content_length:
                raise BodyMismatch(f"the response has no bytes and its Content-Length says {head.content_length}")
            block = head.to_bytes(0 if self._sends_body else None)
            self.head_sent = True
        if self._left:
            raise BodyMismatch(f"the response is {self._left} bytes shorter than its Content-Length says")
        self.finished = True
        self._request.finish(block)


def _as_bytes(chunk: object) -> bytes:
    """Let pass what is made of bytes; a list or an iterator may hold anything.

    Raises:
        TypeError: it is something else.
    """
    if isinstance(chunk, bytes | bytearray | memoryview):
        return bytes(chunk)
    raise TypeError(f"the application gave a body chunk of type {type(chunk).__name__}; chunks are bytes (PEP 3333)")
