"""A websocket in memory: whatever a client sends, and in whatever pieces, is no fault of the application's or ours."""

from __future__ import annotations

import asyncio
import logging
import struct

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("wsproto")

from penstock.gateways.asgi import ASGIGateway
from penstock.gateways.webserver import cgi_params
from tests.gateways.asgi_runs import MemoryRequest

MASK = b"\x12\x34\x56\x78"
HEADERS = {
    "HTTP_UPGRADE": "websocket",
    "HTTP_CONNECTION": "Upgrade",
    "HTTP_SEC_WEBSOCKET_VERSION": "13",
    "HTTP_SEC_WEBSOCKET_KEY": "c2l4dGVlbiBieXRlcyBvaw==",
}


class Upgraded(MemoryRequest):
    """A request whose web server carries the websocket; the client has gone when all was read."""

    async def upgrade(self) -> bool:
        return True


def frame(opcode: int, payload: bytes, *, final: bool = True, mask: bytes = MASK) -> bytes:
    """One frame, as clients send it."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
    return bytes([opcode | (0x80 if final else 0)]) + length + mask + masked


def converse(pieces: list[bytes]) -> tuple[list[dict], Upgraded]:
    """What an application that reads to the end was told, and the request."""
    told: list[dict] = []

    async def app(_scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        while not told or told[-1]["type"] == "websocket.receive":
            told.append(await receive())

    async def main() -> Upgraded:
        request = Upgraded(cgi_params("GET", "/") | HEADERS, pieces)
        await ASGIGateway(app, new_reference=lambda: "ref")(request)
        return request

    return told, asyncio.run(main())


frames = st.builds(
    frame,
    st.sampled_from([0, 1, 2, 8, 9, 10]),
    st.binary(max_size=130) | st.text(max_size=40).map(str.encode),
    final=st.booleans(),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([b"\x88\x80" + MASK])
@example([b"\x00" * 20])
@example([frame(1, b"\xc3", final=False), frame(0, b"\xa4")])
@given(st.lists(frames | st.binary(min_size=1, max_size=20), max_size=8))
def test_whatever_a_client_sends_ends_in_a_disconnect_and_in_no_error(caplog, pieces):
    caplog.clear()
    told, request = converse(pieces)
    assert told[-1]["type"] == "websocket.disconnect"
    assert 1000 <= told[-1]["code"] <= 4999
    assert request.ended == "finished"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@given(st.lists(st.binary(max_size=300) | st.text(max_size=200), min_size=1, max_size=5), st.data())
def test_messages_are_the_same_in_whatever_pieces_they_arrive(messages, data):
    wire = b"".join(
        frame(1, message.encode()) if isinstance(message, str) else frame(2, message) for message in messages
    )
    cuts = sorted(data.draw(st.lists(st.integers(1, len(wire)), max_size=10)))
    pieces = [piece for piece in (wire[a:b] for a, b in zip([0, *cuts], [*cuts, len(wire)], strict=True)) if piece]
    told, _ = converse(pieces)
    assert [message.get("text", message.get("bytes")) for message in told[:-1]] == messages
    assert told[-1]["code"] == 1006
