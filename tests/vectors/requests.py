"""This file holds what web servers send and may send, and what an application must learn from it."""

from __future__ import annotations

from penstock.connection.events import InputEnded, InputReceived, RequestAborted, RequestBegan, RequestRefused
from penstock.connection.limits import Limits
from penstock.connection.state import Refusal
from penstock.protocol.spec import RecordType, Role
from tests.vectors.wire import (
    ABORT,
    BEGIN,
    DATA,
    GET_VALUES,
    GET_VALUES_RESULT,
    PARAMS,
    STDIN,
    STDOUT,
    UNKNOWN_TYPE,
    Finish,
    begin,
    long_pair,
    pair,
    rec,
    unknown_type,
    vector,
)

IN, DAT = RecordType.STDIN, RecordType.DATA
RESPONDER, AUTHORIZER, FILTER = Role.RESPONDER, Role.AUTHORIZER, Role.FILTER

HEAD = begin() + rec(PARAMS, 1, pair(b"A", b"1")) + rec(PARAMS, 1)
BODY = rec(STDIN, 1, b"hello") + rec(STDIN, 1)
BEGAN = RequestBegan.of(1, RESPONDER, True, [("A", "1")])
HELLO = InputReceived(1, IN, b"hello")
ENDED = InputEnded(1, IN, True)
WHOLE = (BEGAN, HELLO, ENDED)


def simple(request_id: int) -> bytes:
    return begin(request_id) + rec(PARAMS, request_id) + rec(STDIN, request_id)


def simple_events(request_id: int) -> tuple[RequestBegan, InputEnded]:
    return RequestBegan.of(request_id, RESPONDER, True, []), InputEnded(request_id, IN, True)


def with_pairs(name, block, *pairs):
    """A request whose PARAMS hold this block in one record."""
    wire = begin() + rec(PARAMS, 1, block) + rec(PARAMS, 1) + rec(STDIN, 1)
    return vector(name, wire, events=(RequestBegan.of(1, RESPONDER, True, list(pairs)), ENDED))


def cut_params(name, *contents, pairs):
    """A request whose PARAMS come in these records."""
    wire = begin() + b"".join(rec(PARAMS, 1, content) for content in contents) + rec(PARAMS, 1)
    return vector(name, wire, events=(RequestBegan.of(1, RESPONDER, True, pairs),))


def padded(pad):
    wire = b"".join(
        (
            rec(BEGIN, 1, b"\0\1\1\0\0\0\0\0", pad),
            rec(PARAMS, 1, pair(b"A", b"1"), pad),
            rec(PARAMS, 1, b"", pad),
            rec(STDIN, 1, b"hello", pad),
            rec(STDIN, 1, b"", pad),
        )
    )
    return vector(f"5 padding of {pad} bytes of garbage", wire, events=WHOLE)


LONG_NAME = b"HTTP_" + b"N" * 200
BIG = [("HTTP_X", "v" * 50_000), ("HTTP_Y", "w" * 100_000), ("HTTP_Z", "z" * 54_000)]
BIG_BLOCK = b"".join(
    b"\x06" + (len(value) | 0x80000000).to_bytes(4, "big") + name.encode() + value.encode() for name, value in BIG
)
REPEATS = [("HTTP_X", "1"), ("HTTP_COOKIE", "a=1"), ("HTTP_X", "2"), ("HTTP_COOKIE", "b=2")]
ASKED = pair(b"FCGI_MAX_CONNS", b"") + pair(b"FCGI_MAX_REQS", b"") + pair(b"FCGI_MPXS_CONNS", b"")
ALL_VALUES = bytes.fromhex(
    "010a00000035 0000"
    "0e03 464347495f4d41585f434f4e4e53 313030"
    "0d01 464347495f4d41585f52455153 34"
    "0f01 464347495f4d5058535f434f4e4e53 31"
)
NO_VALUES = bytes.fromhex("010a000000000000")
FULL = "the limit of {} open requests on this connection is reached"
CLOSED = (RequestBegan.of(1, RESPONDER, False, []), ENDED)

