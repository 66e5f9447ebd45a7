"""This file holds the cases of what arrives at the client, also when one of the two ends too early, and under load."""

from __future__ import annotations

import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

from tests.interop.backend import Gate
from tests.interop.matrix_app import EARLY, FIRST, SECOND
from tests.interop.matrix_case import BYTES, Cases, answered, echoed
from tests.interop.matrix_site import BRIEF, Answer, Box, Site, ask, upload
from tests.interop.unprivileged import reach
from tests.processes import PATIENCE

REFERENCE = re.compile(rb"\b[0-9a-f]{10}\b")

case = Cases()


def asked_for(site: Site, status: str, *headers: str, body: str = "") -> Answer:
    return site.ask("GET", site.url("answer", status=status, header=headers, body=body))


@case("response headers repeated", cookies=["a=1; Path=/", "b=2"], twice=["1", "2"])
def response_headers(site):
    answer = asked_for(site, "200 OK", "Set-Cookie:a=1; Path=/", "Set-Cookie:b=2", "X-Twice:1", "X-Twice:2")
    return {"cookies": answer.lines("Set-Cookie"), "twice": answer.lines("X-Twice")}


@case("response headers of 3.5 KB", status=200, many=37, body="wide")
def response_headers_long(site):
    answer = site.ask("GET", site.url("wide", bytes=3500))
    return {**answered(answer), "many": sum(name.lower().startswith("x-wide-") for name, _ in answer.headers)}


@case("302", status=302, location="/elsewhere?a=b", body="there")
def redirect(site):
    answer = asked_for(site, "302 Found", "Location:/elsewhere?a=b", body="there")
    return {**answered(answer), "location": answer.header("Location")}


@case("201 with Location", status=201, location="/elsewhere", body="made")
def created(site):
    answer = asked_for(site, "201 Created", "Location:/elsewhere", body="made")
    return {**answered(answer), "location": answer.header("Location")}


@case("304", status=304, etag='"x"', body="")
def not_modified(site):
    answer = asked_for(site, "304 Not Modified", 'ETag:"x"')
    return {**answered(answer), "etag": answer.header("ETag")}


@case("413 before 900 KB are read", status=413)
def refused(site):
    return {"status": upload(site, site.url("refuse"), BYTES[:900_000]).status}


@case("2 MB before the body is read", status=200, written=EARLY, received="900000", broken=False)
def eager(site):
    answer = upload(site, site.url("eager"), BYTES[:900_000])
    written = len(answer.body[:EARLY].rstrip(b"0123456789"))
    received = answer.body[EARLY:].decode("latin-1")
    return {"status": answer.status, "written": written, "received": received, "broken": answer.broken}


@case("server-sent events", type="text/event-stream", first_at_once=True, whole=True)
def events(site):
    patience = site.patience("server-sent events")
    request = f"GET {site.url('events', gate='GATE')} HTTP/1.0\r\nHost: localhost\r\n\r\n"
    with Gate(site.scratch) as gate, socket.create_connection(("127.0.0.1", site.port), PATIENCE) as client:
        reach(Path(gate.path))
        client.sendall(request.replace("GATE", gate.path).encode())
        gate.arrivals()
        said = read_until(client, FIRST, patience)
        at_once = FIRST in said
        gate.open()
        said += read_until(client, SECOND, PATIENCE)
    lines = said.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
    types = [line.partition(b":")[2].strip().decode() for line in lines if line.startswith(b"content-type:")]
    return {"type": ", ".join(types), "first_at_once": at_once, "whole": FIRST in said and SECOND in said}


def read_until(sock: socket.socket, word: bytes, patience: float) -> bytes:
    """What arrives until `word` is there, the time is up, or the other end closes."""
    said = b""
    end = time.monotonic() + patience
    while word not in said and (left := end - time.monotonic()) > 0:
        sock.settimeout(left)
        try:
            piece = sock.recv(65536)
        except TimeoutError:
            break
        if not piece:
            break
        said += piece
    return said


@case("client leaves in its upload", word="silence")
def leaves_upload(site):
    with Box(site.scratch) as box:
        head = f"POST {site.url('take', box=box.path)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n\r\n"
        with socket.create_connection(("127.0.0.1", site.port), PATIENCE) as client:
            client.sendall(head.encode() + BYTES[:100_000])
        return {"word": box.word(BRIEF)}


@case("client leaves in the response", word="left")
def leaves_response(site):
    with Box(site.scratch) as box:
        with closing(site.connect()) as connection:
            connection.request("GET", site.url("hose", box=box.path))
            connection.getresponse().read(65536)
        return {"word": box.word()}


@case("client leaves while the application works", interface="asgi", word="told")
def leaves_waiting(site):
    patience = site.patience("client leaves while the application works")
    with Box(site.scratch) as box, Gate(site.scratch) as gate:
        reach(Path(gate.path))
        with closing(site.connect()) as connection:
            connection.request("GET", site.url("leave", gate=gate.path, box=box.path))
            gate.arrivals()
        word = box.word(patience)
        gate.open()
        return {"word": box.word() if word == "silence" else word}


@case("raises before the response", status=500, traceback=False, reference=True)
def raises_before(site):
    answer = site.ask("GET", site.url("early", name="secret"))
    told = b"Traceback" in answer.body or b"secret" in answer.body
    return {"status": answer.status, "traceback": told, "reference": bool(REFERENCE.search(answer.body))}


@case("raises in a response with a length", status=200, broken=True)
def raises_midway(site):
    answer = site.ask("GET", site.url("midway", name="midway"))
    return {"status": answer.status, "broken": answer.broken}


@case("raises in a response without a length", status=200, broken=True)
def raises_midway_chunked(site):
    answer = site.ask("GET", site.url("broken"))
    return {"status": answer.status, "broken": answer.broken}


@case("raises in an unbuffered response", status=200, broken=True)
def raises_midway_unbuffered(site):
    answer = site.ask("GET", site.url("broken", header="X-Accel-Buffering:no"))
    return {"status": answer.status, "broken": answer.broken}


@case("50 requests on a kept connection", statuses=[200], connections=1)
def kept(site):
    statuses, ports = set(), set()
    with closing(site.connect()) as connection:
        for number in range(50):
            body = BYTES[:number] if number % 3 == 1 else None
            answer = ask(connection, "POST" if body else "GET", site.url("echo" if body else "hello"), body)
            right = answer.sent().get("length") == number if body else answer.body == b"hello, world\n"
            statuses.add(answer.status if right else -1)
            if connection.sock is not None:
                ports.add(connection.sock.getsockname()[1])
    return {"statuses": sorted(statuses), "connections": len(ports)}


@case("mixed load of 4 clients", statuses=[200])
def mixed(site):
    def many(_: int) -> set[int]:
        statuses = set()
        with closing(site.connect()) as connection:
            for number in range(8):
                body = BYTES[:150_000] if number % 2 else None
                answer = ask(connection, "POST" if body else "GET", site.url("echo" if body else "hello"), body)
                right = echoed(answer, body)["whole"] if body else answer.body == b"hello, world\n"
                statuses.add(answer.status if right or answer.status >= 500 else -1)
                if answer.status >= 500:
                    connection.close()  # HAProxy closes its own end, and does not say so
        return statuses

    with ThreadPoolExecutor(4) as pool:
        return {"statuses": sorted(set().union(*pool.map(many, range(4))))}
