"""This file opens a websocket through lighttpd: from 1.4.74 on it is carried, and an older one gets a 426."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path

import pytest

pytest.importorskip("wsproto")
pytest.importorskip("starlette")
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, TextMessage

from tests.interop import lighttpd as front_server
from tests.interop.backend import start
from tests.processes import PATIENCE
from tests.server.websockets import ACCEPT, KEY

APP = str(Path(__file__).resolve().parent / "starlette_app.py")
CARRIES = (1, 4, 74)
CONFIGURATION = """
fastcgi.server = ( "/" => (( "socket" => "{folder}/app", "check-local" => "disable",
                             "fix-root-scriptname" => "enable", "upgrade" => "enable" )) )
"""
HANDSHAKE = (
    "GET /chat HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Protocol: chat\r\n\r\n"
).encode()


def version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"/([0-9.]+)", said)
    assert found, said
    return tuple(map(int, found[1].split(".")))


def test_a_websocket_is_carried_from_1_4_74_on_and_refused_before(processes, lighttpd, sock_dir):
    backend = start(processes, bind=(f"unix:{sock_dir}/app",), app=APP)
    web = front_server.start(processes, lighttpd, sock_dir, CONFIGURATION.format(folder=sock_dir))
    with socket.create_connection(("127.0.0.1", web.port), PATIENCE) as client:
        client.sendall(HANDSHAKE)
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += client.recv(65536)
        head, _, rest = heard.partition(b"\r\n\r\n")
        if version(lighttpd) < CARRIES:
            assert head.startswith(b"HTTP/1.1 426 ")
            backend.process.wait_for('"upgrade" => "enable"')
        else:
            assert head.startswith(b"HTTP/1.1 101 ")
            assert f"sec-websocket-accept: {ACCEPT}".lower() in head.decode().lower()
            converse(client, rest)
    assert backend.process.stop() == 0


def converse(client: socket.socket, heard: bytes) -> None:
    """A message there and back, and the end."""
    frames = Connection(ConnectionType.CLIENT)
    frames.receive_data(heard)
    client.sendall(frames.send(TextMessage(data="ä" * 100_000)))
    said, code = "", 0
    while not code:
        for event in frames.events():
            if isinstance(event, CloseConnection):
                code = event.code
            elif isinstance(event, TextMessage):
                said += event.data
                if event.message_finished:
                    client.sendall(frames.send(CloseConnection(code=4000)))
        if not code:
            data = client.recv(65536)
            assert data, "the end came without a Close"
            frames.receive_data(data)
    assert said == "yes: " + "ä" * 100_000
    assert code == 4000