PARAMETERS = [
    vector("1 a whole request in one segment", HEAD + BODY, events=WHOLE),
    vector("1 without a body", simple(1), events=simple_events(1)),
    vector("1 the body in several records", HEAD + rec(STDIN, 1, b"hel") + rec(STDIN, 1, b"lo") + rec(STDIN, 1),
           events=WHOLE),
    cut_params("3 a pair cut in its name, its value and between pairs",
               b"\1\1A1\2", b"\1B", b"B2", b"\1\1C3", pairs=[("A", "1"), ("BB", "2"), ("C", "3")]),
    cut_params("3 cut between the two lengths, and inside a long length",
               b"\1", b"\1A1\x80\0", b"\0\1\x80", b"\0\0\1B2", pairs=[("A", "1"), ("B", "2")]),
    with_pairs("4 the long form of short lengths", long_pair(b"A", b"1") + pair(b"B", b"2"), ("A", "1"), ("B", "2")),
    with_pairs("4 a short name with a long value, and a long name with a short one",
               b"\1\x80\0\0\x80A" + b"v" * 128 + b"\x80\0\0\xcd\1" + LONG_NAME + b"x",
               ("A", "v" * 128), (LONG_NAME.decode(), "x")),
    with_pairs("4 lengths of 127 in the short form", b"\x7f\x7f" + b"n" * 127 + b"v" * 127, ("n" * 127, "v" * 127)),
    *(padded(pad) for pad in (0, 1, 7, 255)),
    vector("6 records of 65,535 bytes", HEAD + rec(STDIN, 1, b"x" * 65535, 255) + rec(STDIN, 1, b"y" * 65535),
           events=(BEGAN, InputReceived(1, IN, b"x" * 65535 + b"y" * 65535))),
    cut_params("7 200 KB of parameters in 4 records",
               *(BIG_BLOCK[at : at + 65535] for at in range(0, len(BIG_BLOCK), 65535)), pairs=BIG),
    with_pairs("8 a name twice: both are handed on, in order",
               pair(b"SCRIPT_NAME", b"/x") + pair(b"SCRIPT_NAME", b""), ("SCRIPT_NAME", "/x"), ("SCRIPT_NAME", "")),
    with_pairs("9 repeated headers", b"".join(pair(n.encode(), v.encode()) for n, v in REPEATS), *REPEATS),
    with_pairs("10 empty names and values", pair(b"", b"") + pair(b"A", b"") + pair(b"", b"v"),
               ("", ""), ("A", ""), ("", "v")),
    with_pairs("10 the long form of 0", b"\x80\0\0\0\x80\0\0\0\x80\0\0\0\1v", ("", ""), ("", "v")),
    with_pairs("10 any bytes", pair(bytes(range(120)), bytes(range(130, 256))),
               (bytes(range(120)).decode("latin-1"), bytes(range(130, 256)).decode("latin-1"))),
    vector("13 no parameters at all", simple(1), events=simple_events(1)),
]  # fmt: skip

