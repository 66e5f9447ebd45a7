"""This file is for programs that write a CGI response by hand: their output becomes an answer that has been checked."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterable
from typing import Any, BinaryIO, Final, final

from penstock.gateways.request import Request
from penstock.gateways.webserver import ResponseReader
from penstock.gateways.wsgi import WSGIGateway
from penstock.server.notices import new_reference

NO_MORE: Final = (
    b"Status: 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Type: text/plain\r\n\r\n"
    b"This program is about to end; please ask again.\n"
)
"""The answer for a request that came too late to be looked at."""


def to_text(value: str) -> str:
    """Text of a native string (PEP 3333): its bytes read as UTF-8, where a byte that is none is a lone surrogate."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "surrogateescape")


@final
class OutputGateway:
    """A gateway for what answers with a whole CGI response (`gateways.request.Gateway`).

    No header that a web server could misread gets through, HEAD has no body, and what is no CGI response is a 500.

    Args:
        answer: gives head and body, in this thread.
        multithread: whether it may be called by several threads at a time.
        run_once: whether it is called for one request alone.
    """

    def __init__(
        self, answer: Callable[[Request], bytes], *, multithread: bool = False, run_once: bool = False
    ) -> None:
        self._answer = answer
        self._current = threading.local()
        self._wsgi = WSGIGateway(
            self._application, multithread=multithread, run_once=run_once, new_reference=new_reference
        )

    def __call__(self, request: Request) -> None:
        """Answer one request.

        Raises:
            Disconnected: the web server does not take the response.
        """
        self._current.request = request
        self._wsgi(request)

    def _application(self, _environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        reader = ResponseReader()
        body = reader.feed(self._answer(self._current.request))
        head = reader.finish()
        start_response(f"{head.status} {head.reason}", head.headers)
        return [body]


class TextStream(io.TextIOWrapper):
    """Text over a binary file that belongs to somebody else: UTF-8, where a lone surrogate stands for a byte.

    Bytes may be written to it as well, as programs do that were written when text was bytes. Lines end as they come.
    """

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="utf-8", errors="surrogateescape", newline="", write_through=True)

    def write(self, data: str | bytes) -> int:
        """Write text or bytes."""
        if isinstance(data, str):
            return super().write(data)
        self.buffer.write(data)
        return len(data)

    def close(self) -> None:
        """Only flush."""
        if not self.buffer.closed:
            self.flush()
