"""This file tests the promises of a transport: a simple one keeps them all, and each notices when it is broken."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from penstock.connection.application import ApplicationConnection
from penstock.connection.events import InputEnded, InputReceived, RequestAborted, RequestBegan
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.spec import MPXS_CONNS
from penstock.server.options import ServerOptions
from penstock.server.poller import SelectorsPoller
from penstock.testing import PROMISES, MemoryRequest, check_transport, transport
from tests.testing.servers import serving_threads

FAULTS = {
    "closes always": transport.keeps_a_connection_for_the_next_request,
    "closes never": transport.closes_after_a_request_without_keep_conn,
    "loses big bodies": transport.moves_big_bodies_both_ways,
    "lies": transport.tells_the_truth_about_multiplexing,
    "hears no abort": transport.ends_an_aborted_request,
    "mends broken responses": transport.shows_a_broken_response,
    "believes in the end": transport.never_takes_half_a_body_for_a_whole_one,
    "goes on": transport.closes_on_broken_protocol_and_harms_nobody,
    "takes it to heart": transport.survives_peers_that_vanish,
}


class SimpleTransport:
    """A thread for each connection, a socketpair for each connect; `fault` is what it does wrong."""

    def __init__(self, gateway, fault=""):
        self.gateway = gateway
        self.fault = fault
        self.threads: list[threading.Thread] = []
        self.ends: list[socket.socket] = []
        self.dead = False

    def connect(self):
        if self.fault == "takes it to heart":
            for thread in self.threads:
                thread.join()
        ours, theirs = socket.socketpair()
        self.ends.append(ours)
        if self.dead:
            ours.close()
        else:
            thread = threading.Thread(target=self.converse, args=(ours,), daemon=True)
            self.threads.append(thread)
            thread.start()
        return theirs

    def close(self):
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        for end in self.ends:
            end.close()

    def converse(self, sock):
        with contextlib.suppress(OSError, EOFError):
            self.serve(sock)
        sock.close()

    def serve(self, sock):
        connection = ApplicationConnection(values={MPXS_CONNS: "1"})
        requests: dict[int, RequestBegan] = {}
        bodies: dict[int, bytes] = {}
        while not connection.must_close or self.fault == "closes never":
            data = sock.recv(65536)
            if not data:
                self.dead = self.fault == "takes it to heart" and connection.awaiting_input
                if self.fault == "believes in the end":
                    for request_id in requests:
                        self.answer(sock, connection, requests[request_id], request_id, bodies[request_id])
                return
            try:
                events = connection.receive_data(data)
            except RemoteProtocolError:
                while self.fault == "goes on" and sock.recv(65536):
                    pass
                return
            if answers := connection.take_answers():
                sock.sendall(answers)
            for event in events:
                if isinstance(event, RequestBegan):
                    requests[event.request_id], bodies[event.request_id] = event, b""
                elif isinstance(event, InputReceived):
                    bodies[event.request_id] += event.content
                elif isinstance(event, RequestAborted) and self.fault != "hears no abort":
                    sock.sendall(connection.finish(event.request_id))
                    del requests[event.request_id]
                elif isinstance(event, InputEnded):
                    if self.fault == "lies" and len(requests) > 1 and event.request_id != min(requests):
                        continue
                    began, body = requests.pop(event.request_id), bodies[event.request_id]
                    self.answer(sock, connection, began, event.request_id, body)

    def answer(self, sock, connection, began, request_id, body):
        if self.fault == "loses big bodies":
            body = body[:65536]
        request = MemoryRequest(began.pairs, body)
        self.gateway(request)
        if request.aborted and self.fault != "mends broken responses":
            sock.sendall(connection.stdout(request_id, request.output))
            raise EOFError
        sock.sendall(connection.finish(request_id, request.output))
        if self.fault == "closes always":
            raise EOFError


def simple(fault=""):
    @contextlib.contextmanager
    def serving(gateway):
        made = SimpleTransport(gateway, fault)
        try:
            yield made.connect
        finally:
            made.close()

    return serving


@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_a_simple_transport_keeps_every_promise(promise):
    promise(simple())


def test_all_promises_can_be_checked_at_once():
    check_transport(simple())
    with pytest.raises(AssertionError):
        check_transport(simple("closes always"))


@pytest.mark.parametrize("fault", FAULTS)
def test_each_promise_notices_when_it_is_broken(fault, monkeypatch):
    monkeypatch.setattr(transport, "PATIENCE", 0.3)
    with pytest.raises(AssertionError):
        FAULTS[fault](simple(fault))


def test_there_is_a_fault_for_every_promise():
    assert set(FAULTS.values()) == set(PROMISES)


# One thread alone cannot stream a body and do anything beside it.
@pytest.mark.parametrize(("threads", "stream_body"), [(1, False), (3, False), (3, True)])
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_the_thread_server_keeps_every_promise(promise, threads, stream_body, sock_dir):
    promise(serving_threads(sock_dir, ServerOptions(threads=threads, stream_body=stream_body)))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("promise", PROMISES, ids=lambda promise: promise.__name__)
def test_it_keeps_them_on_the_poller_that_every_system_has(promise, threads, sock_dir):
    poller = SelectorsPoller(threads > 1)
    promise(serving_threads(sock_dir, ServerOptions(threads=threads), poller))
