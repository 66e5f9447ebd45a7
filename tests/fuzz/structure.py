"""This file fuzzes connections with inputs that know the protocol's structure, and holds them to a few laws.

    python tests/fuzz/structure.py --seconds 300
    python tests/fuzz/structure.py --seed 7 --first 1234 --count 1      one input again
    python tests/fuzz/structure.py --address unix:/run/app.sock         the same inputs, to a server that runs

A server under test has to answer a Responder's GET / within the patience of the fuzzer. Exit code 1: a law was broken.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from random import Random

if __name__ == "__main__":
    ROOT = Path(__file__).resolve().parent.parent.parent
    sys.path[:0] = [str(ROOT), str(ROOT / "src")]

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
    RequestRefused,
    WebServerEvent,
)
from penstock.connection.limits import Limits
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import RecordType, Role
from tests.fuzz import grammar
from tests.fuzz.live import check_live

MIB = 1024 * 1024
MOST_MEMORY = 8 * MIB
MOST_CPU = 2.0  # seconds for one input, far more than it takes, far less than anything quadratic would
MEASURED_EVERY = 50  # inputs; watching memory makes everything slow

LIMITS = (Limits(), Limits(params=2000, pairs=30, requests=2), Limits(requests=1))


class LawBroken(Exception):
    """A connection did what it must never do."""


def demand(holds: bool, law: str) -> None:
    if not holds:
        raise LawBroken(law)


class ApplicationLaws:
    """Watches what an application's connection says about each request."""

    def __init__(self, begun: Container[int]) -> None:
        self.begun = begun
        self.stage: dict[int, str] = {}
        self.completed: Counter[int] = Counter()

    def check(self, event: ApplicationEvent) -> None:
        number = event.request_id
        stage = self.stage.get(number, "")
        demand(number in self.begun, f"{event} for an id that nobody began")
        demand(stage != "over", f"{event} after the request was aborted or refused")
        if isinstance(event, RequestBegan):
            demand(stage == "", f"{event} twice")
            self.stage[number] = "input" if event.role is not Role.AUTHORIZER else "complete"
            self.completed[number] += event.role is Role.AUTHORIZER
        elif isinstance(event, InputReceived):
            demand(stage == "input" and bool(event.content), f"{event} while the request is at {stage!r}")
        elif isinstance(event, InputEnded):
            demand(stage == "input", f"{event} while the request is at {stage!r}")
            if event.complete:
                self.stage[number] = "complete"
                self.completed[number] += 1
        elif isinstance(event, RequestAborted | RequestRefused):
            self.stage[number] = "over"

    def finished(self, number: int) -> None:
        self.stage.pop(number, None)


def check_application(random: Random, given: grammar.Input) -> None:
    """Feed one input to an application's connection."""
    limits = random.choice(LIMITS) if given.mistakes else LIMITS[0]
    connection = ApplicationConnection(limits, values={"FCGI_MPXS_CONNS": "1"})
    laws = ApplicationLaws(given.begun)
    answered = RecordReader()
    eager = bool(given.mistakes) and random.random() < 0.5
    for piece in grammar.pieces(random, given.wire):
        try:
            events = connection.receive_data(piece)
        except RemoteProtocolError:
            demand(bool(given.mistakes), "a request without a mistake is refused as broken")
            check_spent(connection)
            break
        for event in events:
            laws.check(event)
        for kind, request_id, _ in answered.feed(connection.take_answers()):
            demand(request_id == 0, "an answer to a management record with the id of a request")
            demand(kind in (RecordType.GET_VALUES_RESULT, RecordType.UNKNOWN_TYPE), f"an answer of type {kind}")
        for number in list(laws.stage):
            if eager and random.random() < 0.2:
                connection.finish(number)
                laws.finished(number)
    for number in given.complete:
        demand(laws.completed[number] == 1, f"the input of request {number} ended {laws.completed[number]} times")
    demand(answered.pending == 0, "an answer that is not whole")


