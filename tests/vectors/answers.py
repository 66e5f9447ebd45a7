"""This file holds what applications send, right and wrong, and what a web server's connection must make of it.

Requests 1 and 2 are open, and GET_VALUES has been asked once.
"""

from __future__ import annotations

from penstock.connection.events import OutputEnded, OutputReceived, RequestEnded, TypeUnknown, ValuesReceived
from penstock.protocol.spec import ProtocolStatus, RecordType
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
    Answer,
    end_request,
    pair,
    rec,
)

OUT, ERR = RecordType.STDOUT, RecordType.STDERR
DONE = ProtocolStatus.REQUEST_COMPLETE

HELLO = rec(STDOUT, 1, b"hello")
SAID = OutputReceived(1, OUT, b"hello")
END_1 = RequestEnded(1, 0, DONE)

GOOD_ANSWERS = [
    Answer("a whole answer", HELLO + rec(STDOUT, 1) + end_request(1), (SAID, OutputEnded(1, OUT), END_1)),
    Answer("without the empty STDOUT, as old applications do", HELLO + end_request(1), (SAID, END_1)),
    Answer("nothing but its end", end_request(1, 7), (RequestEnded(1, 7, DONE),)),
    Answer("padding, and what is reserved set", rec(STDOUT, 1, b"hel", 255) + rec(STDOUT, 1, b"lo", 1), (SAID,)),
    Answer("records of 65,535 bytes", rec(STDOUT, 1, b"x" * 65535, 255) * 2,
           (OutputReceived(1, OUT, b"x" * 131070),)),
    Answer("STDERR in between", rec(STDERR, 1, b"oh") + HELLO + rec(STDERR, 1, b"!") + rec(STDERR, 1) + end_request(1),
           (OutputReceived(1, ERR, b"oh"), SAID, OutputReceived(1, ERR, b"!"), OutputEnded(1, ERR), END_1)),
    Answer("the empty record of an ended stream may come again", rec(STDOUT, 1) + rec(STDOUT, 1) + rec(STDERR, 1)
           + rec(STDERR, 1) + end_request(1), (OutputEnded(1, OUT), OutputEnded(1, ERR), END_1)),
    Answer("two answers interleaved", HELLO + rec(STDOUT, 2, b"2") + end_request(2) + rec(STDOUT, 1) + end_request(1),
           (SAID, OutputReceived(2, OUT, b"2"), RequestEnded(2, 0, DONE), OutputEnded(1, OUT), END_1)),
    *(Answer(f"refused with {status.name}", end_request(1, 0, status), (RequestEnded(1, 0, status),))
      for status in ProtocolStatus),
    Answer("a protocol status of the future", end_request(1, 0xFFFFFFFF, 9), (RequestEnded(1, 0xFFFFFFFF, 9),)),
    Answer("values", HELLO + rec(GET_VALUES_RESULT, 0, pair(b"FCGI_MPXS_CONNS", b"1"), 7) + rec(STDOUT, 1),
           (SAID, ValuesReceived({"FCGI_MPXS_CONNS": "1"}), OutputEnded(1, OUT))),
    Answer("an application that does not know GET_VALUES", rec(UNKNOWN_TYPE, 0, b"\x09" + b"\xaa" * 7),
           (TypeUnknown(9),)),
    Answer("types of the future are skipped", rec(12, 0, b"x") + rec(0, 1, b"y", 9) + rec(255, 9) + HELLO, (SAID,)),
]  # fmt: skip


def from_a_web_server(kind, name):
    return Answer(f"{name} from an application", HELLO + rec(kind, 1, b"\0\1\1\0\0\0\0\0"), (SAID,),
                  f"{name} from an application for request 1")  # fmt: skip


BAD_ANSWERS = [
    Answer("version 2", HELLO + rec(STDOUT, 1, version=2), (SAID,), "version 2"),
    Answer("HTTP", b"HTTP/1.1 400 Bad Request\r\n", (), "version 72"),
    from_a_web_server(BEGIN, "BEGIN_REQUEST"),
    from_a_web_server(ABORT, "ABORT_REQUEST"),
    from_a_web_server(PARAMS, "PARAMS"),
    from_a_web_server(STDIN, "STDIN"),
    from_a_web_server(DATA, "DATA"),
    Answer("GET_VALUES from an application", HELLO + rec(GET_VALUES, 0), (SAID,), "GET_VALUES from an application"),
    Answer("output for a request that never began", HELLO + rec(STDOUT, 3, b"x"), (SAID,), "request 3, which is not"),
    Answer("output for id 0", rec(STDOUT, 0, b"x"), (), "STDOUT for request 0"),
    Answer("output after the end of its request", end_request(1) + HELLO, (END_1,), "request 1, which is not open"),
    Answer("a request ended twice", end_request(1) * 2, (END_1,), "request 1, which is not open"),
    Answer("output after the end of its stream", HELLO + rec(STDOUT, 1) + HELLO, (SAID, OutputEnded(1, OUT)),
           "STDOUT for request 1 after the end of that stream"),
    Answer("the same on STDERR", rec(STDERR, 1) + rec(STDERR, 1, b"x"), (OutputEnded(1, ERR),), "after the end"),
    Answer("END_REQUEST of 7 bytes", HELLO + rec(END, 1, b"\0" * 7), (SAID,), "with 7 bytes"),
    Answer("UNKNOWN_TYPE of 9 bytes", HELLO + rec(UNKNOWN_TYPE, 0, b"\x09" * 9), (SAID,), "with 9 bytes"),
    Answer("values that nobody asked for", rec(GET_VALUES_RESULT, 0) * 2, (ValuesReceived({}),),
           "GET_VALUES_RESULT though nothing was asked"),
    Answer("UNKNOWN_TYPE unasked", HELLO + rec(GET_VALUES_RESULT, 0) + rec(UNKNOWN_TYPE, 0, b"\x0c" * 8),
           (SAID, ValuesReceived({})), "UNKNOWN_TYPE though nothing was asked"),
    Answer("values with the id of a request", rec(GET_VALUES_RESULT, 1), (), "management records have id 0"),
    Answer("values that are no pairs", rec(GET_VALUES_RESULT, 0, b"\x09\1F"), (), "more than its stream holds"),
]  # fmt: skip
