"""This file uses websockets as Starlette's and FastAPI's documentation shows them, behind one that carries them."""

from __future__ import annotations

import logging
from queue import SimpleQueue

import pytest

pytest.importorskip("wsproto")
pytest.importorskip("starlette")
pytest.importorskip("fastapi")

from fastapi import FastAPI, WebSocket, WebSocketDisconnect, WebSocketException
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, WebSocketRoute
from wsproto.events import CloseConnection, TextMessage

from tests.processes import PATIENCE
from tests.server.asgi_apps import serving_asgi
from tests.server.websockets import Visitor

ended: SimpleQueue[int] = SimpleQueue()


class Shouting(WebSocketEndpoint):
    encoding = "text"

    async def on_receive(self, websocket, data):
        await websocket.send_text(data.upper())

    async def on_disconnect(self, websocket, close_code):
        ended.put(close_code)


async def guarded(websocket):
    await websocket.send_denial_response(PlainTextResponse("no ticket", status_code=402))


async def polite(websocket):
    await websocket.accept(subprotocol="chat")
    async for text in websocket.iter_text():
        await websocket.send_json({"said": text, "url": str(websocket.url)})


app = FastAPI()
crowd: list[WebSocket] = []


@app.websocket("/room/{name}")
async def room(websocket: WebSocket, name: str):
    await websocket.accept()
    crowd.append(websocket)
    try:
        while True:
            text = await websocket.receive_text()
            for other in crowd:
                await other.send_text(f"{name}: {text}")
    except WebSocketDisconnect:
        crowd.remove(websocket)


@app.websocket("/careless")
async def careless(websocket: WebSocket):
    await websocket.accept()
    while True:
        await websocket.receive_text()


@app.websocket("/locked")
async def locked(websocket: WebSocket):
    await websocket.accept()
    raise WebSocketException(code=1008, reason="a wrong key")


site = Starlette(
    routes=[
        WebSocketRoute("/shout", Shouting),
        WebSocketRoute("/guarded", guarded),
        WebSocketRoute("/polite", polite),
        Mount("/api", app),
    ]
)


@pytest.fixture
def served(sock_dir, caplog):
    with serving_asgi(site, sock_dir, mount="/sub") as found:
        yield found
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING] == []


def close(visitor: Visitor, code: int = 1000) -> None:
    visitor.send(CloseConnection(code=code))
    assert isinstance(visitor.event(), CloseConnection)


def test_an_endpoint_is_served_and_hears_of_the_end(served):
    with Visitor(served, "/sub/shout") as visitor:
        visitor.handshake().send(TextMessage(data="hello"))
        assert visitor.text() == "HELLO"
        close(visitor, 1001)
    with Visitor(served, "/sub/shout") as visitor:
        visitor.handshake()
        close(visitor, 4000)
    assert [ended.get(timeout=PATIENCE) for _ in range(2)] == [1001, 4000]


def test_a_handshake_is_denied_with_a_response(served):
    with Visitor(served, "/sub/guarded") as visitor:
        assert visitor.handshake().status == 402
        assert visitor.rest == b"no ticket"


def test_a_path_that_is_not_there_is_a_403(served):
    with Visitor(served, "/sub/nothing") as visitor:
        assert visitor.handshake().status == 403


def test_subprotocol_and_url_are_the_applications(served):
    with Visitor(served, "/sub/polite?q=1", SEC_WEBSOCKET_PROTOCOL="talk, chat") as visitor:
        assert "Sec-WebSocket-Protocol: chat" in visitor.handshake().head
        visitor.send(TextMessage(data="ä"))
        assert visitor.text() == '{"said":"ä","url":"ws://example.org/sub/polite?q=1"}'
        close(visitor)


def test_a_room_of_many_hears_each_of_them(served):
    visitors = [Visitor(served, f"/sub/api/room/{name}").handshake() for name in "abc"]
    # Each has answered once: all three are in the room.
    for name, visitor in zip("abc", visitors, strict=True):
        visitor.send(TextMessage(data="in"))
        while visitor.text() != f"{name}: in":
            pass
    visitors[1].send(TextMessage(data="hello"))
    for visitor in visitors:
        while (text := visitor.text()) != "b: hello":
            assert text.endswith(": in")
    for visitor in visitors:
        close(visitor)
        visitor.sock.close()


def test_a_disconnect_that_nobody_catches_is_no_failure(served):
    with Visitor(served, "/sub/api/careless") as visitor:
        visitor.handshake()
        close(visitor)


def test_an_exception_for_websockets_is_its_code(served):
    with Visitor(served, "/sub/api/locked") as visitor:
        assert visitor.handshake().closed() == (1008, "a wrong key")
