"""This file tests a web server's connection: the bytes it makes, and the moves it does not let its own side make."""

from __future__ import annotations

import pytest

from penstock.connection.events import RequestEnded
from penstock.connection.webserver import WebServerConnection
from penstock.protocol import records
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import ProtocolStatus, RecordType, Role
from penstock.testing import build

STDIN, DATA = RecordType.STDIN, RecordType.DATA


def test_a_request_begins_with_begin_params_and_their_end_in_one_piece():
    request_id, wire = WebServerConnection().begin(Role.RESPONDER, [("A", "1"), ("B", "é")])
    assert request_id == 1
    assert wire == bytes.fromhex(
        "0101000100080000 0001010000000000 0104000100080000 01014131 010142e9 0104000100000000"
    )


def test_without_parameters_only_their_end_is_sent():
    assert WebServerConnection().begin(Role.FILTER, [], keep_conn=False) == (
        1,
        bytes.fromhex("0101000100080000 0003000000000000 0104000100000000"),
    )


def test_long_parameters_are_cut_into_records_wherever_it_falls():
    _, wire = WebServerConnection().begin(Role.RESPONDER, [("A", "x" * 100_000), ("B", "y" * 100_000)])
    made = RecordReader().feed(wire)
    assert [len(content) for _, _, content in made] == [8, 65528, 65528, 65528, 200_012 - 3 * 65528, 0]


def test_each_request_gets_the_smallest_free_id():
    connection = WebServerConnection()
    assert [connection.begin(Role.RESPONDER, [])[0] for _ in range(3)] == [1, 2, 3]
    connection.receive_data(records.end_request(2))
    assert [connection.begin(Role.RESPONDER, [])[0] for _ in range(2)] == [2, 4]


def test_an_id_may_be_chosen():
    connection = WebServerConnection()
    assert connection.begin(Role.RESPONDER, [], request_id=65535)[0] == 65535
    assert connection.begin(Role.RESPONDER, [])[0] == 1


@pytest.mark.parametrize("request_id", [0, -1, 65536])
def test_an_id_has_16_bits_and_is_not_0(request_id):
    with pytest.raises(LocalProtocolError, match="no request id"):
        WebServerConnection().begin(Role.RESPONDER, [], request_id=request_id)


def test_when_all_65535_ids_are_in_use_no_request_begins():
    connection = WebServerConnection()
    for request_id in range(1, 65536):
        connection.begin(Role.RESPONDER, [], request_id=request_id)
    with pytest.raises(LocalProtocolError, match="no request id"):
        connection.begin(Role.RESPONDER, [])


def test_an_id_in_use_is_not_begun_again():
    connection = WebServerConnection()
    connection.begin(Role.RESPONDER, [])
    with pytest.raises(LocalProtocolError, match="request 1 is still open"):
        connection.begin(Role.RESPONDER, [], request_id=1)


def test_a_role_that_is_not_in_the_specification_is_not_begun():
    with pytest.raises(LocalProtocolError, match="no role 9"):
        WebServerConnection().begin(9, [])  # type: ignore[arg-type]


@pytest.mark.parametrize("pair", [("A", "\u4e2d"), ("\u4e2d", "A")])
def test_parameters_are_bytes_in_native_strings_and_a_refused_move_changes_nothing(pair):
    connection = WebServerConnection()
    with pytest.raises(LocalProtocolError, match="no byte"):
        connection.begin(Role.RESPONDER, [pair], keep_conn=False)
    assert connection.usable
    assert connection.idle


def test_input_is_sent_stream_by_stream_in_the_order_of_the_role():
    connection = WebServerConnection()
    connection.begin(Role.FILTER, [])
    assert connection.send(1, b"ab") == bytes.fromhex("0105000100020000 6162")
    assert connection.send(1, b"") == b""
    with pytest.raises(LocalProtocolError, match="DATA for request 1, which stands at STDIN"):
        connection.send(1, b"x", DATA)
    assert connection.end_input(1) == bytes.fromhex("0105000100000000")
    with pytest.raises(LocalProtocolError, match="STDIN for request 1, which stands at DATA"):
        connection.send(1, b"x")
    assert connection.send(1, b"c", DATA) == bytes.fromhex("0108000100010000 63")
    assert connection.end_input(1, DATA) == bytes.fromhex("0108000100000000")
    for stream in (STDIN, DATA):
        assert not connection.accepts(1, stream)
        with pytest.raises(LocalProtocolError, match="stands at COMPLETE"):
            connection.end_input(1, stream)


