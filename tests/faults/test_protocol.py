"""This file sends a running server what real web servers rarely or never send (T33), and cuts requests anew (T18)."""

from __future__ import annotations

import json
import random

import pytest

from penstock.protocol.params import decode
from penstock.protocol.spec import KEEP_CONN, ProtocolStatus, RecordType, Role
from penstock.testing import build
from tests.faults.measure import scaled
from tests.faults.peer import Peer, params, request
from tests.interop.backend import PLAIN, Gate, start

HELLO = b"hello, world\n"


@pytest.fixture
def backend(processes, sock_dir):
    served = start(processes, "--threads", "2", "--no-access-log", bind=(f"unix:{sock_dir}/app",), app=PLAIN)
    yield served
    served.check_sound()
    assert served.process.stop() == 0


@pytest.fixture
def peer(backend):
    with Peer(backend) as connected:
        yield connected


@pytest.mark.parametrize(
    "sent",
    [
        build.begin() + build.params({"A": "b"}, end=False),
        build.begin() + build.params(params("/echo", "POST", 10)),
        build.begin() + build.params(params("/echo", "POST", 10)) + build.stdin(b"12345", end=False),
    ],
    ids=["within PARAMS", "before STDIN", "within STDIN"],
)
def test_a_request_that_is_aborted_before_it_is_complete_is_ended_and_the_connection_goes_on(peer, sent):
    answer = peer.send(sent, build.abort()).answer()
    assert (answer.stdout, answer.protocol_status) == (b"", ProtocolStatus.REQUEST_COMPLETE)
    assert peer.ask("/hello") == HELLO


def test_a_request_that_is_aborted_while_its_handler_runs_is_ended_without_the_rest(backend, peer, sock_dir):
    with Gate(sock_dir) as gate:
        peer.send(request(f"/stream?gate={gate.path}", request_id=3))
        gate.arrivals()
        kind, number, content = peer.record() or (0, 0, b"")
        assert (kind, number) == (RecordType.STDOUT, 3)
        assert content.endswith(b"first\n")
        # The answer to a question that was sent after the abort says that the abort has been read.
        peer.send(build.abort(3), build.get_values("FCGI_MPXS_CONNS"))
        assert (peer.record() or (0,))[0] == RecordType.GET_VALUES_RESULT
        gate.open()
        assert peer.answer(3).stdout == b""
    assert peer.ask("/hello", request_id=3) == HELLO


def test_an_abort_that_comes_too_late_or_for_nobody_is_ignored(peer):
    assert peer.ask("/hello") == HELLO
    peer.send(build.abort(1), build.abort(77))
    assert peer.ask("/hello") == HELLO


def test_an_abort_right_behind_a_request_that_is_refused_is_ignored(peer):
    too_long = build.params(params("/echo", "POST", 2**40))
    assert peer.send(build.begin(), too_long, build.abort()).answer().status.startswith("413 ")
    assert peer.ask("/hello") == HELLO


def test_records_of_a_request_that_has_ended_or_never_began_are_ignored(peer):
    assert peer.ask("/hello") == HELLO
    peer.send(build.stdin(b"late"), build.params({"A": "b"}, request_id=9), build.data(b"x", request_id=65535))
    assert peer.ask("/hello") == HELLO


