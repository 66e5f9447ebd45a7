"""This file sends the fuzzer's inputs to a server that runs: it must answer or close, and serve the next one."""

from __future__ import annotations

import select
import socket
from random import Random

from penstock.client import Client
from penstock.protocol.records import RecordReader
from penstock.protocol.spec import RecordType
from tests.fuzz import grammar

PATIENCE = 30.0
FROM_APPLICATIONS = {
    RecordType.STDOUT,
    RecordType.STDERR,
    RecordType.END_REQUEST,
    RecordType.GET_VALUES_RESULT,
    RecordType.UNKNOWN_TYPE,
}


def connect(address: str) -> socket.socket:
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address.removeprefix("unix:"))
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)))


def talk(sock: socket.socket, pieces: list[bytes]) -> tuple[bytes, bool]:
    """Send everything, then the end; return what came, and whether the connection ended in order."""
    sock.setblocking(False)
    waiting = list(reversed(pieces))
    out = b""
    received = bytearray()
    sending = True
    poll = select.poll()
    poll.register(sock)
    while True:
        if sending and not out:
            if waiting:
                out = waiting.pop()
            else:
                sending = False
                try:
                    sock.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # the server has closed already
        poll.modify(sock, select.POLLIN | (select.POLLOUT if sending else 0))
        ready = poll.poll(PATIENCE * 1000)
        if not ready:
            raise AssertionError(f"the server neither answers nor closes for {PATIENCE:g} s")
        try:
            if ready[0][1] & select.POLLOUT and out:
                out = out[sock.send(out) :]
        except OSError:
            sending, out = False, b""
        try:
            data = sock.recv(65536)
        except BlockingIOError:
            continue
        except ConnectionError:
            return bytes(received), False
        if not data:
            return bytes(received), True
        received += data


def check_live(address: str, random: Random, given: grammar.Input) -> None:
    """Send one input on a connection of its own, look at the answers, then ask for something good."""
    with connect(address) as sock:
        received, in_order = talk(sock, grammar.pieces(random, given.wire))
    reader = RecordReader()
    for kind, request_id, _ in reader.feed(received):
        assert kind in FROM_APPLICATIONS, f"a record of type {kind} came back"
        assert request_id == 0 or request_id in given.begun, f"an answer to request {request_id}, which nobody began"
    assert not (in_order and reader.pending), "the connection ended inside a record"
    with Client(address, timeout=PATIENCE) as client:
        response = client.request("GET", "/")
    assert response.status < 500, f"the next request was answered {response.status}"
