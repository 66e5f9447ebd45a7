"""This file tests that a Pair carries what is sent, and that it notices when something else arrives."""

from __future__ import annotations

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import InputEnded, InputReceived, OutputReceived
from penstock.connection.limits import Limits
from penstock.protocol.errors import LocalProtocolError
from penstock.protocol.spec import RecordType, Role
from penstock.testing import Pair, byte_by_byte, joined, whole

TRAVELS = pytest.mark.parametrize("travel", [whole, byte_by_byte])
STDIN, DATA, STDOUT, STDERR = RecordType.STDIN, RecordType.DATA, RecordType.STDOUT, RecordType.STDERR


@TRAVELS
def test_a_request_and_its_answer(travel):
    pair = Pair(travel=travel)
    request_id = pair.begin([("A", "1"), ("A", "é")])
    pair.send(request_id, b"hello")
    pair.send(request_id, b"")
    pair.end_input(request_id)
    pair.respond(request_id, b"Status: 200 OK\r\n\r\n")
    pair.respond(request_id, b"oh no", STDERR)
    pair.finish(request_id, b"hello", 3)
    assert pair.web_server.idle
    assert pair.application.idle


@TRAVELS
def test_all_roles_interleaved_on_one_connection(travel):
    pair = Pair(travel=travel)
    responder, authorizer, filters = (pair.begin([("A", role.name)], role) for role in Role)
    pair.send(filters, b"in")
    pair.finish(authorizer)
    pair.end_input(filters, complete=False)
    pair.end_input(responder)
    pair.send(filters, b"file" * 50_000, DATA)
    pair.abort(responder)
    pair.end_input(filters, DATA)
    pair.finish(filters, b"x" * 200_000)
    pair.finish(responder)
    assert (responder, authorizer, filters) == (1, 2, 3)
    assert pair.application.idle


@TRAVELS
def test_questions_are_answered(travel):
    pair = Pair(ApplicationConnection(values={"A": "1", "B": "2"}), travel)
    assert pair.ask_values("B", "C") == {"B": "2"}
    assert pair.ask_unknown(200) == 200


def test_an_event_that_was_not_sent_is_noticed():
    pair = Pair(ApplicationConnection(Limits(params=3)))
    with pytest.raises(AssertionError, match="the application learnt .*RequestRefused"):
        pair.begin([("A", "12345")])
    pair = Pair()
    request_id = pair.begin()
    with pytest.raises(AssertionError, match="the application learnt .*complete=True"):
        pair.end_input(request_id, complete=False)


def test_an_answer_that_loses_something_is_noticed():
    class Forgetful(ApplicationConnection):
        def finish(self, request_id, content=b"", app_status=0):
            return super().finish(request_id, content[1:], app_status)

    pair = Pair(Forgetful())
    request_id = pair.begin()
    with pytest.raises(AssertionError, match="the web server learnt .*b'bc'"):
        pair.finish(request_id, b"abc")


def test_an_illegal_move_is_the_movers_error():
    pair = Pair()
    with pytest.raises(LocalProtocolError):
        pair.send(1, b"x")
    with pytest.raises(LocalProtocolError):
        pair.respond(1, b"x")


def test_only_neighbours_of_one_stream_are_joined():
    a, b, c = (InputReceived(1, STDIN, content) for content in (b"a", b"b", b"c"))
    other = InputReceived(2, STDIN, b"x")
    assert joined([a, b, other, c]) == [InputReceived(1, STDIN, b"ab"), other, c]
    assert joined([a, InputEnded(1, STDIN, True), b]) == [a, InputEnded(1, STDIN, True), b]
    out, err = OutputReceived(1, STDOUT, b"1"), OutputReceived(1, STDERR, b"2")
    assert joined([out, out, err]) == [OutputReceived(1, STDOUT, b"11"), err]
    assert joined([]) == []