CONNECTION = [
    vector("15 unknown management types are answered", rec(12, 0, b"what?") + rec(255, 0, b"", 9) + rec(0, 0),
           answers=unknown_type(12) + unknown_type(255) + unknown_type(0)),
    vector("15 unknown types of a request are skipped, wherever it stands",
           rec(12, 1) + begin() + rec(12, 1, b"x") + rec(PARAMS, 1, pair(b"A", b"1")) + rec(0, 1) + rec(PARAMS, 1)
           + rec(200, 1, b"y", 3) + BODY + rec(0, 1, b"z") + rec(255, 1), events=WHOLE),
    vector("15 an unknown record of the largest size is skipped exactly", rec(77, 5, b"\1" * 65535, 255) + HEAD + BODY,
           events=WHOLE),
    vector("16 records for an id that never began are ignored",
           rec(PARAMS, 9, b"\x7f") + rec(STDIN, 9, b"x") + rec(DATA, 9, b"x") + rec(STDOUT, 9, b"x") + rec(STDIN, 9)
           + HEAD + BODY, events=WHOLE),
    vector("17 GET_VALUES before, inside and between requests", rec(GET_VALUES, 0, ASKED) + HEAD
           + rec(GET_VALUES, 0, ASKED) + BODY + rec(GET_VALUES, 0, ASKED), Finish(1), rec(GET_VALUES, 0, ASKED),
           events=WHOLE, answers=ALL_VALUES * 4),
    vector("17 values in whatever order they are asked for, and once", rec(GET_VALUES, 0, pair(b"FCGI_MPXS_CONNS", b"")
           + pair(b"FCGI_MAX_REQS", b"?") + pair(b"FCGI_MAX_CONNS", b"") + pair(b"FCGI_MAX_CONNS", b"")),
           answers=ALL_VALUES),
    vector("17 an unknown name is left out", rec(GET_VALUES, 0, pair(b"FCGI_MPXS_CONNS", b"") + pair(b"X", b""), 5),
           answers=bytes.fromhex("010a0000001200000f01464347495f4d5058535f434f4e4e5331")),
    vector("17 only unknown names", rec(GET_VALUES, 0, pair(b"X", b"")), answers=NO_VALUES),
    vector("17 no name", rec(GET_VALUES, 0), answers=NO_VALUES),
    vector("17 answers of an application are not answered", rec(GET_VALUES_RESULT, 0, ASKED)
           + rec(UNKNOWN_TYPE, 0, b"\0" * 8)),
    vector("18 three requests interleaved, finished out of order",
           begin(1) + begin(3) + rec(PARAMS, 3) + rec(STDIN, 3, b"th") + rec(PARAMS, 1) + begin(5) + rec(STDIN, 1, b"o")
           + rec(STDIN, 3, b"ree") + rec(PARAMS, 5) + rec(STDIN, 5) + rec(STDIN, 3), Finish(5), Finish(3),
           begin(3) + rec(STDIN, 1) + rec(PARAMS, 3), Finish(1), Finish(3),
           events=(RequestBegan.of(3, RESPONDER, True, []), InputReceived(3, IN, b"th"),
                   RequestBegan.of(1, RESPONDER, True, []), InputReceived(1, IN, b"o"), InputReceived(3, IN, b"ree"),
                   RequestBegan.of(5, RESPONDER, True, []), InputEnded(5, IN, True), InputEnded(3, IN, True),
                   InputEnded(1, IN, True), RequestBegan.of(3, RESPONDER, True, []))),
    vector("18 ids 255, 256 and 65,535", *(simple(number) for number in (65535, 255, 256)),
           events=tuple(event for number in (65535, 255, 256) for event in simple_events(number))),
    vector("19 an id again once its request has ended", HEAD + BODY, Finish(1), HEAD + BODY, events=WHOLE * 2),
    vector("20 input left over from a finished request comes before the next one", HEAD, Finish(1),
           rec(STDIN, 1, b"late") + rec(STDIN, 1) + rec(PARAMS, 1) + HEAD + BODY, events=(BEGAN, *WHOLE)),
]  # fmt: skip

