"""This file lets an application answer as flup allows it, in bytes or text, and makes of it what PEP 3333 allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

from penstock.gateways.wsgi import ExcInfo

Write = Callable[[bytes], object]
Failed = Callable[[], None]
"""Called inside the `except` of an application that failed before its response began; answers, or raises again."""


@final
class Answer:
    """What the application says about one request, on its way to the gateway.

    Args:
        start_response: the gateway's.

    Attributes:
        begun: bytes of the response are on their way, so it is too late for an error page.
    """

    __slots__ = ("_start_response", "begun")

    def __init__(self, start_response: Callable[..., Write]) -> None:
        self._start_response = start_response
        self.begun = False

    def start_response(
        self,
        status: str | bytes,
        response_headers: Iterable[tuple[str | bytes, str | bytes]],
        exc_info: ExcInfo | None = None,
    ) -> Callable[[str | bytes], object]:
        """PEP 3333's start_response, which takes bytes too."""
        headers = [(_native(name), _native(value)) for name, value in response_headers]
        try:
            write = self._start_response(_native(status), headers, exc_info)
        finally:
            exc_info = None  # breaks the circle of traceback and frame
        return lambda data: self._write(write, data)

    def _write(self, write: Write, data: str | bytes) -> None:
        if data:
            self.begun = True
            write(data.encode("latin-1") if isinstance(data, str) else data)

    def body(self, result: Iterable[Any], failed: Failed) -> Iterable[bytes]:
        """What the application returned, as bytes.

        Args:
            result: bytes or latin-1 text, piece by piece.
            failed: called when the iteration fails before the first byte.
        """
        if type(result) in (list, tuple):
            # As it stands, so that a response in one piece leaves in one piece.
            return [_as_bytes(piece) for piece in result] if str in map(type, result) else result
        return _Pieces(result, self, failed)


@final
class _Pieces:
    """An application's iterable, piece by piece."""

    __slots__ = ("_answer", "_failed", "_iterator", "_result")

    def __init__(self, result: Iterable[Any], answer: Answer, failed: Failed) -> None:
        self._result = result
        self._answer = answer
        self._failed = failed
        self._iterator: Iterator[Any] | None = None

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._iterator is None:
                self._iterator = iter(self._result)
            piece = _as_bytes(next(self._iterator))
        except StopIteration:
            raise
        except Exception:
            if self._answer.begun:
                raise
            self._failed()
            raise StopIteration from None
        if piece:
            self._answer.begun = True
        return piece

    def close(self) -> None:
        """PEP 3333: the application's own close(), if it has one."""
        close = getattr(self._result, "close", None)
        if close is not None:
            close()


def _native(text: str | bytes) -> str:
    # Whatever else it is goes on as it is: the gateway says best what is wrong with it.
    return text.decode("latin-1") if isinstance(text, bytes) else text


def _as_bytes(piece: Any) -> bytes:
    return piece.encode("latin-1") if isinstance(piece, str) else piece  # likewise
