"""This file is the other end for tests of the client: an application that does what a test tells it, in a thread."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from pathlib import Path

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import InputEnded, InputReceived, RequestBegan

PATIENCE = 20.0
OK = b"Content-Type: text/plain\r\nStatus: 200 OK\r\n\r\n"


class Peer:
    """Listens and hands each connection to `script`. What a script raises fails the test at the end of `with`.

    Attributes:
        address: where to reach it.
        connections: how many came.
    """

    def __init__(self, script: Callable[[Conversation], None], at: Path | str) -> None:
        self._script = script
        if isinstance(at, Path):
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind(str(at))
            self.address = f"unix:{at}"
        else:
            family = socket.AF_INET6 if ":" in at else socket.AF_INET
            self._listener = socket.socket(family)
            self._listener.bind((at, 0))
            port = self._listener.getsockname()[1]
            self.address = f"[{at}]:{port}" if ":" in at else f"{at}:{port}"
        self._listener.listen()
        self.connections = 0
        self._errors: list[BaseException] = []
        self._conversations: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept)

    def __enter__(self) -> Peer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # shutdown() wakes a thread that waits in accept(); close() would not.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        self._listener.close()
        for thread in self._conversations:
            thread.join(PATIENCE)
        if self._errors:
            raise self._errors[0]

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._converse, args=(sock,))
            self._conversations.append(thread)
            thread.start()

    def _converse(self, sock: socket.socket) -> None:
        with sock:
            sock.settimeout(PATIENCE)
            try:
                self._script(Conversation(sock))
            except BaseException as error:
                self._errors.append(error)


class Conversation:
    """One connection, seen by the application.

    Attributes:
        params: parameters of the request that began last.
        role, keep_conn: likewise.
        body: input of it, by stream.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.protocol = ApplicationConnection(values={"FCGI_MPXS_CONNS": "1"})
        self.events: list = []
        self.params: dict[str, str] = {}
        self.role = 0
        self.keep_conn = True
        self.request_id = 0
        self.body: dict[int, bytes] = {}

    def receive(self) -> bool:
        """Read once; false at the end of the connection."""
        data = self.sock.recv(65536)
        self.events += self.protocol.receive_data(data)
        answers = self.protocol.take_answers()
        if answers:
            self.sock.sendall(answers)
        return bool(data)

    def next_event(self):
        """The next event, None at the end of the connection."""
        while not self.events:
            if not self.receive():
                return None
        return self.events.pop(0)

    def begun(self) -> bool:
        """Read up to the end of the parameters; false if the connection ends before."""
        event = self.next_event()
        if event is None:
            return False
        assert isinstance(event, RequestBegan), event
        self.request_id, self.role, self.keep_conn = event.request_id, event.role, event.keep_conn
        self.params = dict(event.pairs)
        self.body = {}
        return True

    def whole(self) -> bool:
        """Read a whole request, but for an Authorizer's; false if the connection ends before it begins."""
        if not self.begun():
            return False
        while True:
            event = self.next_event()
            if isinstance(event, InputReceived):
                self.body[event.stream] = self.body.get(event.stream, b"") + event.content
            else:
                assert isinstance(event, InputEnded), event
                if event.complete:
                    return True

    def write(self, content: bytes) -> None:
        self.sock.sendall(self.protocol.stdout(self.request_id, content))

    def finish(self, content: bytes = b"", app_status: int = 0) -> None:
        self.sock.sendall(self.protocol.finish(self.request_id, content, app_status))


def echo(conversation: Conversation) -> None:
    """Answer every request with its STDIN, as long as the connection is kept."""
    while conversation.whole():
        conversation.finish(OK + conversation.body.get(5, b""))
        if not conversation.keep_conn:
            return
