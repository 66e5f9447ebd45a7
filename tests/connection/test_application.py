"""This file tests what an application's connection says of itself and what it lets its own side do."""

from __future__ import annotations

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import InputReceived, RequestBegan, RequestRefused
from penstock.connection.limits import Limits
from penstock.connection.state import Refusal
from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import ProtocolStatus, RecordType, Role
from penstock.testing import build

END_1 = "0103000100080000 0000000000000000"
EMPTY_STDOUT = "0106000100000000"


def begun(*requests: bytes, **options) -> ApplicationConnection:
    connection = ApplicationConnection(**options)
    for request in requests:
        connection.receive_data(request)
    return connection


def test_a_response_that_is_ready_leaves_as_one_piece():
    connection = begun(build.request())
    assert connection.finish(1, b"hi", 3) == bytes.fromhex(
        "0106000100020000 6869" + EMPTY_STDOUT + "0103000100080000 0000000300000000"
    )


def test_a_response_without_content_still_ends_its_stream():
    assert begun(build.request()).finish(1) == bytes.fromhex(EMPTY_STDOUT + END_1)


def test_a_long_response_is_split_and_an_answer_has_the_id_of_its_request():
    connection = begun(build.request(request_id=0x1234))
    content = bytes(range(256)) * 1000
    made = RecordReader().feed(connection.stdout(0x1234, content) + connection.finish(0x1234, content))
    assert {request_id for _, request_id, _ in made} == {0x1234}
    assert b"".join(piece for kind, _, piece in made if kind == RecordType.STDOUT) == content * 2
    assert [kind for kind, _, _ in made[-2:]] == [RecordType.STDOUT, RecordType.END_REQUEST]
    assert made[-2][2] == b""


def test_stderr_and_stdout_carry_nothing_where_there_is_nothing():
    connection = begun(build.request())
    assert connection.stdout(1, b"") == connection.stderr(1, b"") == b""
    assert connection.stderr(1, b"!") == bytes.fromhex("0107000100010000 21")


@pytest.mark.parametrize(
    ("reason", "status"),
    [
        (Refusal.ROLE, ProtocolStatus.UNKNOWN_ROLE),
        (Refusal.MULTIPLEXING, ProtocolStatus.CANT_MPX_CONN),
        (Refusal.REQUESTS, ProtocolStatus.OVERLOADED),
        (Refusal.PARAMS, ProtocolStatus.REQUEST_COMPLETE),
    ],
)
def test_a_refusal_carries_its_status_and_ends_the_request(reason, status):
    connection = begun(build.request())
    assert connection.refuse(1, reason) == bytes.fromhex(f"0103000100080000 00000000{int(status):02x}000000")
    assert connection.open_requests == 0


def test_a_refusal_may_have_a_response_before_it():
    connection = begun(build.request())
    assert connection.refuse(1, Refusal.PARAMS, b"no") == bytes.fromhex("0106000100020000 6e6f" + EMPTY_STDOUT + END_1)


@pytest.mark.parametrize(
    "move",
    [
        lambda connection: connection.stdout(1, b"x"),
        lambda connection: connection.stderr(1, b"x"),
        lambda connection: connection.finish(1),
        lambda connection: connection.refuse(1, Refusal.ROLE),
        lambda connection: connection.drop(1),
    ],
)
def test_nothing_can_be_said_about_a_request_that_is_not_open(move):
    for connection in (ApplicationConnection(), begun(build.request(request_id=2)), begun(build.request())):
        if connection.is_open(1):
            connection.finish(1)
        with pytest.raises(LocalProtocolError, match="request 1 is not open"):
            move(connection)


def test_a_request_is_open_from_its_begin_to_our_end():
    connection = ApplicationConnection()
    assert connection.idle
    connection.receive_data(build.begin())
    assert connection.is_open(1)
    assert not connection.idle
    connection.receive_data(build.params() + build.stdin())
    assert (connection.is_open(1), connection.open_requests) == (True, 1)
    connection.finish(1)
    assert connection.idle


def test_part_of_a_record_means_that_the_peer_owes_the_rest():
    connection = begun(build.begin()[:7])
    assert connection.awaiting_input
    assert not connection.idle


@pytest.mark.parametrize("role", list(Role))
def test_the_peer_owes_input_until_the_last_stream_of_the_role_has_ended(role):
    connection = begun(build.begin(role))
    assert connection.awaiting_input
    ends = {
        Role.RESPONDER: (build.params(), build.stdin()),
        Role.AUTHORIZER: (build.params(),),
        Role.FILTER: (build.params(), build.stdin(), build.data()),
    }[role]
    for end in ends:
        assert connection.awaiting_input
        connection.receive_data(end)
    assert not connection.awaiting_input