class WebServerLaws:
    """Watches what a web server's connection says about each request."""

    def __init__(self, begun: Iterable[int]) -> None:
        self.open = set(begun)
        self.ended_streams: set[tuple[int, RecordType]] = set()

    def check(self, event: WebServerEvent) -> None:
        if isinstance(event, OutputReceived | OutputEnded):
            demand(event.request_id in self.open, f"{event} for a request that is not open")
            stream = (event.request_id, event.stream)
            demand(stream not in self.ended_streams, f"{event} after the end of its stream")
            if isinstance(event, OutputEnded):
                self.ended_streams.add(stream)
        elif isinstance(event, RequestEnded):
            demand(event.request_id in self.open, f"{event} for a request that is not open")
            self.open.remove(event.request_id)


def check_web_server(random: Random, given: grammar.Input) -> None:
    """Feed one input to a web server's connection."""
    connection = WebServerConnection()
    ids = [connection.begin(Role.RESPONDER, [])[0] for number in range(1, 4) if number in given.begun]
    connection.ask_values(["X"])
    laws = WebServerLaws(ids)
    for piece in grammar.pieces(random, given.wire):
        try:
            events = connection.receive_data(piece)
        except RemoteProtocolError:
            demand(bool(given.mistakes), "an answer without a mistake is refused as broken")
            check_spent(connection)
            break
        for event in events:
            laws.check(event)
    for number in given.complete:
        demand(number not in laws.open, f"request {number} was not ended")


def check_spent(connection: ApplicationConnection | WebServerConnection) -> None:
    try:
        connection.receive_data(b"\x01")
    except LocalProtocolError:
        return
    raise LawBroken("bytes are parsed after a protocol error")


Check = Callable[[Random, grammar.Input], None]


def make(random: Random, address: str) -> tuple[grammar.Input, Check]:
    """An input, and what is to be done with it."""
    if address:
        return grammar.to_application(random, live=True), lambda random, given: check_live(address, random, given)
    if random.random() < 0.3:
        return grammar.to_web_server(random), check_web_server
    return grammar.to_application(random), check_application


def check_costs(check: Check, random: Random, given: grammar.Input) -> None:
    """Check, with an eye on what it costs; the pieces of the input itself are made in there too."""
    tracemalloc.start()
    try:
        before = time.process_time()
        check(random, given)
        spent = time.process_time() - before
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    demand(spent < MOST_CPU, f"{spent:.2f} s of CPU for {len(given.wire)} bytes")
    demand(peak < MOST_MEMORY + 2 * len(given.wire), f"{peak} bytes of memory for {len(given.wire)} bytes")


def numbers(first: int, count: int | None, seconds: float) -> Iterable[int]:
    """The inputs to run: so many, or for so long."""
    end = time.monotonic() + seconds
    number = first
    while (number < first + count) if count is not None else (time.monotonic() < end):
        yield number
        number += 1


def run(seed: int, first: int = 0, count: int | None = None, seconds: float = 0.0, address: str = "") -> int:
    """Run inputs until the first broken law, and say how it went; returns an exit code."""
    made: Counter[str] = Counter()
    for number in numbers(first, count, seconds):
        random = Random(f"{seed}:{number}")
        given, check = make(random, address)
        try:
            if number % MEASURED_EVERY or address:
                check(random, given)
            else:
                check_costs(check, random, given)
        except Exception:
            print(f"BROKEN by input {number} of seed {seed} (--seed {seed} --first {number} --count 1)")
            print(f"mistakes: {', '.join(given.mistakes) or 'none'}")
            print(f"input: {given.wire.hex()}")
            traceback.print_exc()
            return 1
        made["inputs"] += 1
        made["bytes"] += len(given.wire)
        made.update(given.mistakes or ["no mistake"])
    print(f"seed {seed}: " + ", ".join(f"{count} {name}" for name, count in made.most_common()))
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="how long to run, if no --count is given")
    parser.add_argument("--count", type=int, help="how many inputs to run")
    parser.add_argument("--seed", type=int, default=None, help="where all inputs come from; by default a new one")
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--address", default="", help="a FastCGI server to send the inputs to: unix:/path or host:port")
    given = parser.parse_args()
    seed = secrets.randbelow(10**9) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    return run(seed, given.first, given.count, given.seconds, given.address)


if __name__ == "__main__":
    sys.exit(main())
