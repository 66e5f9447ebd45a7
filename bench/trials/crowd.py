"""This file holds the clients of the trials: connections that ask all the time, and what became of each request."""

from __future__ import annotations

import http.client
import threading
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CONNECTIONS = 16
PAUSE = 0.01
PATIENCE = 30.0
BODY = b"x" * 32


@dataclass(frozen=True)
class Answer:
    """What became of one request; ``failure`` is "" for a good one, whose body is the ``version``."""

    began: float
    ended: float
    version: str
    failure: str = ""


def ask(connection: http.client.HTTPConnection, method: str, path: str) -> Answer:
    """Send one request and wait for what becomes of it; never raises."""
    began = time.monotonic()
    version = failure = ""
    try:
        connection.request(method, path, BODY if method == "POST" else None)
        response = connection.getresponse()
        text = response.read().decode("latin-1")
        if response.status == 200:
            version = text
        else:
            failure = f"status {response.status}"
    except TimeoutError:
        failure = f"no answer in {PATIENCE:.0f} s"
    except ConnectionRefusedError:
        failure = "refused"
    except (OSError, http.client.HTTPException):
        failure = "cut off"
    if failure:
        connection.close()
    return Answer(began, time.monotonic(), version, failure)


def once(port: int, path: str = "/") -> Answer:
    """One GET over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        return ask(connection, "GET", path)
    finally:
        connection.close()


class Crowd:
    """Clients over kept HTTP connections to nginx, GET and POST by turns, 10 ms of pause after each answer.

    Args:
        port: of nginx.
        times: requests per connection; None asks until the block ends.
    """

    def __init__(self, port: int, connections: int = CONNECTIONS, path: str = "/", times: int | None = None) -> None:
        self.answers: list[Answer] = []
        self._latest = [""] * connections
        self._ended = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, port, path, times)) for number in range(connections)
        ]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()

    def join(self) -> None:
        """Wait until every connection has had its last answer."""
        for thread in self._threads:
            thread.join()

    def all_see(self, version: str) -> bool:
        """Whether the newest good answer of every connection is of ``version``."""
        return all(latest == version for latest in self._latest)

    def _run(self, number: int, port: int, path: str, times: int | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        turn = number
        while not self._ended.is_set() and (times is None or turn < number + times):
            answer = ask(connection, ("GET", "POST")[turn % 2], path)
            self.answers.append(answer)
            self._latest[number] = answer.version or self._latest[number]
            turn += 1
            time.sleep(PAUSE)
        connection.close()


def failures(answers: Iterable[Answer]) -> dict[str, int]:
    """How many requests failed, by how."""
    return dict(Counter(answer.failure for answer in answers if answer.failure))


def longest_ms(answers: Iterable[Answer]) -> float:
    """How long the slowest request took, a failed one too, in milliseconds."""
    return max((answer.ended - answer.began for answer in answers), default=0.0) * 1000


def stale(answers: Iterable[Answer], old: str, new: str) -> int:
    """How many requests were begun after somebody had an answer of ``new`` code and still were answered by ``old``."""
    answers = list(answers)
    first = min((answer.ended for answer in answers if answer.version == new), default=float("inf"))
    return sum(answer.version == old and answer.began > first for answer in answers)


def until(what: Callable[[], bool], seconds: float) -> bool:
    """Wait until ``what()`` is true, at most ``seconds``; whether it became true."""
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
