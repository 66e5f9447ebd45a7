"""This file is a crowd of web servers that ask on kept connections without a pause, and count what becomes of it."""

from __future__ import annotations

import hashlib
import select
import socket
import threading
import time
from collections import Counter, deque
from http.client import HTTPConnection, HTTPException

from penstock.gateways.webserver import cgi_params
from penstock.protocol.records import Record, RecordReader
from penstock.protocol.spec import KEEP_CONN, RecordType
from penstock.testing import build
from tests.processes import PATIENCE

BODY = bytes(range(256)) * 64
DIGEST = hashlib.sha256(BODY).hexdigest().encode()


def connect(address: str) -> socket.socket:
    """Connect to an ADDR."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(PATIENCE)
        sock.connect(address[5:])
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host, int(port)), PATIENCE)


class NotTaken(Exception):
    """The connection was closed before it took the first byte of the request: whoever sent it may send it again."""


class Client:
    """One connection, made anew when the server has closed it between two requests.

    Args:
        address: an ADDR.
        keep: ask on the same connection again; else each request has one of its own.
    """

    def __init__(self, address: str, *, keep: bool = True) -> None:
        self._address = address
        self._flags = KEEP_CONN if keep else 0
        self._sock: socket.socket | None = None
        self._reader = RecordReader()
        self.reconnected = 0

    def ask(self, url: str, body: bytes = b"") -> bytes:
        """The body of the response.

        Raises:
            OSError, AssertionError: the request was lost.
        """
        params = cgi_params("POST" if body else "GET", url, content_length=len(body) if body else None)
        data = build.request(params, body, request_id=1, flags=self._flags)
        for _ in range(100):
            try:
                answer = self._try(data)
                if not self._flags:
                    self.close()
                return answer
            except NotTaken:
                self.reconnected += 1
                self.close()
        raise AssertionError("every connection was closed at once")

    def close(self) -> None:
        if self._sock is not None:
            self._sock.close()
            self._sock = None

    def _try(self, data: bytes) -> bytes:
        if self._sock is None:
            self._sock = connect(self._address)
            self._reader = RecordReader()
        try:
            if self._sock.family != socket.AF_UNIX and select.select([self._sock], [], [], 0)[0]:
                raise NotTaken  # as web servers look whether a kept connection has ended meanwhile
            sent = self._sock.send(data)
        except (BrokenPipeError, ConnectionResetError):
            raise NotTaken from None
        if data[sent:]:  # sending nothing fails on a socket that the other side has shut meanwhile
            self._sock.sendall(data[sent:])
        stdout = bytearray()
        records: deque[Record] = deque()
        while True:
            while not records:
                received = self._sock.recv(65536)
                assert received, f"the connection ended after {len(stdout)} bytes of the response"
                records.extend(self._reader.feed(received))
            kind, _, content = records.popleft()
            if kind == RecordType.STDOUT:
                stdout += content
            elif kind == RecordType.END_REQUEST:
                head, _, body = bytes(stdout).partition(b"\r\n\r\n")
                assert b"Status: 200 " in head, head
                return body


class Crowd:
    """So many clients, each in a thread of its own, that ask until `stop`; a context manager.

    Attributes:
        failures: what became of the requests that were lost.
        latencies: seconds that each of the others took.
        versions: for each client, the different answers in their order.
    """

    def __init__(
        self,
        address: str,
        clients: int,
        *,
        url: str = "/",
        posts: bool = True,
        pause: float = 0.0,
        keep: bool = True,
    ) -> None:
        self.reconnected = 0
        self.failures: list[str] = []
        self.latencies: list[float] = []
        self.versions: list[list[bytes]] = []
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._news = threading.Condition(self._lock)
        self._args = (address, url, posts, pause, keep)
        self._threads = [threading.Thread(target=self._run) for _ in range(clients)]

    def __enter__(self) -> Crowd:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def answered(self) -> int:
        return len(self.latencies)

    @property
    def worst(self) -> float:
        return max(self.latencies, default=0.0)

    def quantile(self, part: float) -> float:
        """The time that this part of the requests did not exceed, in seconds."""
        return sorted(self.latencies)[int(part * (len(self.latencies) - 1))]

    def check_order(self) -> None:
        """Nobody was answered by older code than before."""
        for versions in self.versions:
            numbers = [int(version) for version in versions]
            assert numbers == sorted(set(numbers)), numbers

    def stop(self) -> None:
        """End, and wait for all answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int, timeout: float = 120.0) -> None:
        """Wait until so many requests more have been answered, or one has been lost."""
        with self._news:
            target = self.answered + answers
            assert self._news.wait_for(lambda: self.answered >= target or self.failures, timeout), "no progress"

    def wait_for_version(self, version: int, timeout: float = 60.0) -> None:
        """Wait until each client has been answered by this version."""
        wanted = str(version).encode()

        def there() -> bool:
            return all(versions and versions[-1] == wanted for versions in self.versions)

        with self._news:
            assert self._news.wait_for(lambda: there() or self.failures, timeout), f"no answer: {self.versions}"

    def _run(self) -> None:
        address, url, posts, pause, keep = self._args
        client = Client(address, keep=keep)
        versions: list[bytes] = []
        with self._lock:
            self.versions.append(versions)
        number = 0
        while not self._stop.is_set():
            number += 1
            began = time.monotonic()
            try:
                if posts and number % 4 == 0:
                    assert client.ask("/digest", BODY) == DIGEST
                else:
                    version = client.ask(url)
                    if not versions or versions[-1] != version:
                        versions.append(version)
            except (OSError, AssertionError) as error:
                with self._news:
                    self.failures.append(f"{type(error).__name__}: {error}")
                    self._news.notify_all()
                client.close()
                continue
            with self._news:
                self.latencies.append(time.monotonic() - began)
                self._news.notify_all()
            if pause:
                self._stop.wait(pause)
        with self._lock:
            self.reconnected += client.reconnected
        client.close()


class Surfers:
    """So many clients of a web server, each on a connection that is kept, that ask until `stop`; a context manager.

    Attributes:
        statuses: how often which status came; 0 where there was no response.
    """

    def __init__(self, port: int, clients: int, url: str = "/") -> None:
        self.statuses: Counter[int] = Counter()
        self._stop = threading.Event()
        self._news = threading.Condition()
        self._threads = [threading.Thread(target=self._run, args=(port, url)) for _ in range(clients)]

    def __enter__(self) -> Surfers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End, and wait for all answers."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def wait_for(self, responses: int, status: int = 200) -> None:
        """Wait until so many more have come with that status."""
        with self._news:
            target = self.statuses[status] + responses
            assert self._news.wait_for(lambda: self.statuses[status] >= target, PATIENCE), self.statuses

    def _run(self, port: int, url: str) -> None:
        connection = HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        while not self._stop.is_set():
            try:
                connection.request("GET", url)
                response = connection.getresponse()
                response.read()
                status = response.status
            except (OSError, HTTPException):
                status = 0
                connection.close()
            with self._news:
                self.statuses[status] += 1
                self._news.notify_all()
        connection.close()
