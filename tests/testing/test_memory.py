"""This file tests how a gateway is run without a connection."""

from __future__ import annotations

import pytest

from penstock.gateways.environ import BadRequest
from penstock.gateways.webserver import MalformedHead, cgi_params
from penstock.protocol.spec import Role
from penstock.testing import Aborted, MemoryRequest, run_gateway

HEAD = b"Content-Type: text/plain\r\nStatus: 201 Created\r\n\r\n"


def test_a_gateway_gets_a_request_and_its_answer_is_read():
    def gateway(request):
        request.write(HEAD)
        request.write(memoryview(b"you sent "))
        request.finish(request.stdin.read())

    response = run_gateway(gateway, cgi_params("POST", "/x"), b"this")
    assert (response.status, response.body) == (201, b"you sent this")
    assert response.headers == [("Content-Type", "text/plain")]


def test_parameters_are_made_right_as_a_server_does():
    seen = {}

    def gateway(request):
        seen.update(request.params)
        request.finish(HEAD)

    pairs = [
        ("REQUEST_URI", "/a"),
        ("X", "1"),
        ("X", "2"),
        ("HTTP_COOKIE", "a"),
        ("HTTP_COOKIE", "b"),
        ("HTTP_PROXY", "e"),
    ]
    run_gateway(gateway, pairs, b"12345")
    assert (seen["X"], seen["HTTP_COOKIE"], seen["PATH_INFO"]) == ("2", "a; b", "/a")
    assert "HTTP_PROXY" not in seen
    assert (seen["CONTENT_LENGTH"], seen["FCGI_ROLE"]) == ("5", "RESPONDER")


def test_a_filter_has_a_second_input_and_others_have_not():
    def gateway(request):
        request.finish(HEAD + (b"none" if request.data is None else request.data.read()))

    params = cgi_params("GET", "/")
    assert run_gateway(gateway, params, role=Role.FILTER, data=b"file").body == b"file"
    assert run_gateway(gateway, params, role=Role.FILTER).body == b""
    assert run_gateway(gateway, params).body == b"none"


def test_a_response_that_breaks_off_is_told_apart():
    def gateway(request):
        request.write(HEAD + b"half")
        request.abort()

    with pytest.raises(Aborted, match="after 53 bytes") as caught:
        run_gateway(gateway, cgi_params("GET", "/"))
    assert caught.value.output == HEAD + b"half"


def test_a_gateway_has_to_end_its_response_once():
    params = cgi_params("GET", "/")
    with pytest.raises(AssertionError, match="without ending"):
        run_gateway(lambda request: request.write(HEAD), params)

    def twice(request):
        request.finish(HEAD)
        request.finish()

    with pytest.raises(AssertionError, match="after the end"):
        run_gateway(twice, params)

    def too_late(request):
        request.finish(HEAD)
        request.abort()

    with pytest.raises(AssertionError, match="has ended"):
        run_gateway(too_late, params)


def test_what_is_no_cgi_response_is_refused():
    with pytest.raises(MalformedHead):
        run_gateway(lambda request: request.finish(b"hello"), cgi_params("GET", "/"))


def test_a_request_that_no_server_hands_on_is_not_run():
    with pytest.raises(BadRequest):
        run_gateway(lambda request: request.finish(HEAD), {**cgi_params("GET", "/"), "CONTENT_LENGTH": "+1"})


def test_each_write_can_be_looked_at():
    request = MemoryRequest(cgi_params("GET", "/"))
    request.write(HEAD)
    request.write(b"a")
    request.finish()
    assert request.writes == [HEAD, b"a", b""]
    assert request.output == HEAD + b"a"
    assert (request.ended, request.aborted) == (True, False)
