"""This file makes inputs for the fuzzer: conversations by the protocol's grammar, then a few mistakes in them."""

from __future__ import annotations

import struct
from collections.abc import Callable, Container
from dataclasses import dataclass, field, replace
from random import Random

from penstock.protocol.spec import RecordType, Role
from penstock.testing import build

T = RecordType
NAMES = ("REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "HTTP_X", "HTTP_COOKIE", "", "é")
VALUES = ("", "GET", "POST", "/", "/a/b%2Fc", "x" * 127, "y" * 128, "z" * 1000, "\xff\0\n", "10", "-1")
LENGTHS = (0, 1, 7, 8, 127, 128, 255, 256, 4096, 65535)


@dataclass(slots=True)
class Record:
    """A record that may lie: `stated` is the length in its header, if not that of its content."""

    kind: int
    request_id: int
    content: bytes = b""
    padding: int = 0
    version: int = 1
    stated: int | None = None

    def wire(self) -> bytes:
        return build.record(
            self.kind, self.request_id, self.content, padding=self.padding, version=self.version, length=self.stated
        )


@dataclass
class Input:
    """What one connection is sent.

    Attributes:
        wire: the bytes.
        begun: the ids that a BEGIN_REQUEST in it may have begun.
        complete: ids of the requests that are whole and undisturbed: each must be learnt from begin to end, once.
        mistakes: what was done to it, in words.
    """

    wire: bytes
    begun: Container[int] = ()
    complete: list[int] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)


def pair_block(random: Random) -> bytes:
    pairs = [("REQUEST_METHOD", random.choice(("GET", "POST"))), ("REQUEST_URI", "/"), ("PATH_INFO", "/")]
    count = random.choice((0, 2, 20)) if random.random() < 0.95 else 200
    pairs += [(random.choice(NAMES), random.choice(VALUES)) for _ in range(count)]
    pairs = [pair for pair in pairs if pair[0] != "CONTENT_LENGTH"]
    return build.pair_block(pairs, long=random.random() < 0.2)


def stream(random: Random, kind: int, request_id: int, content: bytes) -> list[Record]:
    """A stream cut into records of random sizes, with its end."""
    largest = random.choice((1, 3, 100, 65535)) if len(content) < 2000 else random.choice((1000, 8192, 65535))
    records = []
    start = 0
    while start < len(content):
        stop = start + random.randint(1, largest)
        records.append(Record(kind, request_id, content[start:stop], random.choice((0, 0, 7, 255))))
        start = stop
    return [*records, Record(kind, request_id, b"", random.choice((0, 0, 1)))]


def blob(random: Random) -> bytes:
    return random.randbytes(random.choice((0, 1, 10, 1000)) if random.random() < 0.95 else 70_000)


def request(random: Random, request_id: int, live: bool) -> list[Record]:
    """One request, with all the streams of its role, or with a role that does not exist."""
    role = 1 if live and random.random() < 0.9 else random.choice((1, 1, 2, 3, 9))
    flags = random.choice((1, 1, 1, 0, 0x81))
    records = [Record(T.BEGIN_REQUEST, request_id, struct.pack(">HB5x", role, flags))]
    records += stream(random, T.PARAMS, request_id, pair_block(random))
    if role in (Role.RESPONDER, Role.FILTER):
        records += stream(random, T.STDIN, request_id, blob(random))
    if role == Role.FILTER:
        records += stream(random, T.DATA, request_id, blob(random))
    if random.random() < 0.1:
        records.insert(random.randint(1, len(records)), Record(T.ABORT_REQUEST, request_id))
    return records


def answer(random: Random, request_id: int) -> list[Record]:
    """One answer of an application."""
    out = stream(random, T.STDOUT, request_id, b"Status: 200 OK\r\n\r\n" + blob(random))
    if random.random() < 0.3:
        out = interleave(random, [out, stream(random, T.STDERR, request_id, b"oh no")])
    return [*out, Record(T.END_REQUEST, request_id, struct.pack(">IB3x", random.choice((0, 1)), 0))]


def interleave(random: Random, sequences: list[list[Record]]) -> list[Record]:
    """All records, each sequence in its own order."""
    queues = [list(reversed(sequence)) for sequence in sequences if sequence]
    merged = []
    while queues:
        queue = random.choice(queues)
        taken = min(len(queue), random.choice((1, 1, 5)))
        merged += [queue.pop() for _ in range(taken)]
        queues = [queue for queue in queues if queue]
    return merged


def other_id(random: Random, records: list[Record], at: int) -> None:
    records[at].request_id = random.choice((0, 1, 2, 3, 256, 65535))


def other_type(random: Random, records: list[Record], at: int) -> None:
    records[at].kind = random.choice((*range(13), 255))


def other_version(random: Random, records: list[Record], at: int) -> None:
    records[at].version = random.choice((0, 2, 255))


def wrong_length(random: Random, records: list[Record], at: int) -> None:
    length = len(records[at].content)
    near = (max(0, length - 1), min(65535, length + 1), min(65535, length + 8))
    records[at].stated = random.choice((*LENGTHS, *near))


