"""This file is what vectors are made of: bytes built without penstock's own encoder, so both can be wrong apart."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import ApplicationEvent, WebServerEvent
from penstock.connection.limits import DEFAULT_LIMITS, Limits
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import RemoteProtocolError
from penstock.testing import joined

BEGIN, ABORT, END, PARAMS, STDIN, STDOUT, STDERR, DATA, GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE = range(1, 12)

VALUES = {"FCGI_MAX_CONNS": "100", "FCGI_MAX_REQS": "4", "FCGI_MPXS_CONNS": "1"}

Cut = Callable[[bytes], Iterable[bytes]]


def rec(kind: int, request_id: int, content: bytes = b"", pad: int = 0, version: int = 1) -> bytes:
    """One record; its padding is garbage."""
    return struct.pack(">BBHHBB", version, kind, request_id, len(content), pad, 0x77) + content + b"\xaa" * pad


def begin(request_id: int = 1, role: int = 1, flags: int = 1) -> bytes:
    return rec(BEGIN, request_id, struct.pack(">HB5s", role, flags, b"\xaa" * 5))


def pair(name: bytes, value: bytes) -> bytes:
    """One pair whose lengths are below 128."""
    return bytes((len(name), len(value))) + name + value


def long_pair(name: bytes, value: bytes) -> bytes:
    """One pair with both lengths in the 4-byte form."""
    return struct.pack(">II", len(name) | 0x80000000, len(value) | 0x80000000) + name + value


def end_request(request_id: int, app_status: int = 0, status: int = 0) -> bytes:
    return rec(END, request_id, struct.pack(">IB3s", app_status, status, b"\xaa" * 3))


def unknown_type(kind: int) -> bytes:
    """As we send it: with zeros where nothing is defined."""
    return bytes((1, UNKNOWN_TYPE, 0, 0, 0, 8, 0, 0, kind, 0, 0, 0, 0, 0, 0, 0))


@dataclass(frozen=True)
class Finish:
    """A step in which the application ends a request."""

    request_id: int


@dataclass(frozen=True)
class Vector:
    """What an application's connection is sent, and what it must make of it.

    Attributes:
        name: the case.
        steps: bytes from the web server, and the application's own moves between them.
        events: what the application learns, contents of one stream joined; up to the fault, if there is one.
        answers: what the connection says of itself.
        error: words of the RemoteProtocolError that the last step ends in.
        limits: what the connection may hold.
    """

    name: str
    steps: tuple[bytes | Finish, ...]
    events: tuple[ApplicationEvent, ...] = ()
    answers: bytes = b""
    error: str = ""
    limits: Limits = DEFAULT_LIMITS


def vector(name: str, *steps: bytes | Finish, **expected: object) -> Vector:
    return Vector(name, steps, **expected)  # type: ignore[arg-type]


def replay(vector: Vector, cut: Cut) -> ApplicationConnection:
    """Feed a vector in the pieces that `cut` makes of each of its steps, and compare."""
    connection = ApplicationConnection(limits=vector.limits, values=VALUES)
    learnt: list[ApplicationEvent] = []
    answers = b""
    fault = ""
    pieces = 0
    for step in vector.steps:
        if isinstance(step, Finish):
            connection.finish(step.request_id)
            continue
        for piece in cut(step):
            pieces += 1
            try:
                learnt += connection.receive_data(piece)
            except RemoteProtocolError as error:
                fault = str(error)
                break
            answers += connection.take_answers()
    events = joined(learnt)
    if vector.error:
        assert vector.error in fault, f"{vector.error!r} is not in {fault!r}"
        # What came in one piece with the fault is not handed out, so larger pieces may tell less.
        assert same(events, vector.events[: len(events)])
        assert vector.answers.startswith(answers)
    else:
        assert fault == ""
        assert same(events, vector.events)
        assert answers == vector.answers
    return connection


@dataclass(frozen=True)
class Answer:
    """What a web server's connection is sent after it began requests 1 and 2 and asked for values once.

    Attributes:
        name: the case.
        wire: bytes from the application.
        events: what the web server learns; up to the fault, if there is one.
        error: words of the RemoteProtocolError that it ends in.
    """

    name: str
    wire: bytes
    events: tuple[WebServerEvent, ...] = ()
    error: str = ""


def replay_answer(answer: Answer, cut: Cut) -> WebServerConnection:
    """Feed an answer in pieces, and compare."""
    connection = WebServerConnection()
    for _ in range(2):
        connection.begin(1, [])  # type: ignore[arg-type]
    connection.ask_values(["FCGI_MPXS_CONNS"])
    learnt: list[WebServerEvent] = []
    fault = ""
    for piece in cut(answer.wire):
        try:
            learnt += connection.receive_data(piece)
        except RemoteProtocolError as error:
            fault = str(error)
            break
    events = joined(learnt)
    if answer.error:
        assert answer.error in fault, f"{answer.error!r} is not in {fault!r}"
        assert same(events, answer.events[: len(events)])
    else:
        assert fault == ""
        assert same(events, answer.events)
    return connection


def same(left: Iterable[object], right: Iterable[object]) -> bool:
    """Equal, and of the same kinds: two kinds of event may hold equal values."""
    left, right = list(left), list(right)
    assert left == right
    return [type(event) for event in left] == [type(event) for event in right]
