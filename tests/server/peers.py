"""This file runs a server in a thread of the tests, and is the web server that talks to it, record by record."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from wsgiref.validate import validator

from penstock.gateways.request import Gateway, Request
from penstock.gateways.webserver import cgi_params
from penstock.gateways.wsgi import WSGIGateway
from penstock.protocol.records import Record, RecordReader, parse_end_request
from penstock.protocol.spec import KEEP_CONN, RecordType
from penstock.server.accesslog import AccessLog
from penstock.server.listen import Listener, open_listeners
from penstock.server.notices import new_reference
from penstock.server.options import ServerOptions
from penstock.server.poller import Poller
from penstock.server.threads import ThreadServer
from penstock.testing import build
from tests.processes import PATIENCE

PLAIN = [("Content-Type", "text/plain")]


class Answer(NamedTuple):
    """What came for one request until its END_REQUEST; `ended` is false if the connection ended before that."""

    output: bytes
    ended: bool
    app_status: int = 0
    protocol_status: int = 0

    @property
    def head(self) -> str:
        return self.output.partition(b"\r\n\r\n")[0].decode("latin-1")

    @property
    def status(self) -> int:
        """The status code; 0 if there is no head."""
        return int(self.head.rpartition("Status: ")[2][:3] or 0)

    @property
    def body(self) -> bytes:
        return self.output.partition(b"\r\n\r\n")[2]


def request(
    url: str = "/",
    body: bytes = b"",
    *,
    method: str | None = None,
    request_id: int = 1,
    keep: bool = True,
    length: str | None = "",
    extra: dict[str, str] | None = None,
) -> bytes:
    """A whole request; CONTENT_LENGTH is the body's, or what `length` says, or is left out for None."""
    return begin(
        url,
        method=method or ("POST" if body else "GET"),
        request_id=request_id,
        keep=keep,
        length=str(len(body)) if body and length == "" else length,
        extra=extra,
    ) + build.stdin(body, request_id)


def begin(
    url: str = "/",
    *,
    method: str = "POST",
    request_id: int = 1,
    keep: bool = True,
    length: str | None = None,
    extra: dict[str, str] | None = None,
) -> bytes:
    """BEGIN_REQUEST and PARAMS."""
    params = {**cgi_params(method, url), **(extra or {})}
    if length is not None:
        params["CONTENT_LENGTH"] = length
    return build.begin(request_id=request_id, flags=KEEP_CONN if keep else 0) + build.params(params, request_id)


