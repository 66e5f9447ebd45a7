"""This file holds flup's known faults up to the facade: each was measured on flup, and none may be true here."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack

import pytest

from penstock.client import ConnectionLost
from penstock.compat.flup.server import fcgi, fcgi_fork, fcgi_single
from penstock.protocol.records import Record, parse_end_request, parse_unknown_type
from penstock.protocol.spec import MAX_CONNS, MAX_REQS, MPXS_CONNS, ProtocolStatus, RecordType, Role
from penstock.testing import build
from tests.compat.flup.live import PLAIN, entries, hello, live, show
from tests.server.peers import Gate, begin, request

SERVERS = {"threads": fcgi.WSGIServer, "single": fcgi_single.WSGIServer, "fork": fcgi_fork.WSGIServer}


@pytest.fixture(params=list(SERVERS))
def server_class(request):
    return SERVERS[request.param]


@pytest.fixture
def path(sock_dir):
    return f"{sock_dir}/s"


def test_an_idle_kept_connection_does_not_hold_up_the_end(server_class, path):
    # flup joins its threads, and one of them waits until the web server closes
    server = server_class(hello, bindAddress=path)
    with live(server) as running:
        peer = running.connect()
        assert peer.ask(keep=True).status == 200
        assert running.stop() is False
        assert peer.closed()
        peer.sock.close()


def test_the_socket_is_gone_when_the_server_is(server_class, path):
    with live(server_class(hello, bindAddress=path)):
        assert os.path.exists(path)
    assert os.listdir(os.path.dirname(path)) == []


def test_parameters_may_be_cut_anywhere_between_two_records(server_class, path):
    # flup decodes each record by itself: 5000 bytes sent in records of 1000 made 864 bytes and two junk names
    with live(server_class(show, bindAddress=path)) as running, running.connect() as peer:
        sent = {"REQUEST_METHOD": "GET", "X_LONG": "x" * 5000}
        for number, cut in enumerate([1, 2, 3, 7, 1000, 4096], 1):
            peer.send(build.begin(request_id=number), build.params(sent, number, cut=cut), build.stdin(b"", number))
            found = dict(line.split("=", 1) for line in peer.answer(number).body.decode().splitlines())
            assert found["X_LONG"] == "x" * 5000


def test_more_than_64_kib_of_parameters_arrive(path):
    with live(fcgi.WSGIServer(show, bindAddress=path)) as running, running.client() as client:
        response = client.request("GET", "/", [("X-Long", "x" * 100_000)])
        assert entries(response)["HTTP_X_LONG"] == "x" * 100_000


def test_get_values_is_answered(server_class, path):
    # flup compares names of bytes with names of text, and finds none
    with live(server_class(hello, bindAddress=path)) as running, running.client() as client:
        values = client.values()
        assert set(values) == {MAX_CONNS, MAX_REQS, MPXS_CONNS}
        assert values[MAX_REQS] == str(running.server._threads())
        assert client.values(["FCGI_NONSENSE"]) == {}


def test_an_unknown_record_type_is_answered_and_the_connection_lives(server_class, path):
    with live(server_class(hello, bindAddress=path)) as running, running.connect() as peer:
        record = peer.send(build.record(99, 0, b"?")).record()
        assert record is not None
        assert (record[0], record[1], parse_unknown_type(record[2])) == (RecordType.UNKNOWN_TYPE, 0, 99)
        assert peer.ask().status == 200


def test_the_end_has_status_0_and_the_requests_own_id_behind_the_end_of_stdout(server_class, path):
    with live(server_class(hello, bindAddress=path)) as running, running.connect() as peer:
        peer.send(request(request_id=7))
        records: list[Record] = []
        while not records or records[-1][0] != RecordType.END_REQUEST:
            record = peer.record()
            assert record is not None
            records.append(record)
        assert {number for _, number, _ in records} == {7}
        assert records[-2] == (RecordType.STDOUT, 7, b"")
        assert parse_end_request(records[-1][2]) == (0, ProtocolStatus.REQUEST_COMPLETE)


def test_a_role_that_is_not_served_is_refused(server_class, path):
    with live(server_class(hello, bindAddress=path)) as running, running.connect() as peer:
        peer.send(build.begin(Role.FILTER), build.params({"A": "b"}), build.stdin())
        assert peer.answer().protocol_status == ProtocolStatus.UNKNOWN_ROLE
        assert peer.ask(request_id=2).status == 200


def test_an_abort_ends_a_request_whose_body_has_not_come(server_class, path):
    # in flup the application sits in stdin.read() for ever
    called = []

    def application(environ, start_response):
        called.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    with live(server_class(application, bindAddress=path)) as running, running.connect() as peer:
        peer.send(begin("/aborted", length="100"), build.stdin(b"half", end=False), build.abort())
        assert peer.answer().ended
        assert peer.ask("/next", request_id=2).status == 200
    assert called == ["/next"]


def test_a_peer_that_does_not_close_pins_nobody(server_class, path):
    # flup waits without limit for the web server to close a connection without KEEP_CONN
    with live(server_class(hello, bindAddress=path)) as running, ExitStack() as stack:
        for _ in range(40):
            peer = stack.enter_context(running.connect())
            assert peer.ask(keep=False).status == 200
        assert stack.enter_context(running.connect()).ask().status == 200


def test_a_burst_meets_as_many_threads_as_it_needs(path):
    # flup hands jobs to threads that are busy: 60 requests of 3 s took 6 s
    together = threading.Barrier(60, timeout=20)

    def application(environ, start_response):
        together.wait()
        return hello(environ, start_response)

    with live(fcgi.WSGIServer(application, bindAddress=path, maxThreads=60)) as running, ExitStack() as stack:
        peers = [stack.enter_context(running.connect()).send(request()) for _ in range(60)]
        assert [peer.answer().status for peer in peers] == [200] * 60


def test_more_requests_than_threads_wait_their_turn(path):
    # flup accepts the connection and closes it: the web server sees a reset
    gate = Gate()

    def application(environ, start_response):
        gate()
        return hello(environ, start_response)

    with live(fcgi.WSGIServer(application, bindAddress=path, maxThreads=2)) as running, ExitStack() as stack:
        peers = [stack.enter_context(running.connect()).send(request()) for _ in range(6)]
        gate.arrivals(2)
        gate.open()
        assert [peer.answer().status for peer in peers] == [200] * 6


def test_requests_of_one_connection_run_side_by_side_with_or_without_multiplexed(path):
    gate = Gate()

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            gate()
        return hello(environ, start_response)

    with live(fcgi.WSGIServer(application, bindAddress=path)) as running, running.connect() as peer:
        peer.send(request("/slow", request_id=1))
        gate.arrivals()
        assert peer.ask("/fast", request_id=2).status == 200
        gate.open()
        assert peer.answer(1).status == 200


@pytest.mark.parametrize("options", [{"multithreaded": False}, {}], ids=["multithreaded=False", "single"])
def test_one_request_at_a_time_where_that_was_asked_for(options, path):
    running_now = threading.Semaphore(1)

    def application(environ, start_response):
        assert running_now.acquire(blocking=False), "two at a time"
        start_response("200 OK", PLAIN)
        yield str(environ["wsgi.multithread"])
        running_now.release()

    server_class = fcgi.WSGIServer if options else fcgi_single.WSGIServer
    with live(server_class(application, bindAddress=path, **options)) as running, ExitStack() as stack:
        peers = [stack.enter_context(running.connect()).send(request()) for _ in range(10)]
        assert {peer.answer().body for peer in peers} == {b"False"}


def test_an_application_of_the_forking_server_is_promised_a_process_for_itself(path):
    with live(fcgi_fork.WSGIServer(show, bindAddress=path)) as running, running.client() as client:
        found = entries(client.request("GET", "/"))
        assert (found["wsgi.multithread"], found["wsgi.multiprocess"]) == ("False", "True")


def test_the_allow_list_of_the_environment_is_for_tcp_and_not_for_unix_sockets(path, monkeypatch):
    # flup refuses every unix connection when it is set
    monkeypatch.setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1")
    with live(fcgi.WSGIServer(hello, bindAddress=path)) as running, running.client() as client:
        assert client.request("GET", "/").status == 200
    with live(fcgi.WSGIServer(hello, bindAddress=("127.0.0.1", 0))) as running, running.connect() as peer:
        assert peer.closed()
    monkeypatch.setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1, 127.0.0.1")
    with live(fcgi.WSGIServer(hello, bindAddress=("127.0.0.1", 0))) as running, running.client() as client:
        assert client.request("GET", "/").status == 200


def test_an_exception_before_the_response_is_answered(server_class, path, caplog):
    # flup6 sends nothing at all: it writes the traceback as text to a stream of bytes
    def application(environ, start_response):
        raise LookupError("on purpose")

    with live(server_class(application, bindAddress=path)) as running, running.client() as client:
        assert client.request("GET", "/").status == 500
        assert client.request("GET", "/").status == 500
    assert "on purpose" in caplog.text


def test_an_exception_in_the_middle_of_a_response_can_be_told_from_its_end(server_class, path, caplog):
    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"half"
        raise LookupError("on purpose")

    server = server_class(application, bindAddress=path)
    with live(server) as running, running.client() as client, pytest.raises(ConnectionLost):
        client.request("GET", "/")


def test_the_debug_page_needs_no_module_that_python_has_dropped(path, monkeypatch, caplog):
    # flup's needs cgitb, which is gone in 3.13: the request is never answered
    monkeypatch.setitem(__import__("sys").modules, "cgitb", None)

    def application(environ, start_response):
        raise LookupError("on purpose")

    with live(fcgi.WSGIServer(application, bindAddress=path, debug=True)) as running, running.client() as client:
        response = client.request("GET", "/")
        assert response.status == 500
        assert b"LookupError: on purpose" in response.body


def test_a_client_that_reads_nothing_holds_the_application_back(path):
    given = []

    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        for number in range(256):
            given.append(number)
            yield bytes(1024 * 1024)

    with live(fcgi.WSGIServer(application, bindAddress=path)) as running:
        with running.connect() as peer:
            peer.send(request())
            assert peer.chunk()
        # The peer has left without reading on, and the application stopped within what the socket holds.
        running.stop()
    assert len(given) < 16


def test_a_server_can_run_in_a_thread_that_may_not_set_signal_handlers(server_class, path):
    # flup raises ValueError: signal only works in main thread
    with live(server_class(hello, bindAddress=path)) as running, running.client() as client:
        assert threading.current_thread() is threading.main_thread()
        assert client.request("GET", "/").body == b"hello"