@pytest.mark.parametrize("how", ["abort", "finish", "refuse"])
def test_nothing_more_is_owed_for_a_request_that_is_over(how):
    connection = begun(build.begin() + build.params())
    if how == "abort":
        connection.receive_data(build.abort())
    elif how == "finish":
        connection.finish(1)
    else:
        connection.refuse(1, Refusal.PARAMS)
    assert not connection.awaiting_input


def test_nothing_more_is_owed_for_a_request_that_is_refused_though_it_is_still_open():
    connection = begun(build.begin(role=9))
    assert connection.is_open(1)
    assert not connection.awaiting_input


def test_closing_is_ours_after_a_request_without_keep_conn_and_not_before():
    connection = begun(build.request(flags=0))
    assert not connection.must_close
    connection.finish(1)
    assert connection.must_close


def test_closing_waits_for_the_other_requests_of_the_connection():
    connection = begun(build.request(flags=0), build.request(request_id=3))
    connection.finish(1)
    assert not connection.must_close
    connection.finish(3)
    assert connection.must_close


def test_a_kept_connection_is_not_ours_to_close():
    connection = begun(build.request())
    connection.finish(1)
    assert not connection.must_close


@pytest.mark.parametrize(
    ("sent", "pending"),
    [
        (build.request(body=b"x"), False),
        (build.begin() + build.params(), True),
        (build.begin(Role.AUTHORIZER) + build.params(), True),
        (build.begin() + build.abort(), True),
    ],
)
def test_input_may_be_on_its_way_unless_all_of_it_came_before_the_end(sent, pending):
    connection = begun(sent)
    connection.finish(1)
    assert connection.input_pending is pending


def test_only_the_roles_that_are_served_are_handed_on():
    connection = ApplicationConnection(roles={Role.AUTHORIZER})
    events = connection.receive_data(build.request() + build.request(role=Role.AUTHORIZER, request_id=2))
    assert events == [
        RequestRefused(1, Refusal.ROLE, "role 1 is not served here"),
        RequestBegan.of(2, Role.AUTHORIZER, True, []),
    ]


def test_the_answer_to_get_values_is_taken_once():
    connection = begun(build.get_values("FCGI_MPXS_CONNS"), values={"FCGI_MPXS_CONNS": "1"})
    assert connection.take_answers() == bytes.fromhex("010a000000120000 0f01 464347495f4d5058535f434f4e4e53 31")
    assert connection.take_answers() == b""


def test_without_values_get_values_is_answered_with_none():
    assert begun(build.get_values("FCGI_MAX_CONNS")).take_answers() == bytes.fromhex("010a000000000000")


def test_what_came_with_a_fault_is_not_handed_out_and_nothing_after_it_is_parsed():
    connection = ApplicationConnection()
    with pytest.raises(RemoteProtocolError):
        connection.receive_data(build.request() + build.record(5, 1, b"more") + build.request(request_id=2))
    with pytest.raises(LocalProtocolError):
        connection.receive_data(build.request(request_id=3))


def test_parameters_of_all_requests_count_together_and_stop_counting_when_they_are_decoded():
    connection = ApplicationConnection(limits=Limits(params=10))
    six = build.record(RecordType.PARAMS, 1, b"\1\3Aabc")
    connection.receive_data(build.begin() + six + build.begin(request_id=2))
    (refused,) = connection.receive_data(build.record(RecordType.PARAMS, 2, b"\1\3Aabc"))
    assert refused == RequestRefused(2, Refusal.PARAMS, "more than 10 bytes of PARAMS")
    (began,) = connection.receive_data(build.record(RecordType.PARAMS, 1))
    assert began == RequestBegan.of(1, Role.RESPONDER, True, [("A", "abc")])
    again = connection.receive_data(build.begin(request_id=3) + build.params({"A": "abcdefg"}, 3))
    assert again == [RequestBegan.of(3, Role.RESPONDER, True, [("A", "abcdefg")])]


@pytest.mark.parametrize("how", ["abort", "drop", "refuse"])
def test_parameters_that_are_given_up_stop_counting(how):
    connection = ApplicationConnection(limits=Limits(params=10))
    for _ in range(5):
        connection.receive_data(build.begin() + build.params({"A": "abcdefg"}, end=False))
        if how == "abort":
            connection.receive_data(build.abort())
            connection.finish(1)
        elif how == "drop":
            connection.drop(1)
        else:
            connection.receive_data(build.record(RecordType.PARAMS, 1, b"x"))
            connection.refuse(1, Refusal.PARAMS)
    assert len(connection.receive_data(build.request({"A": "abcdefg"}))) == 2


def test_a_body_is_handed_on_as_it_comes_and_not_kept():
    connection = begun(build.begin() + build.params())
    piece = build.stdin(b"x" * 100, end=False)
    assert connection.receive_data(piece * 2) == [InputReceived(1, RecordType.STDIN, b"x" * 100)] * 2
    assert not connection.idle
