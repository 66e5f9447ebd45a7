"""This file tests SCGI's connection: what it says of a request, what it sends, and when it is over."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.connection.events import InputEnded, InputReceived, RequestBegan, RequestRefused
from penstock.connection.limits import Limits
from penstock.connection.scgi import ScgiConnection
from penstock.connection.state import Refusal
from penstock.protocol.errors import LocalProtocolError, ProtocolError, RemoteProtocolError
from penstock.protocol.scgi import encode_header
from penstock.protocol.spec import RecordType, Role

STDIN = RecordType.STDIN


def header(length: int = 0, **params: str) -> bytes:
    return encode_header([(name.encode(), value.encode()) for name, value in params.items()], length)


def begun(length: str = "0", **params: str) -> RequestBegan:
    pairs = [("CONTENT_LENGTH", length), ("SCGI", "1"), *params.items()]
    return RequestBegan.of(1, Role.RESPONDER, False, pairs)


def test_a_request_without_a_body_is_complete_with_its_header():
    connection = ScgiConnection()
    assert connection.receive_data(header(A="b")) == [begun(A="b"), InputEnded(1, STDIN, True)]
    assert connection.is_open(1)
    assert connection.open_requests == 1
    assert not connection.awaiting_input
    assert not connection.must_close


def test_a_body_comes_piece_by_piece_and_ends_where_its_length_says():
    connection = ScgiConnection()
    assert connection.receive_data(header(6) + b"ab") == [begun("6"), InputReceived(1, STDIN, b"ab")]
    assert connection.awaiting_input
    assert connection.receive_data(b"cd") == [InputReceived(1, STDIN, b"cd")]
    assert connection.receive_data(b"ef") == [InputReceived(1, STDIN, b"ef"), InputEnded(1, STDIN, True)]
    assert not connection.awaiting_input
    assert not connection.input_pending


def test_output_goes_out_as_it_is_and_then_closing_is_ours():
    connection = ScgiConnection()
    connection.receive_data(header())
    assert connection.stdout(1, b"Status: 200 OK\r\n") == b"Status: 200 OK\r\n"
    assert connection.stdout(1, memoryview(b"\r\n")) == b"\r\n"
    assert connection.stderr(1, b"oops") == b""
    assert not connection.must_close
    assert connection.finish(1, b"body") == b"body"
    assert connection.must_close
    assert connection.idle
    assert not connection.input_pending
    assert connection.take_answers() == b""


@pytest.mark.parametrize("call", ["stdout", "stderr", "finish", "drop"])
def test_output_for_a_request_that_is_not_open_is_our_own_mistake(call):
    connection = ScgiConnection()
    arguments = (1,) if call == "drop" else (1, b"x")
    with pytest.raises(LocalProtocolError):
        getattr(connection, call)(*arguments)
    connection.receive_data(header())
    connection.finish(1)
    with pytest.raises(LocalProtocolError):
        getattr(connection, call)(*arguments)
    with pytest.raises(LocalProtocolError):
        connection.refuse(1, Refusal.PARAMS)


def test_an_idle_connection_owes_nothing_and_one_inside_its_header_does():
    connection = ScgiConnection()
    assert connection.idle
    assert not connection.awaiting_input
    assert not connection.must_close
    connection.receive_data(header(A="b")[:5])
    assert not connection.idle
    assert connection.awaiting_input
    assert connection.partial_record
    connection.receive_data(header(A="b")[5:])
    assert not connection.partial_record


def test_ending_before_the_body_is_here_leaves_input_pending():
    for end in ("finish", "drop"):
        connection = ScgiConnection()
        connection.receive_data(header(10) + b"abc")
        getattr(connection, end)(1)
        assert connection.must_close
        assert connection.input_pending


def test_bytes_behind_the_body_belong_to_nothing():
    connection = ScgiConnection()
    events = connection.receive_data(header(2) + b"ab" + header(0))
    assert events == [begun("2"), InputReceived(1, STDIN, b"ab"), InputEnded(1, STDIN, True)]
    assert connection.input_pending
    assert connection.receive_data(b"more") == []
    connection.finish(1)
    assert connection.receive_data(b"still more") == []


@pytest.mark.parametrize("length", ["-1", "", "abc", "1e3", " 5", "99999999999999999999"])
def test_a_length_that_is_no_number_is_left_to_be_judged_above(length):
    content = f"CONTENT_LENGTH\0{length}\0SCGI\x001\0".encode()
    events = ScgiConnection().receive_data(b"%d:%b,body" % (len(content), content))
    assert events == [begun(length), InputEnded(1, STDIN, True)]


def test_the_first_length_counts_and_a_second_one_is_passed_on():
    content = b"CONTENT_LENGTH\x002\0SCGI\x001\0CONTENT_LENGTH\x0030\0"
    events = ScgiConnection().receive_data(b"%d:%b,ab" % (len(content), content))
    assert events[1:] == [InputReceived(1, STDIN, b"ab"), InputEnded(1, STDIN, True)]
    assert isinstance(events[0], RequestBegan)
    assert events[0].pairs[-1] == ("CONTENT_LENGTH", "30")


def test_a_header_over_the_limit_is_refused_and_can_be_answered():
    connection = ScgiConnection(Limits(params=100))
    (event,) = connection.receive_data(b"101:")
    assert isinstance(event, RequestRefused)
    assert event.reason is Refusal.PARAMS
    assert connection.receive_data(b"x" * 200) == []
    assert connection.refuse(1, event.reason, b"431") == b"431"
    assert connection.must_close
    assert connection.input_pending


def test_too_many_pairs_are_refused():
    connection = ScgiConnection(Limits(pairs=2))
    assert connection.receive_data(header())[0] == begun()
    connection = ScgiConnection(Limits(pairs=2))
    (event,) = connection.receive_data(header(A="1"))
    assert isinstance(event, RequestRefused)
    assert event.reason is Refusal.PARAMS


def test_without_the_responder_role_nothing_is_served():
    connection = ScgiConnection(roles=(Role.AUTHORIZER,))
    (event,) = connection.receive_data(header())
    assert isinstance(event, RequestRefused)
    assert event.reason is Refusal.ROLE


def test_after_a_protocol_error_nothing_more_is_parsed():
    connection = ScgiConnection()
    with pytest.raises(RemoteProtocolError):
        connection.receive_data(b"GET / HTTP/1.0\r\n\r\n")
    with pytest.raises(LocalProtocolError):
        connection.receive_data(header())


@given(st.binary(max_size=200), st.lists(st.integers(1, 30), min_size=1, max_size=5))
def test_a_request_may_be_cut_anywhere(body, sizes):
    wire = header(len(body), A="b") + body
    connection = ScgiConnection()
    events: list = []
    at = turn = 0
    while at < len(wire):
        size = sizes[turn % len(sizes)]
        events += connection.receive_data(wire[at : at + size])
        at, turn = at + size, turn + 1
    assert events[0] == begun(str(len(body)), A="b")
    assert events[-1] == InputEnded(1, STDIN, True)
    assert b"".join(event.content for event in events if isinstance(event, InputReceived)) == body
    assert len(events) == 2 + sum(isinstance(event, InputReceived) for event in events)


@given(st.lists(st.binary(max_size=60), max_size=8))
def test_any_bytes_at_all_raise_nothing_but_protocol_errors(pieces):
    connection = ScgiConnection(Limits(params=1000))
    for piece in pieces:
        try:
            connection.receive_data(piece)
        except ProtocolError:
            break
        assert connection.open_requests in (0, 1)
