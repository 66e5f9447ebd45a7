"""This file runs the protocol vectors in one piece and byte by byte; tests/property cuts them at random."""

from __future__ import annotations

import pytest

from penstock.protocol.errors import LocalProtocolError
from penstock.testing import byte_by_byte, whole
from tests.vectors.answers import BAD_ANSWERS, GOOD_ANSWERS
from tests.vectors.faults import FAULTS
from tests.vectors.requests import REQUESTS
from tests.vectors.wire import replay, replay_answer

CUTS = pytest.mark.parametrize("cut", [whole, byte_by_byte])


@CUTS
@pytest.mark.parametrize("vector", REQUESTS, ids=lambda vector: vector.name)
def test_what_a_web_server_may_send_is_understood(vector, cut):
    replay(vector, cut)


@CUTS
@pytest.mark.parametrize("vector", FAULTS, ids=lambda vector: vector.name)
def test_what_no_web_server_may_send_ends_the_connection(vector, cut):
    connection = replay(vector, cut)
    with pytest.raises(LocalProtocolError):
        connection.receive_data(b"\x01")


@CUTS
@pytest.mark.parametrize("answer", GOOD_ANSWERS, ids=lambda answer: answer.name)
def test_what_an_application_may_send_is_understood(answer, cut):
    replay_answer(answer, cut)


@CUTS
@pytest.mark.parametrize("answer", BAD_ANSWERS, ids=lambda answer: answer.name)
def test_what_no_application_may_send_ends_the_connection(answer, cut):
    connection = replay_answer(answer, cut)
    assert not connection.usable
    assert connection.open_requests == 0
    with pytest.raises(LocalProtocolError):
        connection.receive_data(b"\x01")


def test_every_case_of_the_list_has_a_vector():
    named = {vector.name.split()[0] for vector in (*REQUESTS, *FAULTS)}
    # Case 2 is every vector byte by byte.
    assert {str(number) for number in range(1, 26) if number != 2} <= named
