"""This file holds connections to the law that neither the pieces bytes arrive in nor record borders mean anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from penstock.connection.application import ApplicationConnection
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.spec import Role
from penstock.testing import build, joined
from tests.property.strategies import LONG_RUN, contents, cuts, good_requests, pairs, wild_wires
from tests.vectors.answers import BAD_ANSWERS, GOOD_ANSWERS
from tests.vectors.faults import FAULTS
from tests.vectors.requests import REQUESTS
from tests.vectors.wire import replay, replay_answer

pytestmark = LONG_RUN


@given(st.sampled_from([*REQUESTS, *FAULTS]), cuts())
def test_a_vector_means_the_same_however_it_is_cut(vector, cut):
    replay(vector, cut)


@given(st.sampled_from([*GOOD_ANSWERS, *BAD_ANSWERS]), cuts())
def test_an_answer_means_the_same_however_it_is_cut(answer, cut):
    replay_answer(answer, cut)


def learn(connection, pieces):
    """The joined events up to the first fault, and the fault."""
    events = []
    try:
        for piece in pieces:
            events += connection.receive_data(piece)
    except RemoteProtocolError as error:
        return joined(events), str(error)
    return joined(events), None


@given(wild_wires, cuts(), cuts())
def test_any_records_mean_the_same_in_any_two_cuts(wire, one_cut, other_cut):
    one, one_fault = learn(ApplicationConnection(), one_cut(wire))
    other, other_fault = learn(ApplicationConnection(), other_cut(wire))
    # Of two faults that come in one piece, the one a record's header shows is found first.
    assert (one_fault is None) == (other_fault is None)
    if one_fault is None:
        assert one == other


@given(good_requests(), st.lists(st.integers(1, 40), min_size=1), st.lists(st.integers(0, 255), min_size=1), cuts())
def test_a_request_in_other_records_with_any_padding_is_the_same_request(wire, sizes, paddings, cut):
    expected = joined(ApplicationConnection().receive_data(wire))
    again, fault = learn(ApplicationConnection(), cut(build.recut(wire, sizes, paddings)))
    assert fault is None
    assert again == expected


@given(good_requests(), st.integers(0, 255))
def test_a_request_in_records_of_one_byte_is_the_same_request(wire, first_padding):
    expected = joined(ApplicationConnection().receive_data(wire))
    paddings = [(first_padding + step) % 256 for step in range(256)]
    again, fault = learn(ApplicationConnection(), [build.recut(wire, [1], paddings)])
    assert fault is None
    assert again == expected


@given(contents, st.lists(st.integers(1, 40), min_size=1), st.lists(st.integers(0, 255), min_size=1), cuts())
def test_a_response_in_other_records_is_the_same_response(content, sizes, paddings, cut):
    application = ApplicationConnection()
    application.receive_data(build.request())
    wire = application.stderr(1, b"!") + application.finish(1, content)

    def web_server():
        connection = WebServerConnection()
        connection.begin(Role.RESPONDER, [])
        return connection

    expected = joined(web_server().receive_data(wire))
    again, fault = learn(web_server(), cut(build.recut(wire, sizes, paddings)))
    assert fault is None
    assert again == expected


@given(pairs, st.lists(good_requests(), min_size=1, max_size=4))
def test_requests_after_one_another_are_what_each_is_alone(given_pairs, wires):
    connection = ApplicationConnection()
    for wire in (build.request(given_pairs), *wires):
        assert connection.receive_data(wire) == ApplicationConnection().receive_data(wire)
        connection.finish(1)