class Peer:
    """One connection to the server under test; a context manager."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(PATIENCE)
        self.sock = sock
        self._reader = RecordReader()
        self._records: deque[Record] = deque()
        self._at_end = False

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, *pieces: bytes) -> Peer:
        self.sock.sendall(b"".join(pieces))
        return self

    def ask(self, *args, **kwargs) -> Answer:
        """Send a whole request and wait for its answer."""
        return self.send(request(*args, **kwargs)).answer(kwargs.get("request_id", 1))

    def record(self) -> Record | None:
        """The next record; None at the end of the connection."""
        while not self._records:
            try:
                data = self.sock.recv(65536)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._records.extend(self._reader.feed(data))
        return self._records.popleft()

    def answer(self, request_id: int = 1) -> Answer:
        """Wait for the end of a request; records of others stay for later."""
        output = bytearray()
        others: list[Record] = []
        found = Answer(b"", False)
        while (record := self.record()) is not None:
            kind, number, content = record
            if number == 0:
                continue  # an answer to a question about the application
            if number != request_id:
                others.append(record)
            elif kind == RecordType.STDOUT:
                output += content
            else:
                assert kind == RecordType.END_REQUEST, record
                found = Answer(b"", True, *parse_end_request(content))
                break
        self._records.extendleft(reversed(others))
        return found._replace(output=bytes(output))

    def chunk(self) -> bytes:
        """The content of the next record, which has to be STDOUT."""
        record = self.record()
        assert record is not None, "the connection ended"
        assert record[0] == RecordType.STDOUT, record
        return record[2]

    def closed(self) -> bool:
        """Wait until something comes: whether it is the end of the connection."""
        return self.record() is None

    def reset(self) -> None:
        """Vanish without a farewell."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Running:
    """A server at work.

    Attributes:
        access_lines: the access log, once it has stopped.
    """

    def __init__(self, server: ThreadServer, listeners: list[Listener], log: Path) -> None:
        self.server = server
        self.address = listeners[0].socket.getsockname()
        self._family = listeners[0].socket.family
        self._log = log
        self._thread = threading.Thread(target=self._run, name="server under test")
        self.failure: BaseException | None = None
        self.access_lines: list[str] = []
        self.ended = threading.Event()

    def _run(self) -> None:
        try:
            self.server.run()
        except BaseException as error:
            self.failure = error
        finally:
            self.ended.set()

    def start(self) -> None:
        self._thread.start()

    def connect(self) -> Peer:
        sock = socket.socket(self._family)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(self.address)
        except BaseException:
            sock.close()
            raise
        return Peer(sock)

    def ask(self, *args, **kwargs) -> Answer:
        """One request on a connection of its own."""
        with self.connect() as peer:
            return peer.ask(*args, **kwargs)

    def stop(self) -> None:
        """Stop, wait for the end, and demand that nothing is left."""
        self.server.stop()
        assert self.ended.wait(PATIENCE), f"the server does not stop; open: {self.server._channels}"
        self._thread.join()
        self.access_lines = self._log.read_text().splitlines()
        assert self.failure is None
        assert not self.server._channels
        assert not self.server._ready
        assert not self.server._doors
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("penstock-")]

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait for what the server does by itself, by asking it something over and over again."""
        for _ in range(2000):
            if condition():
                return
            self.ask()
        raise AssertionError("it never came to that")


@contextlib.contextmanager
def serving(
    app,
    *,
    threads: int = 1,
    poller: Callable[[bool], Poller] | None = None,
    gateway: Gateway | None = None,
    bind: str = "",
    listeners: list[Listener] | None = None,
    validate: bool = True,
    **options,
) -> Iterator[Running]:
    """Serve a WSGI application, between the validator's two ears, or any gateway."""
    folder = tempfile.mkdtemp(prefix="ps", dir="/tmp")
    made = ServerOptions(threads=threads, **options)
    if gateway is None:
        checked = validator(app) if validate else app
        gateway = WSGIGateway(checked, multithread=threads > 1, new_reference=new_reference)
    if listeners is None:
        listeners = open_listeners(bind or f"unix:{folder}/s", environ={})
    log = Path(folder, "log")
    with log.open("wb") as file:
        server = ThreadServer(
            gateway, listeners, made, AccessLog(file.fileno()), poller(threads > 1) if poller is not None else None
        )
        running = Running(server, listeners, log)
        running.start()
        try:
            yield running
        finally:
            try:
                running.stop()
            finally:
                log.unlink()
                os.rmdir(folder)


def hello(environ, start_response):
    """Answers everybody alike, after reading the body."""
    environ["wsgi.input"].read(1 << 30)
    start_response("200 OK", PLAIN)
    return [b"hello, world\n"]


def echo(environ, start_response):
    """Answers with the body."""
    body = environ["wsgi.input"].read(1 << 30)
    start_response("200 OK", [*PLAIN, ("X-Length", environ.get("CONTENT_LENGTH", "none"))])
    return [body]


class Gate:
    """Where handlers wait until the test lets them on."""

    def __init__(self) -> None:
        self._opened = threading.Event()
        self._arrived = threading.Semaphore(0)

    def __call__(self) -> None:
        """Wait at the gate; for handlers."""
        self._arrived.release()
        assert self._opened.wait(PATIENCE), "the gate stayed shut"

    def arrivals(self, count: int = 1) -> None:
        """Wait until so many more have come."""
        for _ in range(count):
            assert self._arrived.acquire(timeout=PATIENCE), "nobody came to the gate"

    def open(self) -> None:
        self._opened.set()

    def shut(self) -> None:
        self._opened.clear()


class Recorder:
    """A gateway that keeps the requests it has run, and answers each with what `act` says."""

    def __init__(self, act: Callable[[Request], None]) -> None:
        self.requests: list[Request] = []
        self._act = act

    def __call__(self, request: Request) -> None:
        self.requests.append(request)
        self._act(request)
