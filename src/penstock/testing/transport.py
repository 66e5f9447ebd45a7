"""This file holds the promises that every transport keeps, whatever it is made of: threads, a loop, any poller.

A transport is given as a function that serves a gateway and hands out connections to it:

    @contextmanager
    def serving(gateway):
        server = ...
        yield lambda: socket.create_connection(server.address)
        server.stop()

    check_transport(serving)

It serves the role Responder. A promise that is broken raises AssertionError.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from typing import Final, final

from penstock.connection.events import OutputReceived, RequestEnded, ValuesReceived, WebServerEvent
from penstock.connection.webserver import WebServerConnection
from penstock.gateways.request import Gateway, Request
from penstock.protocol.params import Pair
from penstock.protocol.spec import MPXS_CONNS, ProtocolStatus, RecordType, Role
from penstock.testing import build

Connect = Callable[[], socket.socket]
Serving = Callable[[Gateway], AbstractContextManager[Connect]]

HEAD: Final = b"Content-Type: application/octet-stream\r\nStatus: 200 OK\r\n\r\n"
PATIENCE: Final = 20.0
"""Seconds to wait for what is sure to come."""
BIG: Final = 2 * 1024 * 1024 + 17
"""Bytes that fit no socket buffer and no whole number of records."""

_PARAMS: Final = (("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/"), ("SCRIPT_NAME", ""), ("PATH_INFO", "/"))


def echo(request: Request) -> None:
    """Answer with the request's body."""
    request.finish(HEAD + request.stdin.read())


def breaking(request: Request) -> None:
    """Begin to answer once the whole request is here, then break off."""
    request.stdin.read()
    request.write(HEAD + b"half")
    request.abort()


@final
class Dialogue:
    """One connection to the transport, blocking, with a time limit. A context manager."""

    def __init__(self, connect: Connect) -> None:
        self.protocol = WebServerConnection()
        self._sock = connect()
        self._sock.settimeout(PATIENCE)
        self.output: dict[int, bytes] = {}
        self.statuses: dict[int, ProtocolStatus | int] = {}
        self.at_end = False

    def __enter__(self) -> Dialogue:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def send(self, data: bytes) -> None:
        """Send bytes, whatever they are; that the transport has closed meanwhile is for `receive` to find."""
        try:
            self._sock.sendall(data)
        except ConnectionError:
            pass

    def begin(self, role: Role = Role.RESPONDER, pairs: Iterable[Pair] = _PARAMS, keep_conn: bool = True) -> int:
        """Begin a request."""
        request_id, wire = self.protocol.begin(role, pairs, keep_conn)
        self.output[request_id] = b""
        self.send(wire)
        return request_id

    def body(self, request_id: int, content: bytes) -> None:
        """Send the whole of STDIN."""
        self.send(self.protocol.send(request_id, content) + self.protocol.end_input(request_id))

    def receive(self) -> list[WebServerEvent]:
        """What comes next; at the end of the connection nothing.

        Raises:
            AssertionError: neither comes.
        """
        try:
            data = self._sock.recv(65536)
        except ConnectionError:
            data = b""
        except TimeoutError:
            raise AssertionError(f"the transport neither said anything nor closed for {PATIENCE:g} s") from None
        events = self.protocol.receive_data(data)
        for event in events:
            if isinstance(event, OutputReceived) and event.stream is RecordType.STDOUT:
                self.output[event.request_id] += event.content
            elif isinstance(event, RequestEnded):
                self.statuses[event.request_id] = event.protocol_status
        self.at_end = not data
        return events

    def response(self, request_id: int) -> bytes:
        """All the output of a request, once it has ended."""
        while self.protocol.is_open(request_id):
            self.receive()
            assert not self.at_end, f"the connection ended before request {request_id} did"
        return self.output.pop(request_id)

    def cut_off(self) -> list[int]:
        """Read until the transport closes, and return the requests that it left without END_REQUEST."""
        while not self.at_end:
            self.receive()
        return self.protocol.receive_eof()

    def half_close(self) -> None:
        """Send nothing more."""
        self._sock.shutdown(socket.SHUT_WR)

    def values(self) -> dict[str, str]:
        """What GET_VALUES tells of multiplexing."""
        self.send(self.protocol.ask_values([MPXS_CONNS]))
        (event,) = self.receive()
        assert isinstance(event, ValuesReceived), event
        return event.values


def ask(connect: Connect, body: bytes = b"hello") -> None:
    """Demand that a good request on a new connection is answered."""
    with Dialogue(connect) as dialogue:
        request_id = dialogue.begin(keep_conn=False)
        dialogue.body(request_id, body)
        assert dialogue.response(request_id) == HEAD + body
        assert dialogue.cut_off() == []


