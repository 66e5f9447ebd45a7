"""Websockets over FastCGI: who may end one, with which code, and what the other side is told."""

from __future__ import annotations

import logging

import pytest

pytest.importorskip("wsproto")
from wsproto.events import BytesMessage, CloseConnection

from penstock.gateways import websocket_session
from tests.processes import PATIENCE
from tests.server.asgi_apps import serving_asgi
from tests.server.websockets import Told, Visitor, listener, websocket

pytestmark = pytest.mark.usefixtures("event_loop_kind")


class TestEnds:
    def test_the_clients_close_is_answered_and_told_to_the_application(self, sock_dir):
        told = Told()
        with serving_asgi(listener(told), sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send(CloseConnection(code=4001, reason="enough"))
            answered = visitor.event()
            assert isinstance(answered, CloseConnection)
            assert answered.code == 4001
            assert told.code() == 4001
            assert told.last["reason"] == "enough"

    @pytest.mark.parametrize("how", ["close", "abort", "stdin"])
    def test_a_client_that_is_gone_without_a_close_is_a_1006(self, sock_dir, how):
        told = Told()
        with serving_asgi(listener(told), sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake()
            if how == "close":
                visitor.sock.close()
            elif how == "abort":
                visitor.sock.sendall(visitor.web.abort(visitor.id))
            else:
                visitor.end_input()
            assert told.code() == 1006
            if how != "close":
                assert visitor.event() is None
                assert visitor.ended

    @pytest.mark.parametrize(
        ("frame", "code"),
        [
            (b"\x81\x05hello", 1002),  # not masked
            (b"\xc1\x80\0\0\0\0", 1002),  # a reserved bit
            (b"\x83\x80\0\0\0\0", 1002),  # an opcode that does not exist
            (b"\x09\x80\0\0\0\0", 1002),  # a ping in fragments
            (b"\x89\xfe\x00\x7e\0\0\0\0", 1002),  # a ping that is too long
            (b"\x80\x80\0\0\0\0", 1002),  # a continuation of nothing
            (b"\x88\x81\0\0\0\0\x03", 1002),  # half a code
            (b"\x88\x82\0\0\0\0\x03\xed", 1002),  # a code that is never sent
            (b"\x81\x82\0\0\0\0\xff\xff", 1007),  # text that is no UTF-8
        ],
        ids=["unmasked", "rsv", "opcode", "fragment", "long", "continuation", "code", "1005", "utf-8"],
    )
    def test_a_frame_that_is_wrong_ends_it_with_a_code_that_says_so(self, sock_dir, frame, code):
        told = Told()
        with serving_asgi(listener(told), sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send_raw(frame)
            assert visitor.closed(answer=False)[0] == code
            assert told.code() == code

    def test_a_message_that_is_too_big_ends_it_with_1009_before_it_is_whole(self, sock_dir, monkeypatch):
        monkeypatch.setattr(websocket_session, "MAX_MESSAGE", 100_000)
        told = Told()
        with serving_asgi(listener(told), sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send(BytesMessage(data=b"x" * 100_000))
            visitor.send_raw(visitor.frames.send(BytesMessage(data=b"x" * 200_000))[:150_000])
            assert visitor.closed(answer=False)[0] == 1009
            assert told.code() == 1009

    @pytest.mark.parametrize(("code", "reason"), [(1000, ""), (4123, "go away")])
    def test_the_applications_close_reaches_the_client_and_sending_after_it_is_a_fault(self, sock_dir, code, reason):
        faults = []

        @websocket
        async def app(_scope, _receive, send):
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": code, "reason": reason})
            try:
                await send({"type": "websocket.send", "text": "more"})
            except RuntimeError as error:
                faults.append(error)

        with serving_asgi(app, sock_dir) as served, Visitor(served, keep=True) as visitor:
            assert visitor.handshake().closed() == (code, reason)
        assert len(faults) == 1

    @pytest.mark.parametrize("code", [1, 999, 1005, 1006, 5000])
    def test_a_code_that_is_never_sent_is_a_fault_of_the_application(self, sock_dir, code):
        @websocket
        async def app(_scope, _receive, send):
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.close", "code": code})

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            assert visitor.handshake().closed() == (1011, "")

    def test_a_client_that_does_not_answer_a_close_is_waited_for_no_longer_than_said(self, sock_dir, monkeypatch):
        monkeypatch.setattr(websocket_session, "CLOSE_WAIT", 0.05)

        @websocket
        async def app(_scope, _receive, send):
            await send({"type": "websocket.accept"})

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            assert visitor.handshake().closed(answer=False) == (1000, "")

    def test_an_exception_is_a_1011_and_one_line(self, sock_dir, caplog):
        @websocket
        async def app(_scope, _receive, send):
            await send({"type": "websocket.accept"})
            raise ValueError("boom")

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            assert visitor.handshake().closed() == (1011, "")
            with Visitor(served) as other:
                assert other.handshake().status == 101
                other.closed()
        lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(lines) == 2
        assert "the application failed on its websocket" in lines[0]

    def test_what_an_application_raises_because_its_client_has_left_is_not_logged(self, sock_dir, caplog):
        @websocket
        async def app(_scope, receive, send):
            await send({"type": "websocket.accept"})
            await receive()
            raise ConnectionAbortedError("as frameworks do")

        with serving_asgi(app, sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake().send(CloseConnection(code=1001))
            assert isinstance(visitor.event(), CloseConnection)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    def test_a_stop_of_the_server_tells_client_and_application_with_1012(self, sock_dir):
        told = Told()
        with serving_asgi(listener(told), sock_dir) as served, Visitor(served) as visitor:
            visitor.handshake()
            served.server.stop()
            assert visitor.closed() == (1012, "the server restarts")
            assert told.code() == 1012
            served.thread.join(PATIENCE)
            assert not served.thread.is_alive()
