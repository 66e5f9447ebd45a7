"""Websockets over FastCGI, behind a web server that carries them: the handshake, and messages both ways."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading

import pytest

pytest.importorskip("wsproto")
from wsproto.events import BytesMessage, CloseConnection, TextMessage

from penstock.gateways import asgi_scope
from penstock.testing import build
from tests.processes import PATIENCE
from tests.server.asgi_apps import connect, serving_asgi, wait_forever
from tests.server.websockets import ACCEPT, Told, Visitor, echo, upgrade_params, websocket

pytestmark = pytest.mark.usefixtures("event_loop_kind")


class TestHandshake:
    def test_the_scope_says_what_was_asked(self, sock_dir):
        scopes = []

        @websocket
        async def app(scope, _receive, send):
            scopes.append(scope)
            await send({"type": "websocket.close"})

        with (
            serving_asgi(app, sock_dir, mount="/app") as served,
            Visitor(served, "/app/ws?q=1", SEC_WEBSOCKET_PROTOCOL="chat, superchat", X_A="1") as visitor,
        ):
            assert visitor.handshake().status == 403
        scope = scopes[0]
        assert (scope["type"], scope["scheme"], scope["path"], scope["root_path"], scope["query_string"]) == (
            "websocket",
            "ws",
            "/app/ws",
            "/app",
            b"q=1",
        )
        assert scope["subprotocols"] == ["chat", "superchat"]
        assert (b"x-a", b"1") in scope["headers"]
        assert "method" not in scope
        assert "websocket.http.response" in scope["extensions"]

    def test_an_accept_is_a_101_with_the_answer_to_the_key_and_the_headers_of_the_application(self, sock_dir):
        @websocket
        async def app(_scope, _receive, send):
            headers = [(b"x-b", b"2"), (b"set-cookie", b"a=1")]
            await send({"type": "websocket.accept", "subprotocol": "chat", "headers": headers})

        with serving_asgi(app, sock_dir) as served, Visitor(served, SEC_WEBSOCKET_PROTOCOL="chat") as visitor:
            lines = visitor.handshake().head.split("\r\n")
            assert sorted(lines) == [
                "Connection: Upgrade",
                f"Sec-WebSocket-Accept: {ACCEPT}",
                "Sec-WebSocket-Protocol: chat",
                "Status: 101 Switching Protocols",
                "Upgrade: websocket",
                "set-cookie: a=1",
                "x-b: 2",
            ]
            assert visitor.closed() == (1000, "")
        assert served.log == [("/ws", 101, 4)]

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"SEC_WEBSOCKET_VERSION": "8"}, 426),
            ({"SEC_WEBSOCKET_KEY": "short"}, 400),
            ({"SEC_WEBSOCKET_KEY": "***"}, 400),
            ({"SEC_WEBSOCKET_KEY": ""}, 400),
        ],
    )
    def test_a_handshake_that_is_wrong_is_refused_without_asking_the_application(self, sock_dir, headers, status):
        async def app(scope, *_):
            assert scope["type"] == "lifespan"

        with serving_asgi(app, sock_dir) as served, Visitor(served, **headers) as visitor:
            assert visitor.handshake().status == status
            assert ("Sec-WebSocket-Version: 13" in visitor.head) == (status == 426)

    def test_a_denial_response_is_an_http_response(self, sock_dir):
        @websocket
        async def app(_scope, _receive, send):
            head = {"type": "websocket.http.response.start", "status": 401, "headers": [(b"x-why", b"who")]}
            await send(head)
            await send({"type": "websocket.http.response.body", "body": b"who are ", "more_body": True})
            await send({"type": "websocket.http.response.body", "body": b"you?"})

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            assert visitor.handshake().status == 401
            assert "x-why: who" in visitor.head
            assert visitor.rest == b"who are you?"

    @pytest.mark.parametrize(
        "message",
        [
            {"type": "websocket.accept", "subprotocol": "other"},
            {"type": "websocket.accept", "headers": [(b"Sec-WebSocket-Extensions", b"x")]},
            {"type": "websocket.accept", "headers": [(b"x", b"a\r\nb: c")]},
            {"type": "websocket.send", "text": "too early"},
            {"type": "http.response.start", "status": 200},
            {"type": "websocket.http.response.start", "status": 200},
            None,
        ],
        ids=["subprotocol", "our header", "a line in a header", "send first", "http", "half a denial", "nothing"],
    )
    def test_a_wrong_answer_of_the_application_is_a_500_and_one_line(self, sock_dir, message, caplog):
        @websocket
        async def app(_scope, _receive, send):
            if message is not None:
                await send(message)

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            assert visitor.handshake().status == 500
            assert b"ref" in visitor.rest
        assert len([record for record in caplog.records if record.levelno >= logging.WARNING]) == 1

    def test_the_application_hears_of_a_client_that_leaves_before_the_answer(self, sock_dir):
        told = Told()
        waiting = threading.Event()

        @websocket
        async def app(_scope, receive, send):
            waiting.set()
            told(await receive())
            with pytest.raises(OSError, match="left"):
                await send({"type": "websocket.accept"})

        with serving_asgi(app, sock_dir) as served:
            with Visitor(served):
                assert waiting.wait(PATIENCE)
            assert told.code() == 1006


class TestMessages:
    @pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 3_000_000])
    def test_text_and_bytes_come_back_whole(self, sock_dir, size):
        with serving_asgi(echo, sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send(TextMessage(data="ä" * size))
            assert visitor.text() == "ä" * size
            visitor.send(BytesMessage(data=b"\xff" * size))
            heard = b""
            while True:
                event = visitor.event()
                assert isinstance(event, BytesMessage)
                heard += event.data
                if event.message_finished:
                    break
            assert heard == b"\xff" * size

    def test_a_message_in_fragments_with_a_ping_between_them_is_one_message(self, sock_dir):
        with serving_asgi(echo, sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send(TextMessage(data="one ", message_finished=False))
            assert visitor.ping() == b"?"
            visitor.send(TextMessage(data="two ", message_finished=False), TextMessage(data="three"))
            assert visitor.text() == "one two three"

    def test_fragments_of_every_kind_are_joined(self, sock_dir):
        with serving_asgi(echo, sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake()
            for part in (b"\xc3", b"", b"\xa4", b""):  # a character that is cut in two, and nothing
                opcode = b"\x01" if part == b"\xc3" else b"\x00"
                visitor.send_raw(opcode + bytes([0x80 + len(part)]) + bytes(4) + part)
            visitor.send_raw(b"\x80\x81" + bytes(4) + b"!")
            assert visitor.text() == "ä!"
            for at in range(1000):
                visitor.send(BytesMessage(data=bytes([at % 256]), message_finished=at == 999))
            event = visitor.event()
            assert isinstance(event, BytesMessage)
            assert event.data == bytes(at % 256 for at in range(1000))

    @pytest.mark.parametrize("message", [{}, {"text": None}, {"text": b"bytes"}, {"text": 1}])
    def test_a_message_with_nothing_to_send_is_a_fault_of_the_application(self, sock_dir, message):
        @websocket
        async def app(_scope, _receive, send):
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", **message})

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            assert visitor.handshake().closed() == (1011, "")

    def test_pings_are_answered_while_the_application_does_not_receive(self, sock_dir):
        @websocket
        async def app(_scope, _receive, send):
            await send({"type": "websocket.accept"})
            await wait_forever()

        with serving_asgi(app, sock_dir, graceful_timeout=0.05) as served, Visitor(served) as visitor:
            assert visitor.handshake().ping() == b"?"

    def test_one_task_receives_while_another_accepts(self, sock_dir):
        async def app(scope, receive, send):
            if scope["type"] != "websocket":
                raise NotImplementedError
            await receive()
            task = asyncio.ensure_future(receive())
            await asyncio.sleep(0)
            await send({"type": "websocket.accept"})
            await send({**(await task), "type": "websocket.send"})

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send(TextMessage(data="hello"))
            assert visitor.text() == "hello"

    def test_websockets_and_requests_of_one_loop_do_not_wait_for_each_other(self, sock_dir):
        with serving_asgi(echo, sock_dir) as served:
            visitors = [Visitor(served).handshake() for _ in range(20)]
            for number, visitor in enumerate(visitors):
                visitor.send(TextMessage(data=f"{number}"))
            for number, visitor in reversed(list(enumerate(visitors))):
                assert visitor.text() == f"{number}"
                visitor.send(CloseConnection(code=1000))
                assert isinstance(visitor.event(), CloseConnection)
                visitor.sock.close()

    def test_a_silent_websocket_outlives_the_time_a_request_may_stall(self, sock_dir):
        with serving_asgi(echo, sock_dir, io_timeout=0.1) as served, Visitor(served) as visitor:
            visitor.handshake()
            later = threading.Event()
            loop = served.server.loop
            loop.call_soon_threadsafe(loop.call_later, 0.3, later.set)
            assert later.wait(PATIENCE)
            visitor.send(TextMessage(data="still here"))
            assert visitor.text() == "still here"

    def test_a_client_that_sends_more_than_is_read_has_to_wait_and_loses_nothing(self, sock_dir):
        go = asyncio.Event()
        count, size = 200, 60_000

        @websocket
        async def app(_scope, receive, send):
            await send({"type": "websocket.accept"})
            await go.wait()
            heard = 0
            while heard < count * size:
                heard += len((await receive())["bytes"])
            await send({"type": "websocket.send", "text": str(heard)})

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            frame = visitor.handshake().web.send(visitor.id, visitor.frames.send(BytesMessage(data=b"x" * size)))
            wire = memoryview(frame * count)
            visitor.sock.setblocking(False)
            sent = 0
            try:
                while sent < len(wire):
                    sent += visitor.sock.send(wire[sent:])
            except BlockingIOError:
                pass
            assert sent < len(wire) // 2
            visitor.sock.settimeout(PATIENCE)
            served.server.loop.call_soon_threadsafe(go.set)
            visitor.sock.sendall(wire[sent:])
            assert visitor.text() == str(count * size)


class TestNotCarried:
    @pytest.fixture(autouse=True)
    def untold(self, monkeypatch):
        monkeypatch.setattr(asgi_scope, "_warned", set())

    @pytest.mark.parametrize("at_once", [True, False], ids=["in one write", "in two"])
    def test_a_web_server_that_ends_the_input_gets_a_426_and_the_log_one_line_with_the_cure(
        self, sock_dir, at_once, caplog
    ):
        async def app(scope, *_):
            assert scope["type"] == "lifespan"

        with serving_asgi(app, sock_dir) as served:
            for _ in range(2):
                with connect(served) as peer:
                    params = build.begin() + build.params(upgrade_params())
                    if at_once:
                        peer.send(params + build.stdin(b""))
                    else:
                        peer.send(params).send(build.stdin(b""))
                    found = peer.answer()
                    assert (found.status, found.ended) == (426, True)
                    assert b"does not carry websockets" in found.body
        (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert 'lighttpd from 1.4.74 on can, with "upgrade" => "enable"' in line

    def test_a_handshake_that_has_lost_its_upgrade_is_a_426(self, sock_dir):
        with serving_asgi(echo, sock_dir) as served, Visitor(served, UPGRADE="", CONNECTION="close") as visitor:
            assert visitor.handshake().status == 426

    def test_without_wsproto_it_is_a_426_and_the_log_says_what_to_install(self, sock_dir, monkeypatch, caplog):
        monkeypatch.setitem(sys.modules, "wsproto", None)
        with serving_asgi(echo, sock_dir) as served:
            for _ in range(2):
                with Visitor(served) as visitor:
                    assert visitor.handshake().status == 426
        (line,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert 'pip install "penstock[websocket]"' in line

    @pytest.mark.parametrize("headers", [{"UPGRADE": "h2c", "SEC_WEBSOCKET_KEY": ""}, {"UPGRADE": "h2c"}])
    def test_an_upgrade_to_something_else_is_an_ordinary_request(self, sock_dir, headers):
        with serving_asgi(echo, sock_dir) as served, Visitor(served, **headers) as visitor:
            assert visitor.handshake().status == 200
            assert visitor.rest == b"hello"
