"""This file is the client's side of the matrix: a web server with an application behind it, and how it is asked."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode

from tests.interop.unprivileged import reach
from tests.processes import PATIENCE, Process

BRIEF = 0.2  # seconds to wait for what is not expected to come

_numbers = count(1)

Headers = tuple[tuple[str, str], ...]


class Answer(NamedTuple):
    """What came back; `broken` says that the response could be seen to have ended too early."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes
    broken: bool = False

    def header(self, name: str) -> str | None:
        """All lines of a header in one, as a client may read them."""
        lines = self.lines(name)
        return ", ".join(lines) if lines else None

    def lines(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def sent(self) -> Any:
        """The JSON of the application; nothing when somebody else has answered."""
        try:
            return json.loads(self.body)
        except ValueError:
            return {}


class Box:
    """Where the application puts one word for the test: a socket in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / f"box{next(_numbers)}")
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.path)
        reach(Path(self.path))  # the application may be the web server's user
        self._listener.listen()

    def __enter__(self) -> Box:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def word(self, patience: float = PATIENCE) -> str:
        """The word; "silence" when there is none in time."""
        self._listener.settimeout(patience)
        try:
            with self._listener.accept()[0] as sender:
                sender.settimeout(PATIENCE)
                return sender.recv(100).decode()
        except TimeoutError:
            return "silence"


@dataclass(frozen=True)
class Variant:
    """One way to run a web server: where the application lives, how it is reached, and of which kind it is."""

    mount: str
    transport: str
    interface: str

    def __str__(self) -> str:
        return f"{'sub' if self.mount else 'root'}-{self.transport}-{self.interface}"


@dataclass
class Site:
    """A running web server with an application behind it.

    Attributes:
        column: its name in the table.
        config: SERVER of the `penstock config` that it runs from.
        process: its program.
        port: where it listens on 127.0.0.1.
        scratch: a folder for gates and boxes, which every user can enter.
        expected: the cases in which it is known to do something else: there is no long wait for what will not come.
    """

    column: str
    config: str
    variant: Variant
    process: Process
    port: int
    scratch: Path
    expected: frozenset[str] = field(default_factory=frozenset)

    @property
    def mount(self) -> str:
        return self.variant.mount

    def stop(self) -> None:
        """End the web server as its administrator would: one that is killed leaves shared memory and folders behind."""
        with suppress(subprocess.TimeoutExpired):
            self.process.stop(timeout=5)

    def patience(self, case: str) -> float:
        """How long to wait for what the case is about."""
        return BRIEF if case in self.expected else PATIENCE

    def url(self, view: str, **query: object) -> str:
        """The path of a view, with its query."""
        return f"{self.mount}/{view}" + (f"?{urlencode(query, doseq=True)}" if query else "")

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)

    def ask(self, method: str, target: str, body: bytes | None = None, headers: Headers = ()) -> Answer:
        """One request over a connection of its own."""
        with closing(self.connect()) as connection:
            return ask(connection, method, target, body, (*headers, ("Connection", "close")))

    def show(self, target: str, headers: Headers = ()) -> dict[str, Any]:
        """What the application sees of a GET."""
        found: dict[str, Any] = self.ask("GET", target, None, headers).sent()
        return found


def ask(
    connection: HTTPConnection, method: str, target: str, body: bytes | None = None, headers: Headers = ()
) -> Answer:
    """One request over a connection that stays open if the web server lets it."""
    connection.putrequest(method, target, skip_accept_encoding=True)
    for name, value in headers:
        connection.putheader(name, value)
    if body is not None:
        connection.putheader("Content-Length", str(len(body)))
    connection.endheaders(body)
    return receive(connection.getresponse())


def receive(response: HTTPResponse) -> Answer:
    """Read a response to its end, or to where it breaks off."""
    status, reason, headers = response.status, response.reason, response.getheaders()
    try:
        return Answer(status, reason, headers, response.read())
    except (HTTPException, OSError) as error:
        return Answer(status, reason, headers, getattr(error, "partial", b""), broken=True)


def upload(site: Site, target: str, body: bytes, chunk: int = 0) -> Answer:
    """A POST of a client that reads while it writes, and does not mind when nobody wants the rest.

    Args:
        chunk: when not 0, the body is sent in chunks of so many bytes, and without a Content-Length.
    """
    framing = "Transfer-Encoding: chunked" if chunk else f"Content-Length: {len(body)}"
    head = f"POST {target} HTTP/1.1\r\nHost: localhost\r\n{framing}\r\nConnection: close\r\n\r\n"
    pieces = [body[at : at + chunk] for at in range(0, len(body), chunk)] + [b""] if chunk else []
    framed = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) if chunk else body

    def send() -> None:
        with suppress(OSError):
            sock.sendall(head.encode() + framed)

    with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as sock:
        sender = threading.Thread(target=send, daemon=True)
        sender.start()
        with HTTPResponse(sock, method="POST") as response:
            response.begin()
            answer = receive(response)
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        sender.join(PATIENCE)
        return answer
