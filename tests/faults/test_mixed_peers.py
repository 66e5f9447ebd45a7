"""This file mixes good and bad peers at one server: the good ones get what they asked for, whatever the rest do."""

from __future__ import annotations

import hashlib
import json
import random
import sys
import threading
import time
from collections.abc import Callable

import pytest

from penstock.connection.events import OutputReceived
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.spec import KEEP_CONN, RecordType, Role
from penstock.testing import build
from tests.faults.measure import Meter, scaled, settle
from tests.faults.peer import Peer, params, request, reset
from tests.interop.backend import PLAIN, Backend, start
from tests.processes import PATIENCE, ROOT

KINDS = {
    "1 thread": ("--threads", "1"),
    "4 threads": ("--threads", "4"),
    "1 thread, streaming": ("--threads", "1", "--stream-body"),
    "4 threads, streaming": ("--threads", "4", "--stream-body"),
}


def body_of(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice([0, 1, 100, 8192, 70_000, 300_000]))


def check_echo(output: bytes, body: bytes) -> None:
    head, _, said = output.partition(b"\r\n\r\n")
    assert b"Status: 200 OK" in head
    assert json.loads(said)["sha256"] == hashlib.sha256(body).hexdigest()


# Good peers


def keeps_asking(backend: Backend, address: str, dice: random.Random) -> None:
    with Peer(backend, address) as peer:
        for number in range(5):
            body = body_of(dice)
            check_echo(peer.send(request("/echo", body, request_id=number + 1)).answer(number + 1).stdout, body)


def cuts_records(backend: Backend, address: str, dice: random.Random) -> None:
    body = body_of(dice)[:3000]
    wire = build.recut(request("/echo", body, flags=0), (1, 7, 300), [dice.randrange(256) for _ in range(50)])
    with Peer(backend, address) as peer:
        start_at = 0
        while start_at < len(wire):
            piece = dice.randint(1, 2000)
            peer.send(wire[start_at : start_at + piece])
            start_at += piece
        check_echo(peer.answer().stdout, body)
        assert peer.closed()


def interleaves(backend: Backend, address: str, dice: random.Random) -> None:
    """Several requests at a time on one connection, judged by the strict web server's side of the protocol."""
    protocol = WebServerConnection()
    outputs: dict[int, bytes] = {}
    with backend.connect(address) as sock:
        bodies = {}
        for _ in range(4):
            body = body_of(dice)[:70_000]
            length = len(body) if dice.random() < 0.5 else None
            number, wire = protocol.begin(Role.RESPONDER, params("/echo", "POST", length).items())
            sock.sendall(wire)
            bodies[number] = body
        left = {number: [body[at : at + 9000] for at in range(0, len(body), 9000)] for number, body in bodies.items()}
        while left:
            number = dice.choice(list(left))
            if left[number]:
                sock.sendall(protocol.send(number, left[number].pop(0)))
            else:
                sock.sendall(protocol.end_input(number))
                del left[number]
        while protocol.open_requests:
            data = sock.recv(65536)
            assert data, f"closed with {protocol.open_requests} requests open"
            for event in protocol.receive_data(data):
                if isinstance(event, OutputReceived):
                    outputs[event.request_id] = outputs.get(event.request_id, b"") + event.content
        for number, body in bodies.items():
            check_echo(outputs[number], body)


def shuts_early(backend: Backend, address: str, dice: random.Random) -> None:
    body = body_of(dice)
    with Peer(backend, address) as peer:
        peer.send(request("/echo", body))
        peer.sock.shutdown(1)
        check_echo(peer.answer().stdout, body)


def asks_for_values(backend: Backend, address: str, dice: random.Random) -> None:
    with Peer(backend, address) as peer:
        peer.send(build.get_values("FCGI_MAX_REQS"), request("/hello"))
        assert (peer.record() or (0,))[0] == RecordType.GET_VALUES_RESULT
        assert peer.answer().body == b"hello, world\n"


# Bad peers: what they get is not looked at


def leaves(backend: Backend, address: str, dice: random.Random) -> None:
    wire = request(dice.choice(["/echo", "/lazily?name=x", "/endless?name=x"]), body_of(dice))
    with Peer(backend, address) as peer:
        if dice.random() < 0.5:
            peer.send(wire[: dice.randrange(len(wire) + 1)])
        else:
            peer.send(wire).record()
        if dice.random() < 0.5:
            reset(peer.sock)


