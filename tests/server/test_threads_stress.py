"""Tests of the thread server under a crowd: kept, closed, aborting, vanishing and multiplexing peers all at once."""

from __future__ import annotations

import gc
import os
import random
import socket
import sys
import threading
from collections.abc import Callable

import pytest

from penstock.gateways.request import TruncatedInput
from penstock.testing import build
from tests.server.peers import PLAIN, Peer, Running, begin, request

WORKERS = 6
TURNS = 40


@pytest.fixture
def restless():
    """Threads take turns so often that they meet everywhere."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def app(environ, start_response):
    """Echoes what it has read, in the way that the path says."""
    path = environ["PATH_INFO"]
    if path == "/early":
        start_response("200 OK", PLAIN)
        return [b"e" * 300_000]
    try:
        body = environ["wsgi.input"].read(1 << 30)
    except TruncatedInput:
        assert environ["HTTP_X_WHOLE"] == "no", "a whole body was called truncated"
        raise
    assert environ["HTTP_X_WHOLE"] == "yes" or path == "/aborted", "a truncated body was called whole"
    start_response("200 OK", PLAIN)
    if path == "/lazy":
        return (body[at : at + 5000] for at in range(0, len(body), 5000))
    return [body]


def whole(yes: bool) -> dict[str, str]:
    return {"HTTP_X_WHOLE": "yes" if yes else "no"}


def some_body(dice: random.Random) -> bytes:
    return dice.randbytes(dice.choice([0, 1, 500, 20_000, 90_000]))


class Crowd:
    """Peers of every kind, each in its own thread; `failures` is what they complain of."""

    def __init__(self, server: Running, seed: int) -> None:
        self._server = server
        self._seed = seed
        self.failures: list[str] = []
        self.kinds: list[Callable[[Peer, random.Random], None]] = [
            self.keeps,
            self.keeps,
            self.closes,
            self.half_closes,
            self.multiplexes,
            self.multiplexes,
            self.aborts,
            self.vanishes,
            self.lies,
            self.breaks_the_protocol,
            self.stops_reading,
        ]

    def keeps(self, peer: Peer, dice: random.Random) -> None:
        for number in range(1, 6):
            body = some_body(dice)
            path = dice.choice(["/", "/lazy"])
            answer = peer.ask(path, body, request_id=number, extra=whole(True))
            assert (answer.body, answer.ended) == (body, True)

    def closes(self, peer: Peer, dice: random.Random) -> None:
        body = some_body(dice)
        assert peer.ask("/", body, keep=False, extra=whole(True)).body == body
        assert peer.closed()

    def half_closes(self, peer: Peer, dice: random.Random) -> None:
        body = some_body(dice)
        peer.send(request("/", body, extra=whole(True)))
        peer.sock.shutdown(socket.SHUT_WR)
        assert peer.answer().body == body
        assert peer.closed()

    def multiplexes(self, peer: Peer, dice: random.Random) -> None:
        bodies = {number: some_body(dice)[:20_000] for number in range(1, dice.choice([3, 9]))}
        keep = dice.random() < 0.5
        peer.send(*(begin("/", request_id=number, keep=keep, extra=whole(True)) for number in bodies))
        streams = {number: [body[at : at + 3000] for at in range(0, 20_000, 3000)] for number, body in bodies.items()}
        while streams:
            number = dice.choice(list(streams))
            if streams[number]:
                piece = streams[number].pop(0)
                peer.send(build.stdin(piece, number, end=False))
            else:
                peer.send(build.stdin(request_id=number), build.get_values("FCGI_MAX_REQS"))
                del streams[number]
        for number in dice.sample(list(bodies), len(bodies)):
            answer = peer.answer(number)
            assert (answer.body, answer.ended) == (bodies[number], True)
        while not keep and (record := peer.record()) is not None:
            assert record[1] == 0  # an answer to a question

    def aborts(self, peer: Peer, dice: random.Random) -> None:
        wire = begin("/aborted", extra=whole(False)) + build.stdin(b"x" * 5000)
        peer.send(wire[: dice.choice([16, len(wire) - 8, len(wire)])], build.abort(), build.stdin()[:0])
        assert peer.answer().ended
        body = some_body(dice)
        assert peer.ask("/", body, request_id=2, extra=whole(True)).body == body

    def vanishes(self, peer: Peer, dice: random.Random) -> None:
        sent = request(dice.choice(["/", "/lazy", "/early"]), some_body(dice), extra=whole(True))
        if dice.random() < 0.5:
            peer.send(sent)
            if dice.random() < 0.5:
                peer.record()
        else:
            sent = begin("/", extra=whole(False)) + build.stdin(b"x" * 70_000)
            peer.send(sent[: dice.randrange(len(sent) - 8)])
        if dice.random() < 0.5:
            peer.reset()

    def lies(self, peer: Peer, dice: random.Random) -> None:
        peer.send(begin("/", request_id=2, length="10", extra=whole(False)))
        peer.send(begin("/", request_id=1, length=dice.choice(["no", "3"]), extra=whole(False)))
        try:
            peer.send(build.stdin(b"12345", 1))
            assert peer.answer(1).status == 400
        except OSError:
            return
        while peer.record() is not None:
            continue

    def breaks_the_protocol(self, peer: Peer, dice: random.Random) -> None:
        peer.send(request("/early", request_id=1, extra=whole(True)), b"GET / HTTP/1.1\r\n")
        while peer.record() is not None:
            continue

    def stops_reading(self, peer: Peer, dice: random.Random) -> None:
        peer.send(*(request("/early", request_id=number, extra=whole(True)) for number in range(1, 5)))
        peer.sock.recv(dice.randrange(1, 10_000))

    def work(self, worker: int) -> None:
        for turn in range(TURNS):
            dice = random.Random(f"{self._seed} {worker} {turn}")
            kind = dice.choice(self.kinds)
            try:
                with self._server.connect() as peer:
                    kind(peer, dice)
            except BaseException as error:
                self.failures.append(f"{kind.__name__}, seed {self._seed} {worker} {turn}: {error!r}")

    def run(self) -> None:
        threads = [threading.Thread(target=self.work, args=(number,)) for number in range(WORKERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


@pytest.mark.parametrize("bind", ["", "127.0.0.1:0"], ids=["unix", "tcp"])
@pytest.mark.parametrize("streamed", [False, True], ids=["buffered", "streamed"])
def test_every_answer_is_whole_and_nothing_is_left_behind(serve, restless, streamed, bind, caplog):
    with serve(app, stream_body=streamed) as warm:
        warm.ask(extra=whole(True))
    gc.collect()
    before = sorted(os.listdir("/proc/self/fd"))
    with serve(app, validate=False, stream_body=streamed, bind=bind, body_memory=30_000) as server:
        crowd = Crowd(server, random.randrange(2**32))
        crowd.run()
        assert crowd.failures == []
        # Whoever has left is noticed without anything else happening.
        server.until(lambda: len(server.server._channels) <= 1)
        assert server.ask("/", b"still here", extra=whole(True)).body == b"still here"
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert "fault of penstock" not in caplog.text
    assert "AssertionError" not in caplog.text