@pytest.mark.parametrize(
    ("role", "stream", "accepted"),
    [
        (Role.RESPONDER, STDIN, True),
        (Role.RESPONDER, DATA, False),
        (Role.AUTHORIZER, STDIN, False),
        (Role.AUTHORIZER, DATA, False),
        (Role.FILTER, STDIN, True),
        (Role.FILTER, DATA, False),
        (Role.FILTER, RecordType.PARAMS, False),
        (Role.FILTER, RecordType.STDOUT, False),
    ],
)
def test_what_may_be_sent_after_the_parameters_depends_on_the_role(role, stream, accepted):
    connection = WebServerConnection()
    connection.begin(role, [])
    assert connection.accepts(1, stream) is accepted
    if not accepted:
        with pytest.raises(LocalProtocolError):
            connection.send(1, b"x", stream)


def test_an_aborted_request_gets_no_more_input_and_no_second_abort_but_still_its_end():
    connection = WebServerConnection()
    connection.begin(Role.RESPONDER, [])
    assert connection.abort(1) == bytes.fromhex("0102000100000000")
    with pytest.raises(LocalProtocolError):
        connection.abort(1)
    with pytest.raises(LocalProtocolError, match="stands at ABORTED"):
        connection.send(1, b"x")
    assert connection.receive_data(records.end_request(1)) == [RequestEnded(1, 0, ProtocolStatus.REQUEST_COMPLETE)]


@pytest.mark.parametrize(
    "move",
    [
        lambda connection: connection.send(1, b"x"),
        lambda connection: connection.end_input(1),
        lambda connection: connection.abort(1),
    ],
)
def test_nothing_is_sent_for_a_request_that_is_not_open(move):
    connection = WebServerConnection()
    with pytest.raises(LocalProtocolError, match="not open"):
        move(connection)
    connection.begin(Role.RESPONDER, [])
    connection.receive_data(records.end_request(1))
    assert not connection.accepts(1)
    with pytest.raises(LocalProtocolError, match="not open"):
        move(connection)


def test_after_a_request_without_keep_conn_no_other_begins():
    connection = WebServerConnection()
    connection.begin(Role.RESPONDER, [], keep_conn=False)
    with pytest.raises(LocalProtocolError, match="no more requests"):
        connection.begin(Role.RESPONDER, [])


def test_get_values_asks_with_empty_values():
    assert WebServerConnection().ask_values(["FCGI_MPXS_CONNS", "X"]) == bytes.fromhex(
        "0109000000140000 0f00 464347495f4d5058535f434f4e4e53 0100 58"
    )


def test_a_record_of_the_future_may_be_tried_and_one_of_today_may_not():
    connection = WebServerConnection()
    assert connection.ask(77, b"x") == bytes.fromhex("014d000000010000 78")
    for kind in RecordType:
        if kind is not RecordType.GET_VALUES:
            with pytest.raises(LocalProtocolError, match=f"{kind.name} asks nothing"):
                connection.ask(kind)


def test_a_question_that_does_not_fit_a_record_leaves_no_answer_owed():
    connection = WebServerConnection()
    with pytest.raises(LocalProtocolError):
        connection.ask_values(["x" * 70_000])
    assert connection.idle


def test_the_connection_is_idle_when_nothing_is_owed_to_us():
    connection = WebServerConnection()
    assert connection.idle
    connection.ask_values(["X"])
    assert not connection.idle
    connection.receive_data(build.record(RecordType.GET_VALUES_RESULT, 0))
    assert connection.idle
    connection.begin(Role.RESPONDER, [])
    assert not connection.idle
    connection.receive_data(records.end_request(1)[:9])
    assert (connection.idle, connection.open_requests) == (False, 1)
    connection.receive_data(records.end_request(1)[9:])
    assert (connection.idle, connection.open_requests) == (True, 0)


def test_the_end_of_the_connection_cuts_off_the_requests_that_are_open():
    connection = WebServerConnection()
    for _ in range(3):
        connection.begin(Role.RESPONDER, [])
    connection.receive_data(records.end_request(2) + b"\x01\x06")
    assert connection.receive_eof() == [1, 3]
    assert connection.receive_eof() == []
    for move in (lambda: connection.begin(Role.RESPONDER, []), lambda: connection.ask_values(["X"])):
        with pytest.raises(LocalProtocolError):
            move()


def test_the_end_of_the_connection_is_in_order_when_nothing_is_open():
    connection = WebServerConnection()
    connection.begin(Role.RESPONDER, [])
    connection.receive_data(records.response(1, b""))
    assert connection.receive_eof() == []


def test_the_end_of_the_connection_inside_a_record_is_not_in_order():
    connection = WebServerConnection()
    connection.receive_data(b"\x01\x0a\x00")
    with pytest.raises(RemoteProtocolError, match="3 bytes into a record"):
        connection.receive_eof()