def wrong_padding(random: Random, records: list[Record], at: int) -> None:
    records[at].padding = random.choice((1, 8, 255))


def other_content(random: Random, records: list[Record], at: int) -> None:
    content = bytearray(records[at].content or b"\0")
    for _ in range(random.choice((1, 1, 8))):
        content[random.randrange(len(content))] = random.choice((0, 1, 127, 128, 255))
    records[at].content = bytes(content)


def long_content(random: Random, records: list[Record], at: int) -> None:
    records[at].content = random.randbytes(random.choice(LENGTHS))


def lost(random: Random, records: list[Record], at: int) -> None:
    del records[at]


def twice(random: Random, records: list[Record], at: int) -> None:
    records.insert(random.randint(at, len(records)), replace(records[at]))


def swapped(random: Random, records: list[Record], at: int) -> None:
    other = random.randrange(len(records))
    records[at], records[other] = records[other], records[at]


def foreign(random: Random, records: list[Record], at: int) -> None:
    records.insert(
        at, Record(random.randrange(256), random.choice((0, 1, 2, 9)), random.randbytes(random.randrange(20)))
    )


def flood(random: Random, records: list[Record], at: int) -> None:
    one = replace(records[at], content=records[at].content[:20])
    records[at:at] = [replace(one) for _ in range(random.choice((10, 300)))]


Mistake = Callable[[Random, list[Record], int], None]

MISTAKES: tuple[Mistake, ...] = (
    other_id, other_type, other_version, wrong_length, wrong_padding, other_content, long_content, lost, twice, swapped,
    foreign, flood,
)  # fmt: skip


def spoil(random: Random, records: list[Record]) -> list[str]:
    """Make some mistakes, mostly one or none."""
    made = []
    for _ in range(random.choice((0, 1, 1, 1, 2, 5))):
        if not records:
            break
        mistake = random.choice(MISTAKES)
        mistake(random, records, random.randrange(len(records)))
        made.append(mistake.__name__)
    return made


def spoil_bytes(random: Random, wire: bytes) -> tuple[bytes, str]:
    """Cut the end off, cut a piece out or put one in."""
    if not wire or random.random() < 0.7:
        return wire, ""
    at = random.randrange(len(wire))
    how = random.choice(("end", "hole", "garbage"))
    if how == "end":
        return wire[:at], "cut the end off"
    if how == "hole":
        return wire[:at] + wire[at + random.randint(1, 20) :], "cut a piece out"
    return wire[:at] + random.randbytes(random.randint(1, 20)) + wire[at:], "put a piece in"


def manage(random: Random, records: list[Record]) -> None:
    """Put a management record somewhere in between."""
    if random.random() < 0.3:
        content = build.pair_block([(random.choice(("FCGI_MPXS_CONNS", "FCGI_MAX_REQS", "X")), "") for _ in range(3)])
        kind, content = random.choice(((T.GET_VALUES, content), (77, b"what?")))
        records.insert(random.randint(0, len(records)), Record(kind, 0, content))


def to_application(random: Random, live: bool = False) -> Input:
    """What a web server might send."""
    ids = random.sample((1, 2, 3, 5, 256, 65535), random.choice((1, 1, 2, 4)))
    requests = [request(random, request_id, live) for request_id in ids]
    whole = [
        records[0].request_id
        for records in requests
        if records[0].content[1] != 9 and all(record.kind != T.ABORT_REQUEST for record in records)
    ]
    records = interleave(random, requests)
    manage(random, records)
    mistakes = spoil(random, records)
    begun: Container[int] = {record.request_id for record in records if record.kind == T.BEGIN_REQUEST}
    wire, spoilt = spoil_bytes(random, b"".join(record.wire() for record in records))
    if spoilt or any(mistake in ("wrong_length", "wrong_padding") for mistake in mistakes):
        begun = range(65536)  # where records begin is open to interpretation
    mistakes += [spoilt] if spoilt else []
    return Input(wire, begun, [] if mistakes else whole, mistakes)


def to_web_server(random: Random) -> Input:
    """What an application might answer to requests 1 to n."""
    ids = list(range(1, random.choice((1, 1, 3)) + 1))
    records = interleave(random, [answer(random, request_id) for request_id in ids])
    if random.random() < 0.2:
        records.insert(random.randint(0, len(records)), Record(T.GET_VALUES_RESULT, 0, build.pair_block({"X": "1"})))
    mistakes = spoil(random, records)
    wire, spoilt = spoil_bytes(random, b"".join(record.wire() for record in records))
    mistakes += [spoilt] if spoilt else []
    return Input(wire, ids, [] if mistakes else ids, mistakes)


def pieces(random: Random, wire: bytes) -> list[bytes]:
    """The bytes as they may arrive."""
    largest = random.choice((1, 9, 1000, 65536)) if len(wire) < 5000 else random.choice((1000, 65536, 65536))
    cut = []
    at = 0
    while at < len(wire):
        stop = at + random.randint(1, largest)
        cut.append(wire[at:stop])
        at = stop
    return cut
