"""This file tests what a peer can make a connection hold: what it announces costs nothing, what it sends is bounded."""

from __future__ import annotations

import tracemalloc

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import InputReceived, RequestBegan, RequestRefused
from penstock.connection.limits import DEFAULT_LIMITS, Limits
from penstock.connection.state import Refusal
from penstock.connection.webserver import WebServerConnection
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.spec import RecordType, Role
from penstock.testing import build

MIB = 1024 * 1024
READ = 65536  # what one read of a socket returns at most


def feed(connection: ApplicationConnection, wire: bytes) -> tuple[list, int]:
    """The events, without content, and the most memory that it took at a time, in bytes."""
    events = []
    pieces = [wire[at : at + READ] for at in range(0, len(wire), READ)]
    tracemalloc.start()
    try:
        for piece in pieces:
            events += [event for event in connection.receive_data(piece) if not isinstance(event, InputReceived)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    return events, peak


def params_of(size: int, cut: int) -> bytes:
    """A request with one parameter that makes so many bytes of PARAMS."""
    return build.begin() + build.params({"A": "x" * (size - 6)}, cut=cut) + build.stdin()


def refused(events: list) -> bool:
    return len(events) == 1 and isinstance(events[0], RequestRefused) and events[0].reason is Refusal.PARAMS


def test_200_kb_of_parameters_pass_whole():
    events, _ = feed(ApplicationConnection(), params_of(200_000, 65535))
    assert events[0] == RequestBegan.of(1, Role.RESPONDER, True, [("A", "x" * 199_994)])


@pytest.mark.parametrize("cut", [65535, 1000])
def test_parameters_pass_up_to_the_limit_and_not_one_byte_beyond(cut):
    limits = Limits(params=100_000)
    events, _ = feed(ApplicationConnection(limits), params_of(100_000, cut))
    assert isinstance(events[0], RequestBegan)
    events, _ = feed(ApplicationConnection(limits), params_of(100_001, cut))
    assert refused(events)


@pytest.mark.parametrize("size", [8 * MIB, 16 * MIB])
@pytest.mark.parametrize("cut", [65535, 4096])
def test_8_to_16_mib_of_parameters_are_refused_and_not_held(size, cut):
    events, peak = feed(ApplicationConnection(), params_of(size, cut))
    assert refused(events)
    assert peak < 2 * DEFAULT_LIMITS.params


@pytest.mark.parametrize("cut", [1, 2, 7])
def test_tiny_records_do_not_make_parameters_cost_more(cut):
    connection = ApplicationConnection()
    _, peak = feed(connection, build.begin() + build.params({"A": "x" * (MIB // 4)}, cut=cut, end=False))
    # What one read holds in records comes on top: 7,000 of them, some 150 bytes each.
    assert peak < DEFAULT_LIMITS.params + 1.5 * MIB
    assert connection.open_requests == 1


def test_parameters_of_many_open_requests_are_bounded_together():
    each = MIB // 10
    requests = (
        build.begin(request_id=number) + build.params({"A": "x" * each}, number, end=False) for number in range(1, 101)
    )
    events, peak = feed(ApplicationConnection(), b"".join(requests))
    assert len(events) == 100 - 9
    assert {event.reason for event in events} == {Refusal.PARAMS}
    assert peak < 2 * DEFAULT_LIMITS.params


def test_100_000_pairs_are_refused_before_they_are_built():
    wire = build.begin() + build.params([(f"N{number}", "") for number in range(100_000)])
    events, peak = feed(ApplicationConnection(), wire)
    assert refused(events)
    assert peak < 3 * len(wire)


def test_10_000_pairs_pass_and_one_more_does_not():
    for count, passes in ((10_000, True), (10_001, False)):
        events, _ = feed(ApplicationConnection(), build.begin() + build.params([("", "")] * count))
        assert isinstance(events[0], RequestBegan) is passes
        assert refused(events) is not passes


def test_a_name_of_1_mib_is_over_the_limit():
    events, peak = feed(ApplicationConnection(), build.begin() + build.params({"N" * MIB: ""}))
    assert refused(events)
    assert peak < 2 * DEFAULT_LIMITS.params


@pytest.mark.parametrize(
    "block",
    [b"\x01\xff\xff\xff\xffA", b"\xff\xff\xff\xff\x01", b"\xff" * 8 + b"x" * 1000],
    ids=["value", "name", "both"],
)
def test_2_gib_that_are_announced_are_never_allocated(block):
    wire = build.begin() + build.stream(RecordType.PARAMS, block)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError):
            ApplicationConnection().receive_data(wire)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB // 4


def test_a_body_is_not_held_however_long_it_is():
    body = build.stdin(b"x" * 65528, end=False) * 200
    connection = ApplicationConnection()
    connection.receive_data(build.begin() + build.params())
    events, peak = feed(connection, body)
    assert events == []
    assert peak < MIB


def test_a_record_that_drips_in_costs_little_more_than_its_size():
    connection = ApplicationConnection()
    wire = build.begin() + build.params() + build.record(RecordType.STDIN, 1, b"x" * 65535, padding=255)
    pieces = [wire[at : at + 2] for at in range(0, len(wire), 2)]
    tracemalloc.start()
    try:
        events = [event for piece in pieces for event in connection.receive_data(piece)]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert events[-1] == InputReceived(1, RecordType.STDIN, b"x" * 65535)
    assert peak < MIB


def test_requests_that_are_refused_leave_nothing_behind_once_they_are_answered():
    connection = ApplicationConnection(Limits(requests=1))
    connection.receive_data(build.request())
    for number in range(2, 1000):
        (event,) = connection.receive_data(build.request(request_id=number))
        assert isinstance(event, RequestRefused)
        connection.refuse(number, event.reason)
    assert connection.open_requests == 1
    assert not connection.awaiting_input


def test_a_web_servers_connection_does_not_hold_what_an_application_says():
    connection = WebServerConnection()
    connection.begin(Role.RESPONDER, [])
    piece = build.stream(RecordType.STDOUT, b"x" * 65528, end=False)
    tracemalloc.start()
    try:
        for _ in range(200):
            connection.receive_data(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < MIB
