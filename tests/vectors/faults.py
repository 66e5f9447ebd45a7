"""This file holds what no web server may send, and the words in which an application's connection refuses it."""

from __future__ import annotations

from penstock.connection.events import InputEnded, InputReceived, RequestAborted, RequestBegan
from penstock.protocol.spec import Role
from tests.vectors.requests import BEGAN, BODY, DAT, FILTER, HEAD, HELLO, IN, WHOLE, simple, simple_events
from tests.vectors.wire import (
    ABORT,
    BEGIN,
    DATA,
    END,
    GET_VALUES,
    GET_VALUES_RESULT,
    PARAMS,
    STDERR,
    STDIN,
    STDOUT,
    UNKNOWN_TYPE,
    Finish,
    begin,
    pair,
    rec,
    vector,
)


def broken_pairs(name, block, error="more than its stream holds"):
    """A request whose PARAMS are this; nothing is learnt of it."""
    wire = begin() + rec(PARAMS, 1, block) + rec(PARAMS, 1) + BODY
    return vector(name, wire, error=error)


def wrong_id(kind, name):
    return vector(f"14 {name} with id 0", HEAD, rec(kind, 0, b"\0\1\1\0\0\0\0\0"), events=(BEGAN,),
                  error=f"{name} with request id 0")  # fmt: skip


def from_an_application(kind, name):
    """A record of the other direction, for a request that is open."""
    return vector(f"{name} from a web server", HEAD, rec(kind, 1, b"\0" * 8), events=(BEGAN,),
                  error=f"{name} from a web server for request 1")  # fmt: skip


INSIDE = "cut off inside its lengths"

FAULTS = [
    broken_pairs("11 two lengths of 2 GiB", b"\xff" * 8),
    broken_pairs("11 a long length, and then nothing", b"\x80\0\0\1", INSIDE),
    broken_pairs("11 a name of 127 bytes and a value of 2 GiB", b"\x7f\xff\xff\xff" * 2),
    broken_pairs("11 a value that is one byte short", b"\1\2A1"),
    broken_pairs("11 a name that is one byte short", b"\2\0A"),
    broken_pairs("11 one length alone", b"\1\1A1\5", INSIDE),
    broken_pairs("11 three bytes of a long length", b"\x80\0\0", INSIDE),
    broken_pairs("11 three bytes of the second long length", b"\1\x80\0\0", INSIDE),
    broken_pairs("11 the long form of 0, and then nothing", b"\x80\0\0\0", INSIDE),
    broken_pairs("11 2 GiB of a value announced", pair(b"A", b"1") + b"\1\xff\xff\xff\xffB" + b"x" * 100),
    vector("11 a broken pair in GET_VALUES", rec(GET_VALUES, 0, b"\x05\0F"), error="more than its stream holds"),
    vector("12 version 2", HEAD, rec(STDIN, 1, b"x", version=2) + BODY, events=(BEGAN,), error="version 2"),
    vector("12 version 0", b"\0" * 8, error="version 0"),
    vector("12 HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", error="version 71"),
    vector("13 BEGIN_REQUEST of 7 bytes", rec(BEGIN, 1, b"\0\1\1\0\0\0\0"), error="with 7 bytes"),
    vector("13 BEGIN_REQUEST of 9 bytes", rec(BEGIN, 1, b"\0\1\1\0\0\0\0\0\0"), error="with 9 bytes"),
    vector("13 BEGIN_REQUEST of no bytes", simple(2), rec(BEGIN, 1), events=simple_events(2), error="with 0 bytes"),
    wrong_id(BEGIN, "BEGIN_REQUEST"),
    wrong_id(ABORT, "ABORT_REQUEST"),
    wrong_id(END, "END_REQUEST"),
    wrong_id(PARAMS, "PARAMS"),
    wrong_id(STDIN, "STDIN"),
    wrong_id(STDOUT, "STDOUT"),
    wrong_id(STDERR, "STDERR"),
    wrong_id(DATA, "DATA"),
    *(
        vector(f"a management record ({kind}) with the id of no request", rec(kind, 7), error="have id 0")
        for kind in (GET_VALUES, GET_VALUES_RESULT, UNKNOWN_TYPE)
    ),
    from_an_application(GET_VALUES, "GET_VALUES"),
    from_an_application(GET_VALUES_RESULT, "GET_VALUES_RESULT"),
    from_an_application(UNKNOWN_TYPE, "UNKNOWN_TYPE"),
    from_an_application(END, "END_REQUEST"),
    from_an_application(STDOUT, "STDOUT"),
    from_an_application(STDERR, "STDERR"),
    vector("19 an id begun twice, in its parameters", begin(), begin(), error="which is still open"),
    vector("19 in its body", HEAD + rec(STDIN, 1, b"hello"), begin(), events=(BEGAN, HELLO), error="still open"),
    vector("19 when its input is complete", HEAD + BODY, begin(), events=WHOLE, error="still open"),
    vector("19 when it has been aborted", begin() + rec(ABORT, 1), begin(), events=(RequestAborted(1),),
           error="still open"),
    vector("a body before the parameters have ended", begin() + rec(PARAMS, 1, b"\1\1A1"), rec(STDIN, 1, b"x"),
           error="STDIN for request 1, which stands at PARAMS"),
    vector("the end of a body before the parameters have ended", begin(), rec(STDIN, 1), error="stands at PARAMS"),
    vector("more parameters after their end", HEAD, rec(PARAMS, 1, b"\1\1B2"), events=(BEGAN,),
           error="PARAMS for request 1, which stands at STDIN"),
    vector("more body after its end", HEAD + BODY, rec(STDIN, 1, b"x"), events=WHOLE,
           error="STDIN for request 1, which stands at COMPLETE"),
    vector("more parameters after everything", HEAD + BODY, rec(PARAMS, 1, b"x"), events=WHOLE,
           error="stands at COMPLETE"),
    vector("a Filter's DATA before STDIN", begin(role=3) + rec(PARAMS, 1), rec(DATA, 1, b"x"),
           events=(RequestBegan.of(1, FILTER, True, []),), error="DATA for request 1, which stands at STDIN"),
    vector("a Filter's DATA before PARAMS", begin(role=3), rec(DATA, 1), error="stands at PARAMS"),
    vector("a Filter's STDIN after its end", begin(role=3) + rec(PARAMS, 1) + BODY, rec(STDIN, 1, b"x"),
           events=(RequestBegan.of(1, FILTER, True, []), HELLO, InputEnded(1, IN, False)),
           error="STDIN for request 1, which stands at DATA"),
    vector("a Filter's DATA after its end", begin(role=3) + rec(PARAMS, 1) + BODY + rec(DATA, 1, b"d") + rec(DATA, 1),
           rec(DATA, 1, b"x"), events=(RequestBegan.of(1, FILTER, True, []), HELLO, InputEnded(1, IN, False),
                                       InputReceived(1, DAT, b"d"), InputEnded(1, DAT, True)),
           error="DATA for request 1, which stands at COMPLETE"),
    vector("an Authorizer's parameters after their end", begin(role=2) + rec(PARAMS, 1), rec(PARAMS, 1, b"x"),
           events=(RequestBegan.of(1, Role.AUTHORIZER, True, []),), error="stands at COMPLETE"),
    vector("the second request on a connection is wrong", HEAD + BODY, Finish(1), begin() + rec(STDIN, 1),
           events=WHOLE, error="stands at PARAMS"),
]  # fmt: skip