@pytest.mark.parametrize(
    "sent",
    [
        build.begin() + build.begin(),
        build.begin(request_id=0),
        build.record(RecordType.BEGIN_REQUEST, 1, b"\0\1\1\0\0\0\0"),
        build.record(RecordType.GET_VALUES, 0, version=2),
        build.begin() + build.record(RecordType.PARAMS, 1, b"\5\5ab") + build.params(),
        build.begin() + build.stdin(b"too early"),
        build.record(RecordType.GET_VALUES, 1),
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
    ids=[
        "an id twice",
        "a request with id 0",
        "BEGIN_REQUEST of 7 bytes",
        "version 2",
        "a pair that runs over the end",
        "STDIN before PARAMS",
        "GET_VALUES with an id",
        "HTTP",
    ],
)
def test_a_peer_that_breaks_the_protocol_is_closed_and_nobody_else_notices(backend, peer, sent):
    with Peer(backend) as other:
        other.send(build.begin(request_id=5), build.params(params("/echo", "POST", 4), 5))
        assert peer.send(sent).closed()
        other.send(build.stdin(b"body", 5))
        assert json.loads(other.answer(5).body)["length"] == 4
    backend.process.wait_for("protocol error")


@pytest.mark.parametrize("role", [0, Role.AUTHORIZER, Role.FILTER, 9, 65535])
def test_a_role_that_is_not_served_is_refused_and_the_connection_goes_on(peer, role):
    whole = build.begin(role) + build.params(params("/hello")) + build.stdin() + build.data()
    answer = peer.send(whole).answer()
    assert (answer.stdout, answer.protocol_status) == (b"", ProtocolStatus.UNKNOWN_ROLE)
    assert peer.ask("/hello") == HELLO


def test_an_unknown_type_is_answered_for_the_connection_and_skipped_in_a_request(peer):
    peer.send(build.record(99, 0, b"what?"))
    assert peer.record() == (RecordType.UNKNOWN_TYPE, 0, b"\x63" + bytes(7))
    peer.send(build.begin(), build.record(99, 1, b"x"), build.params(params("/hello")), build.record(200, 1))
    assert peer.send(build.stdin()).answer().body == HELLO


def test_get_values_is_answered_before_between_and_inside_requests(peer):
    def values(*names: str) -> dict[str, str]:
        kind, request_id, content = peer.send(build.get_values(*names)).record() or (0, 0, b"")
        assert (kind, request_id) == (RecordType.GET_VALUES_RESULT, 0)
        return dict(decode(content))

    known = {"FCGI_MAX_CONNS": "10000", "FCGI_MAX_REQS": "2", "FCGI_MPXS_CONNS": "1"}
    assert values(*known, "FCGI_NO_SUCH_THING") == known
    assert peer.ask("/hello") == HELLO
    assert values("FCGI_NO_SUCH_THING") == {}
    peer.send(build.begin(), build.params(params("/hello")))
    assert values() == {}
    assert values("FCGI_MPXS_CONNS") == {"FCGI_MPXS_CONNS": "1"}
    assert peer.send(build.stdin()).answer().body == HELLO


def test_flags_other_than_keep_conn_mean_nothing_and_without_it_the_server_closes(peer):
    assert peer.send(request("/hello", flags=0x80 | KEEP_CONN)).answer().body == HELLO
    assert peer.send(request("/hello", flags=0xFE)).answer().body == HELLO
    assert peer.closed()


def test_requests_that_are_interleaved_are_told_apart(peer):
    bodies = {number: bytes([number]) * number * 50 for number in (1, 3, 5, 9)}
    for number, body in bodies.items():
        peer.send(build.begin(request_id=number), build.params(params("/echo", "POST", len(body)), number))
    for start_at in range(0, 200, 20):
        for number, body in bodies.items():
            if piece := body[start_at : start_at + 20]:
                peer.send(build.stdin(piece, number, end=False))
    for number, body in bodies.items():
        rest = build.stdin(body[200:], number)
        assert json.loads(peer.send(rest).answer(number).body)["length"] == len(body)


def test_requests_cut_into_records_of_one_byte_with_any_padding_are_answered_as_whole_ones(backend, figure):
    seed = random.randrange(2**32)
    dice = random.Random(seed)
    sent = 0
    wanted = {
        "/hello": b"",
        "/echo": dice.randbytes(5000),
        "/show?" + "x" * 300: b"",
        "/echo?" + "y" * 127: b"\0",
    }
    with Peer(backend) as whole, Peer(backend) as cut:
        for number in range(scaled(12, 200)):
            url, body = dice.choice(list(wanted.items()))
            wire = request(url, body)
            answer = whole.send(wire).answer()
            sizes = (1,) if number % 2 == 0 else [dice.randint(1, 40) for _ in range(31)]
            recut = build.recut(wire, sizes, [dice.randrange(256) for _ in range(251)])
            sent += len(recut)
            assert cut.send(recut).answer() == answer, f"seed {seed}"
            assert answer.status == "200 OK"
    figure(
        "T18: requests cut into records of one byte, answered differently",
        f"0 of {scaled(12, 200)} ({sent >> 10} KiB, seed {seed})",
    )