def keeps_a_connection_for_the_next_request(serving: Serving) -> None:
    """With KEEP_CONN the connection stays, and the next request gets the same id and its own answer."""
    with serving(echo) as connect, Dialogue(connect) as dialogue:
        for body in (b"one", b"", b"three"):
            request_id = dialogue.begin()
            dialogue.body(request_id, body)
            assert dialogue.response(request_id) == HEAD + body
            assert dialogue.protocol.idle


def closes_after_a_request_without_keep_conn(serving: Serving) -> None:
    """Without KEEP_CONN the end of the connection follows END_REQUEST (section 3.5)."""
    with serving(echo) as connect:
        ask(connect)


def moves_big_bodies_both_ways(serving: Serving) -> None:
    """A web server may read while it sends, or send the whole body before it reads."""
    body = bytes(range(256)) * (BIG // 256)
    with serving(echo) as connect:
        with Dialogue(connect) as dialogue:
            request_id = dialogue.begin()
            sender = threading.Thread(target=dialogue.body, args=(request_id, body))
            sender.start()
            assert dialogue.response(request_id) == HEAD + body
            sender.join()
        ask(connect, body)


def tells_the_truth_about_multiplexing(serving: Serving) -> None:
    """A request is answered while another on its connection waits for input, unless GET_VALUES says otherwise."""
    with serving(echo) as connect, Dialogue(connect) as dialogue:
        able = dialogue.values()[MPXS_CONNS]
        slow, quick = dialogue.begin(), dialogue.begin()
        dialogue.body(quick, b"quick")
        answer = dialogue.response(quick)
        if able == "1":
            assert answer == HEAD + b"quick"
        else:
            assert dialogue.statuses[quick] == ProtocolStatus.CANT_MPX_CONN
        dialogue.body(slow, b"slow")
        assert dialogue.response(slow) == HEAD + b"slow"


def ends_an_aborted_request(serving: Serving) -> None:
    """ABORT_REQUEST in the middle of the input is answered with END_REQUEST, and the connection goes on."""
    with serving(echo) as connect, Dialogue(connect) as dialogue:
        request_id = dialogue.begin()
        dialogue.send(dialogue.protocol.send(request_id, b"half of it"))
        dialogue.send(dialogue.protocol.abort(request_id))
        dialogue.response(request_id)
        request_id = dialogue.begin()
        dialogue.body(request_id, b"next")
        assert dialogue.response(request_id) == HEAD + b"next"


def shows_a_broken_response(serving: Serving) -> None:
    """A response that breaks off after it has begun gets no END_REQUEST: the connection ends instead."""
    with serving(breaking) as connect, Dialogue(connect) as dialogue:
        request_id = dialogue.begin()
        dialogue.send(dialogue.protocol.end_input(request_id))
        assert dialogue.cut_off() == [request_id]


def never_takes_half_a_body_for_a_whole_one(serving: Serving) -> None:
    """The end of the connection before the end of STDIN is no end of STDIN."""
    bodies: list[bytes] = []

    def gateway(request: Request) -> None:
        bodies.append(request.stdin.read())
        request.finish(HEAD)

    with serving(gateway) as connect, Dialogue(connect) as dialogue:
        request_id = dialogue.begin()
        dialogue.send(dialogue.protocol.send(request_id, b"half of it"))
        dialogue.half_close()
        dialogue.cut_off()
    assert bodies == []


def closes_on_broken_protocol_and_harms_nobody(serving: Serving) -> None:
    """After a record of another version nothing is parsed any more; other connections do not notice."""
    with serving(echo) as connect, Dialogue(connect) as good, Dialogue(connect) as bad:
        request_id = good.begin()
        bad.send(build.record(RecordType.STDIN, version=2) + build.request(_PARAMS))
        assert bad.cut_off() == []
        good.body(request_id, b"still here")
        assert good.response(request_id) == HEAD + b"still here"


def survives_peers_that_vanish(serving: Serving) -> None:
    """Connections that end before their first byte, inside a record or inside a request cost nobody anything."""
    with serving(echo) as connect:
        for said in (b"", b"\x01\x01\x00", build.begin(), build.begin() + build.params(_PARAMS)):
            with Dialogue(connect) as dialogue:
                dialogue.send(said)
            ask(connect)


PROMISES: Final[tuple[Callable[[Serving], None], ...]] = (
    keeps_a_connection_for_the_next_request,
    closes_after_a_request_without_keep_conn,
    moves_big_bodies_both_ways,
    tells_the_truth_about_multiplexing,
    ends_an_aborted_request,
    shows_a_broken_response,
    never_takes_half_a_body_for_a_whole_one,
    closes_on_broken_protocol_and_harms_nobody,
    survives_peers_that_vanish,
)
"""Each can be run by itself, so that a test suite can have one test for each."""


def check_transport(serving: Serving) -> None:
    """Hold a transport to all of the promises.

    Raises:
        AssertionError: it breaks one.
    """
    for promise in PROMISES:
        promise(serving)