def aborts(backend: Backend, address: str, dice: random.Random) -> None:
    wire = request("/echo", body_of(dice)[:20_000], request_id=7)
    cut = dice.choice([len(build.begin()), len(wire) - 8, len(wire)])
    with Peer(backend, address) as peer:
        peer.send(wire[:cut], build.abort(7), request("/hello", request_id=8))
        while (found := peer.record()) is not None and found[:2] != (RecordType.END_REQUEST, 8):
            continue


def babbles(backend: Backend, address: str, dice: random.Random) -> None:
    wire = bytearray(request("/echo", body_of(dice)[:5000], flags=dice.choice([0, KEEP_CONN])))
    for _ in range(dice.randint(1, 5)):
        wire[dice.randrange(len(wire))] = dice.randrange(256)
    with Peer(backend, address) as peer:
        peer.send(bytes(wire))
        peer.sock.shutdown(1)
        while peer.record() is not None:
            continue


def lies(backend: Backend, address: str, dice: random.Random) -> None:
    body = body_of(dice)[:5000]
    wire = build.begin() + build.params(params("/echo", "POST", dice.choice([0, 1, 4999, 10**9, 10**12])))
    with Peer(backend, address) as peer:
        peer.send(wire, build.stdin(body), request("/hello", request_id=2))
        peer.sock.shutdown(1)
        while peer.record() is not None:
            continue


GOOD = (keeps_asking, cuts_records, interleaves, shuts_early, asks_for_values)
BAD = (leaves, aborts, babbles, lies)


class Crowd:
    """Threads that take turns at being any kind of peer."""

    def __init__(self, backend: Backend, seed: int, turns: int) -> None:
        self.failures: list[str] = []
        self.good = 0
        self._backend = backend
        self._seed = seed
        self._turns = iter(range(turns))
        self._lock = threading.Lock()

    def _next(self) -> int | None:
        with self._lock:
            return None if self.failures else next(self._turns, None)

    def _work(self) -> None:
        while (turn := self._next()) is not None:
            dice = random.Random(f"{self._seed} {turn}")
            kind: Callable[[Backend, str, random.Random], None] = dice.choice(GOOD if dice.random() < 0.5 else BAD)
            try:
                kind(self._backend, dice.choice(self._backend.addresses), dice)
            except (BrokenPipeError, ConnectionResetError) as error:
                if kind in GOOD:  # the server may close on bad ones while they still send
                    self.failures.append(f"{kind.__name__}, seed {self._seed} {turn}: {error!r}")
            except BaseException as error:
                self.failures.append(f"{kind.__name__}, seed {self._seed} {turn}: {error!r}")
            self.good += kind in GOOD

    def run(self) -> None:
        threads = [threading.Thread(target=self._work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.fixture(params=list(KINDS))
def backend(request: pytest.FixtureRequest, processes, sock_dir) -> Backend:
    options = ("--no-access-log", "--io-timeout", "5s", *KINDS[request.param])
    return start(processes, *options, bind=(f"unix:{sock_dir}/app", "127.0.0.1:0"), app=PLAIN)


def test_good_peers_are_answered_right_among_bad_ones(backend, figure, request):
    meter = Meter(backend.pid)
    descriptors = meter.descriptors
    seed, turns = random.randrange(2**32), scaled(800, 20_000)
    crowd = Crowd(backend, seed, turns)
    began = time.monotonic()
    crowd.run()
    assert crowd.failures == []
    settle(backend, meter, descriptors)
    log = backend.read_log()
    # A client that leaves while its body is read makes the application fail; that is one line, and no traceback.
    assert not [line for line in log if "Traceback" in line or "fault of penstock" in line], "\n".join(log[-60:])
    # Hardly 20 things can be wrong with these peers; each may be said once a second.
    assert sum("WARNING" in line for line in log) <= 20 * (2 + time.monotonic() - began)
    assert backend.process.stop() == 0
    figure(f"mixed peers, {request.node.callspec.id}", f"{crowd.good} good among {turns}: 0 failed (seed {seed})")


def test_inputs_that_know_the_protocol_end_in_answers_and_clean_closes(backend, processes, figure, request):
    meter = Meter(backend.pid)
    descriptors = meter.descriptors
    fuzzer = (sys.executable, ROOT / "tests" / "fuzz" / "structure.py")
    number = scaled(300, 20_000)
    fuzz = processes.start(*fuzzer, "--address", backend.addresses[0], "--seconds", "3600", "--count", str(number))
    assert fuzz.wait(scaled(PATIENCE, 500)) == 0, fuzz.output()
    settle(backend, meter, descriptors)
    backend.check_sound()
    assert backend.process.stop() == 0
    figure(f"T19: structured fuzz, {request.node.callspec.id}", f"{number} inputs, no law broken, no traceback")
