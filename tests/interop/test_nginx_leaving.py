"""This file holds clients that leave nginx before they have sent or read all, and uploads that penstock refuses."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection

import pytest

from tests.interop.backend import Backend, Gate, start
from tests.interop.nginx import Front, ask
from tests.interop.nginx import start as start_nginx
from tests.processes import PATIENCE

MIB = bytes(1024 * 1024)


def head(method: str, target: str, length: int) -> bytes:
    return f"{method} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode()


@contextmanager
def leaving(port: int, sent: bytes) -> Iterator[socket.socket]:
    """A client that sends this, then does what the block does, then is gone."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE) as client:
        client.sendall(sent)
        yield client


def test_a_client_that_leaves_in_the_middle_of_its_upload(web, front, backend, browser, request):
    target = f"/echo?left-by={request.node.name}"
    with leaving(web.port(front), head("POST", target, len(MIB)) + MIB[: len(MIB) // 2]):
        pass
    if not front.buffered:
        # penstock had begun to receive: it logs a request without a status and calls nobody. Else nginx told nothing.
        line = backend.process.wait_for(request.node.name.replace("[", r"\[").replace("]", r"\]"))
        assert '" - 0B' in line.string
    assert ask(browser, "GET", "/hello")[0].status == 200


def test_a_client_that_leaves_in_the_middle_of_the_response_ends_the_iteration_with_close(
    web, front, backend, browser, request
):
    name = request.node.name.replace("[", "-").replace("]", "")
    with leaving(web.port(front), head("GET", f"/endless?name={name}", 0)) as client:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 ")
    backend.process.wait_for(f"closed {name}$")
    assert ask(browser, "GET", "/hello")[0].status == 200


def test_a_client_that_leaves_while_the_application_works_costs_nothing_but_its_answer(
    web, front, backend, browser, scratch
):
    with Gate(scratch) as gate:
        with leaving(web.port(front), head("GET", f"/wait?gate={gate.path}", 0)):
            gate.arrivals()
        gate.open()
    backend.process.wait_for(f"wait.gate={gate.path}")
    assert ask(browser, "GET", "/hello")[0].status == 200


@pytest.fixture(scope="module")
def strict(lasting, scratch) -> Backend:
    """Takes bodies of at most 1 MiB, and hands them on while they arrive."""
    options = ("--threads", "2", "--max-body", "1m", "--stream-body")
    return start(lasting, *options, bind=(f"unix:{scratch}/strict",))


@pytest.fixture(scope="module")
def strict_web(strict, lasting, scratch, nginx):
    """Every kind of connection to `strict`."""
    folder = scratch / "strict-nginx"
    folder.mkdir()
    kinds = [Front(strict.addresses[0], kept, buffered) for kept in (True, False) for buffered in (True, False)]
    return {(front.kept, front.buffered): front for front in kinds}, start_nginx(lasting, nginx, folder, kinds)


@pytest.mark.parametrize("buffered", [True, False], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "closed"])
class TestStrict:
    """What is not taken, and what is taken piece by piece."""

    def test_a_body_over_the_limit_is_a_413_though_most_of_it_is_still_on_its_way(
        self, strict_web, strict, kept, buffered
    ):
        fronts, web = strict_web
        front = fronts[kept, buffered]
        browser = web.connect(front)
        browser.putrequest("POST", "/echo")
        browser.putheader("Content-Length", str(64 * len(MIB)))
        browser.endheaders()
        browser.send(MIB)
        if buffered:  # nginx asks for the rest before it says anything
            for _ in range(63):
                browser.send(MIB)
        response = browser.getresponse()
        assert response.status == 413
        assert b"413" in response.read()
        browser.close()
        self.check(web, front, strict)

    def test_a_chunked_body_is_a_413_as_soon_as_it_passes_the_limit(self, strict_web, strict, kept, buffered):
        fronts, web = strict_web
        browser = web.connect(fronts[kept, buffered])
        assert ask(browser, "POST", "/echo", iter([MIB, MIB]), Transfer_Encoding="chunked")[0].status == 413
        browser.close()
        self.check(web, fronts[kept, buffered], strict)

    def test_a_client_that_leaves_while_its_body_is_read_ends_the_iteration_with_close(
        self, strict_web, strict, kept, buffered
    ):
        fronts, web = strict_web
        front = fronts[kept, buffered]
        name = f"upload-{kept}-{buffered}"
        with leaving(web.port(front), head("POST", f"/lazily?name={name}", len(MIB)) + MIB[: len(MIB) // 2]):
            pass
        if not buffered:
            strict.process.wait_for(f"closed {name}$")
        self.check(web, front, strict)

    def test_a_body_that_is_read_while_it_arrives_is_the_same(self, strict_web, strict, kept, buffered):
        fronts, web = strict_web
        browser = web.connect(fronts[kept, buffered])
        _, body = ask(browser, "POST", "/echo", MIB)
        assert f'"length": {len(MIB)}'.encode() in body
        _, body = ask(browser, "POST", "/echo", iter([MIB[:5], MIB[:70_000]]), Transfer_Encoding="chunked")
        assert b'"length": 70005' in body
        browser.close()
        self.check(web, fronts[kept, buffered], strict)

    def check(self, web, front: Front, backend: Backend) -> None:
        browser: HTTPConnection = web.connect(front)
        assert ask(browser, "GET", "/hello")[0].status == 200
        browser.close()
        backend.check_sound()