LIFE = [
    vector("21 abort before the parameters", begin() + rec(ABORT, 1), events=(RequestAborted(1),)),
    vector("21 abort inside the parameters, which are forgotten",
           begin() + rec(PARAMS, 1, b"\1\1A") + rec(ABORT, 1) + rec(PARAMS, 1, b"1") + rec(PARAMS, 1),
           events=(RequestAborted(1),)),
    vector("21 abort inside the body", HEAD + rec(STDIN, 1, b"hello") + rec(ABORT, 1) + rec(STDIN, 1, b"x"),
           events=(BEGAN, HELLO, RequestAborted(1))),
    vector("21 abort when the input is complete", HEAD + BODY + rec(ABORT, 1), events=(*WHOLE, RequestAborted(1))),
    vector("21 abort twice", begin() + rec(ABORT, 1) + rec(ABORT, 1) + rec(ABORT, 1, b"loudly"),
           events=(RequestAborted(1),)),
    vector("21 abort of an id that never began", rec(ABORT, 4) + HEAD + BODY, events=WHOLE),
    vector("21 abort after the end", HEAD + BODY, Finish(1), rec(ABORT, 1) + HEAD + BODY, events=WHOLE * 2),
    vector("21 the id of an aborted request again once it has ended", begin() + rec(ABORT, 1), Finish(1), HEAD + BODY,
           events=(RequestAborted(1), *WHOLE)),
    vector("22 an Authorizer without STDIN", begin(role=2) + rec(PARAMS, 1),
           events=(RequestBegan.of(1, AUTHORIZER, True, []),)),
    vector("22 an Authorizer with an empty STDIN, early and late", begin(role=2) + rec(STDIN, 1) + rec(PARAMS, 1)
           + rec(STDIN, 1), events=(RequestBegan.of(1, AUTHORIZER, True, []),)),
    vector("22 an Authorizer with a body, which is not for it", begin(role=2) + rec(PARAMS, 1) + BODY,
           events=(RequestBegan.of(1, AUTHORIZER, True, []),)),
    vector("23 a Filter", begin(role=3) + rec(PARAMS, 1) + BODY + rec(DATA, 1, b"file") + rec(DATA, 1),
           events=(RequestBegan.of(1, FILTER, True, []), HELLO, InputEnded(1, IN, False),
                   InputReceived(1, DAT, b"file"), InputEnded(1, DAT, True))),
    vector("23 a Filter with two empty streams", begin(role=3) + rec(PARAMS, 1) + rec(STDIN, 1) + rec(DATA, 1),
           events=(RequestBegan.of(1, FILTER, True, []), InputEnded(1, IN, False), InputEnded(1, DAT, True))),
    vector("23 DATA for a Responder is ignored", HEAD + rec(DATA, 1, b"x") + BODY + rec(DATA, 1), events=WHOLE),
    vector("24 role 9 is refused, the rest of it ignored, and the connection goes on",
           begin(role=9) + rec(PARAMS, 1, pair(b"A", b"1")) + rec(PARAMS, 1) + BODY, Finish(1), HEAD + BODY,
           events=(RequestRefused(1, Refusal.ROLE, "role 9 is not served here"), *WHOLE)),
    vector("24 role 0, and role 257 whose low byte is 1", begin(role=0) + begin(2, role=257),
           events=(RequestRefused(1, Refusal.ROLE, "role 0 is not served here"),
                   RequestRefused(2, Refusal.ROLE, "role 257 is not served here"))),
    vector("25 flags 0x81 mean KEEP_CONN", begin(flags=0x81) + rec(PARAMS, 1) + rec(STDIN, 1), events=simple_events(1)),
    vector("25 flags 0x80 and 0xFE do not", begin(flags=0x80) + rec(PARAMS, 1) + rec(STDIN, 1), Finish(1),
           begin(flags=0xFE) + rec(PARAMS, 1) + rec(STDIN, 1), events=CLOSED * 2),
    vector("the empty record of an ended stream may come again", HEAD + rec(PARAMS, 1) + BODY + rec(STDIN, 1)
           + rec(PARAMS, 1), events=WHOLE),
    vector("a BEGIN_REQUEST inside a body is body", HEAD + rec(STDIN, 1, simple(2)) + rec(STDIN, 1),
           events=(BEGAN, InputReceived(1, IN, simple(2)), ENDED)),
    vector("one request more than allowed is refused", simple(1) + simple(2) + simple(3), Finish(3), Finish(1),
           simple(3), limits=Limits(requests=2),
           events=(*simple_events(1), *simple_events(2),
                   RequestRefused(3, Refusal.REQUESTS, FULL.format(2)),
                   *simple_events(3))),
    vector("where one is allowed, a second one is multiplexing", simple(1) + simple(2), limits=Limits(requests=1),
           events=(*simple_events(1),
                   RequestRefused(2, Refusal.MULTIPLEXING, FULL.format(1)))),
    vector("more parameters than allowed", begin() + rec(PARAMS, 1, b"\1\1A1") + rec(PARAMS, 1, b"\1\1B2") + HEAD[16:],
           Finish(1), HEAD + BODY, limits=Limits(params=7),
           events=(RequestRefused(1, Refusal.PARAMS, "more than 7 bytes of PARAMS"), *WHOLE)),
    vector("more pairs than allowed", begin() + rec(PARAMS, 1, b"\1\1A1" * 3) + rec(PARAMS, 1), Finish(1), HEAD + BODY,
           limits=Limits(pairs=2),
           events=(RequestRefused(1, Refusal.PARAMS, "more than 2 name-value pairs"), *WHOLE)),
]  # fmt: skip

REQUESTS = [*PARAMETERS, *CONNECTION, *LIFE]
