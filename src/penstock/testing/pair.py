"""This file joins a web server and an application in memory and demands that what one sends is what the other gets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import final

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import (
    ApplicationEvent,
    InputEnded,
    InputReceived,
    OutputEnded,
    OutputReceived,
    RequestAborted,
    RequestBegan,
    RequestEnded,
    TypeUnknown,
    ValuesReceived,
    WebServerEvent,
)
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.params import Pair as NameValue
from penstock.protocol.spec import ProtocolStatus, RecordType, Role

Travel = Callable[[bytes], Iterable[bytes]]
"""How bytes travel: the pieces in which they arrive."""


def whole(data: bytes) -> Iterable[bytes]:
    """All in one piece."""
    return (data,)


def byte_by_byte(data: bytes) -> Iterable[bytes]:
    """One byte at a time."""
    return (data[at : at + 1] for at in range(len(data)))


@final
class Pair:
    """A web server and an application on one connection, without a socket between them.

    Every method is one move of one side; it raises AssertionError when the other side does not learn exactly that.

    Args:
        application: the application's side, one with the defaults if not given.
        travel: how bytes travel.

    Attributes:
        web_server: the web server's side.
        application: the application's side.
    """

    def __init__(self, application: ApplicationConnection | None = None, travel: Travel = whole) -> None:
        self.web_server = WebServerConnection()
        self.application = ApplicationConnection() if application is None else application
        self._travel = travel

    # -- the web server's moves

    def begin(
        self,
        pairs: Iterable[NameValue] = (),
        role: Role = Role.RESPONDER,
        *,
        keep_conn: bool = True,
        request_id: int | None = None,
    ) -> int:
        """Begin a request and return its id."""
        sent = list(pairs)
        request_id, wire = self.web_server.begin(role, sent, keep_conn, request_id)
        self._to_application(wire, [RequestBegan.of(request_id, role, keep_conn, sent)])
        return request_id

    def send(self, request_id: int, content: bytes, stream: RecordType = RecordType.STDIN) -> None:
        """Send content of an input stream."""
        wire = self.web_server.send(request_id, content, stream)
        self._to_application(wire, [InputReceived(request_id, stream, content)] if content else [])

    def end_input(self, request_id: int, stream: RecordType = RecordType.STDIN, *, complete: bool = True) -> None:
        """End an input stream; `complete` says whether it is the last one of the request."""
        wire = self.web_server.end_input(request_id, stream)
        self._to_application(wire, [InputEnded(request_id, stream, complete)])

    def abort(self, request_id: int) -> None:
        """Abort a request."""
        self._to_application(self.web_server.abort(request_id), [RequestAborted(request_id)])

    def ask_values(self, *names: str) -> dict[str, str]:
        """Ask with GET_VALUES and return the answer."""
        (event,) = self._ask(self.web_server.ask_values(names))
        assert isinstance(event, ValuesReceived), event
        return event.values

    def ask_unknown(self, kind: int) -> int:
        """Send a management record of an unknown type and return the type that comes back in UNKNOWN_TYPE."""
        (event,) = self._ask(self.web_server.ask(kind))
        assert isinstance(event, TypeUnknown), event
        return event.kind

    # -- the application's moves

    def respond(self, request_id: int, content: bytes, stream: RecordType = RecordType.STDOUT) -> None:
        """Send content of an output stream."""
        write = self.application.stderr if stream is RecordType.STDERR else self.application.stdout
        expected: list[WebServerEvent] = [OutputReceived(request_id, stream, content)] if content else []
        self._to_web_server(write(request_id, content), expected)

    def finish(self, request_id: int, content: bytes = b"", app_status: int = 0) -> None:
        """Send the last of a response and end the request."""
        expected: list[WebServerEvent] = [OutputReceived(request_id, RecordType.STDOUT, content)] if content else []
        expected.append(OutputEnded(request_id, RecordType.STDOUT))
        expected.append(RequestEnded(request_id, app_status & 0xFFFFFFFF, ProtocolStatus.REQUEST_COMPLETE))
        self._to_web_server(self.application.finish(request_id, content, app_status), expected)

    def _ask(self, question: bytes) -> list[WebServerEvent]:
        self._to_application(question, [])
        return self._arrive_at_web_server(self.application.take_answers())

    def _to_application(self, wire: bytes, expected: list[ApplicationEvent]) -> None:
        learnt = [event for piece in self._travel(wire) for event in self.application.receive_data(piece)]
        assert joined(learnt) == expected, f"the application learnt {learnt}, not {expected}"

    def _to_web_server(self, wire: bytes, expected: list[WebServerEvent]) -> None:
        learnt = self._arrive_at_web_server(wire)
        assert joined(learnt) == expected, f"the web server learnt {learnt}, not {expected}"

    def _arrive_at_web_server(self, wire: bytes) -> list[WebServerEvent]:
        return [event for piece in self._travel(wire) for event in self.web_server.receive_data(piece)]


def joined(
    events: Iterable[ApplicationEvent | WebServerEvent],
) -> list[ApplicationEvent | WebServerEvent]:
    """The events with neighbouring contents of one stream put together: record borders carry no meaning."""
    out: list[ApplicationEvent | WebServerEvent] = []
    for event in events:
        before = out[-1] if out else None
        if (
            isinstance(event, InputReceived | OutputReceived)
            and isinstance(before, InputReceived | OutputReceived)
            and before[:2] == event[:2]
        ):
            out[-1] = before._replace(content=before.content + event.content)
        else:
            out.append(event)
    return out
