"""ASGI applications on the event loop: clients that leave, backpressure, lifespan, and the way down."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from penstock.gateways.request import StartupFailed
from penstock.protocol.spec import RecordType
from penstock.testing import build
from tests.processes import PATIENCE
from tests.server.asgi_apps import answer, connect, hello, http_only, read_all, serving_asgi, wait_forever
from tests.server.peers import begin, request

NGINX = {"SERVER_SOFTWARE": "nginx/1.22.1"}

pytestmark = pytest.mark.usefixtures("event_loop_kind")


class TestDisconnect:
    @pytest.mark.parametrize("how", ["close", "abort"])
    def test_the_application_is_told_that_the_client_has_left(self, sock_dir, how):
        told = threading.Event()
        started = threading.Event()

        @http_only
        async def app(_scope, receive, _send):
            await read_all(receive)
            started.set()
            assert (await receive())["type"] == "http.disconnect"
            told.set()

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(request())
            assert started.wait(PATIENCE)
            if how == "close":
                peer.sock.close()
            else:
                peer.send(build.abort())
                assert peer.answer().ended
            assert told.wait(PATIENCE)

    def test_sending_to_a_client_that_has_left_raises_an_oserror(self, sock_dir):
        raised = threading.Event()

        @http_only
        async def app(_scope, receive, send):
            await read_all(receive)
            await receive()
            try:
                await answer(send)
            except OSError:
                raised.set()
                raise

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(request())
            peer.sock.close()
            assert raised.wait(PATIENCE)

    def test_sending_without_ever_waiting_raises_too(self, sock_dir):
        left = threading.Event()
        outcome = []
        done = threading.Event()

        @http_only
        async def app(_scope, receive, send):
            await read_all(receive)
            assert left.wait(PATIENCE)  # the event loop stands still, and cannot notice
            await send({"type": "http.response.start", "status": 200, "headers": []})
            try:
                for _ in range(1000):
                    await send({"type": "http.response.body", "body": bytes(1000), "more_body": True})
                outcome.append("all was taken")
            except OSError:
                outcome.append("raised")
                raise
            finally:
                done.set()

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(request())
            peer.sock.close()
            left.set()
            assert done.wait(PATIENCE)
        assert outcome == ["raised"]

    def test_a_truncated_upload_is_a_disconnect_and_never_a_whole_body(self, sock_dir):
        messages = []
        done = threading.Event()

        @http_only
        async def app(_scope, receive, _send):
            while True:
                messages.append(await receive())
                if messages[-1]["type"] == "http.disconnect":
                    done.set()
                    return

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(begin(length="10"), build.stdin(b"12345", end=False))
            peer.sock.close()
            assert done.wait(PATIENCE)
        assert all(message.get("more_body", True) for message in messages[:-1])


class TestBackpressure:
    def test_an_application_waits_for_a_peer_that_does_not_read(self, sock_dir):
        sent = []
        stuck = threading.Event()
        total = 64 * 1024 * 1024

        @http_only
        async def app(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(total // 65536):
                asyncio.get_running_loop().call_later(0.3, stuck.set)
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
                sent.append(65536)
            await send({"type": "http.response.body"})

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(request())
            assert stuck.wait(PATIENCE)
            assert sum(sent) < 2 * 1024 * 1024
            assert len(peer.answer().body) == total

    def test_one_large_body_is_framed_piece_by_piece(self, sock_dir):
        body = bytes(range(256)) * 20_000

        @http_only
        async def app(_scope, _receive, send):
            await answer(send, body)

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert found.body == body
            assert f"Content-Length: {len(body)}" in found.head

    def test_a_peer_that_takes_nothing_before_it_has_sent_all_gets_a_long_answer_to_a_long_body(self, sock_dir):
        size = 4 * 1024 * 1024

        @http_only
        async def app(_scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"x" * size, "more_body": True})
            await send({"type": "http.response.body", "body": str(len(await read_all(receive))).encode()})

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(begin(length=str(size)), build.stdin(b"x" * size))
            assert peer.answer().body == b"x" * size + str(size).encode()

    @pytest.mark.parametrize("size", [10, 2_000_000])
    def test_behind_nginx_output_waits_for_the_whole_body(self, sock_dir, size):
        begun = threading.Event()

        @http_only
        async def app(_scope, receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            begun.set()
            await send({"type": "http.response.body", "body": b"first ", "more_body": True})
            await send({"type": "http.response.body", "body": str(len(await read_all(receive))).encode()})

        half = b"x" * (size // 2)
        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(begin(length=str(size), extra=NGINX), build.stdin(half, end=False))
            assert begun.wait(PATIENCE)
            record = peer.send(build.get_values("FCGI_MAX_REQS")).record()
            assert record is not None
            assert record[0] == RecordType.GET_VALUES_RESULT, "the response came first"
            peer.send(build.stdin(half))
            assert peer.answer().body == b"first " + str(size).encode()

    def test_behind_nginx_a_whole_answer_does_not_wait_for_the_body(self, sock_dir):
        @http_only
        async def app(_scope, _receive, send):
            await answer(send, b"too large")

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(begin(length="10", extra=NGINX), build.stdin(b"12345", end=False))
            assert peer.answer().body == b"too large"

    def test_a_peer_that_sends_more_than_is_read_has_to_wait(self, sock_dir):
        go = asyncio.Event()
        size = 8 * 1024 * 1024

        @http_only
        async def app(_scope, receive, send):
            await go.wait()
            await answer(send, str(len(await read_all(receive))).encode())

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.sock.setblocking(False)
            wire = memoryview(begin(length=str(size)) + build.stdin(b"x" * size))
            with contextlib.suppress(BlockingIOError):
                while wire:
                    wire = wire[peer.sock.send(wire) :]
            assert len(wire) > size // 2
            peer.sock.settimeout(PATIENCE)
            served.server.loop.call_soon_threadsafe(go.set)
            peer.sock.sendall(wire)
            assert peer.answer().body == str(size).encode()


class TestLifespan:
    def test_what_startup_leaves_in_the_state_reaches_every_request(self, sock_dir):
        seen = []

        async def app(scope, receive, send):
            if scope["type"] == "lifespan":
                assert (await receive())["type"] == "lifespan.startup"
                scope["state"]["db"] = "open"
                await send({"type": "lifespan.startup.complete"})
                assert (await receive())["type"] == "lifespan.shutdown"
                seen.append("shutdown")
                await send({"type": "lifespan.shutdown.complete"})
                return
            seen.append(scope["state"]["db"])
            scope["state"]["db"] = "changed"
            await answer(send)

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.ask()
            peer.ask()
        assert seen == ["open", "open", "shutdown"]

    def test_a_startup_that_fails_serves_nothing(self, sock_dir):
        async def app(_scope, receive, send):
            await receive()
            await send({"type": "lifespan.startup.failed", "message": "no database"})

        with serving_asgi(app, sock_dir) as served:
            served.thread.join(PATIENCE)
            assert isinstance(served.failure, StartupFailed)
            assert "no database" in str(served.failure)

    def test_an_application_that_raises_on_lifespan_is_served(self, sock_dir):
        with serving_asgi(hello, sock_dir) as served, connect(served) as peer:
            assert peer.ask().body == b"hello"


class TestStop:
    def test_running_requests_and_their_background_finish(self, sock_dir):
        running = threading.Event()
        go = asyncio.Event()
        background = threading.Event()

        @http_only
        async def app(_scope, _receive, send):
            running.set()
            await go.wait()
            await answer(send)
            await asyncio.sleep(0)
            background.set()

        with serving_asgi(app, sock_dir) as served, connect(served) as peer, connect(served) as idle:
            peer.send(request())
            assert running.wait(PATIENCE)
            served.server.stop()
            assert idle.record() is None
            served.server.loop.call_soon_threadsafe(go.set)
            assert peer.answer().body == b"hello"
            served.thread.join(PATIENCE)
            assert background.is_set()

    def test_what_takes_longer_than_the_grace_is_cancelled(self, sock_dir):
        running = threading.Event()
        cancelled = threading.Event()

        @http_only
        async def app(*_):
            running.set()
            try:
                await wait_forever()
            finally:
                cancelled.set()

        with serving_asgi(app, sock_dir, graceful_timeout=0.05) as served, connect(served) as peer:
            peer.send(request())
            assert running.wait(PATIENCE)
            served.stop()
            assert cancelled.is_set()

    def test_connections_in_the_backlog_are_answered(self, sock_dir):
        with serving_asgi(hello, sock_dir) as served:
            peers = [connect(served).send(request()) for _ in range(50)]
            served.server.stop()
            assert [peer.answer().body for peer in peers] == [b"hello"] * 50
            for peer in peers:
                peer.sock.close()
