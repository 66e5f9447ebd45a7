"""Files that an ASGI application sends by their path (http.response.pathsend)."""

from __future__ import annotations

import logging
import os
import threading

import pytest

from penstock.server.loop_connection import LoopConnection
from tests.processes import PATIENCE
from tests.server.asgi_apps import connect, http_only, serving_asgi
from tests.server.peers import request

pytestmark = pytest.mark.usefixtures("event_loop_kind")


def sender(path, *, status: int = 200, headers=(), before=(), after=()):
    """An application that answers with a file."""

    @http_only
    async def app(scope, _receive, send):
        assert "http.response.pathsend" in scope["extensions"]
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        for message in before:
            await send(message)
        await send({"type": "http.response.pathsend", "path": str(path)})
        for message in after:
            await send(message)

    return app


@pytest.fixture
def file(tmp_path):
    """A file of several pieces, the last of them not full."""
    path = tmp_path / "file.bin"
    path.write_bytes(bytes(range(251)) * 2000)
    return path


def errors(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]


class TestFiles:
    @pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 5_000_000])
    def test_a_file_arrives_whole_with_its_length(self, sock_dir, tmp_path, size):
        path = tmp_path / "file"
        content = os.urandom(size)
        path.write_bytes(content)
        with serving_asgi(sender(path), sock_dir) as served, connect(served) as peer:
            for _ in range(2):
                found = peer.ask()
                assert (found.status, found.body == content) == (200, True)
                assert f"Content-Length: {size}\r\n" in found.head + "\r\n"
        assert served.log == [("/", 200, size)] * 2

    def test_a_length_that_the_application_says_is_held_to(self, sock_dir, file):
        app = sender(file, headers=[(b"content-length", b"1000")])
        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert found.body == file.read_bytes()[:1000]
            assert found.head.lower().count("content-length") == 1

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 304)])
    def test_where_no_body_is_allowed_the_file_stays(self, sock_dir, file, method, status):
        with serving_asgi(sender(file, status=status), sock_dir) as served, connect(served) as peer:
            found = peer.ask(method=method)
            assert (found.status, found.body, found.ended) == (status, b"", True)

    def test_a_client_that_does_not_read_stops_the_reading_of_the_file(self, sock_dir, tmp_path, monkeypatch):
        paused = threading.Event()
        pause = LoopConnection.pause_writing

        def pause_and_tell(connection):
            pause(connection)
            paused.set()

        monkeypatch.setattr(LoopConnection, "pause_writing", pause_and_tell)
        path = tmp_path / "large"
        with path.open("wb") as large:
            large.truncate(64 * 1024 * 1024)
        with serving_asgi(sender(path), sock_dir) as served, connect(served) as peer:
            peer.send(request())
            assert paused.wait(PATIENCE)
            (connection,) = served.server.connections
            (exchange,) = connection.exchanges.values()
            assert exchange.body_length < 1024 * 1024
            assert len(peer.answer().body) == 64 * 1024 * 1024

    def test_a_client_that_leaves_in_the_middle_closes_the_file_and_is_nobodys_fault(self, sock_dir, file, caplog):
        with serving_asgi(sender(file), sock_dir) as served:
            with connect(served) as peer:
                peer.send(request())
                assert peer.chunk()
            with connect(served) as peer:
                assert peer.ask().status == 200
        assert not [link for link in os.listdir("/proc/self/fd") if _target(link) == str(file)]
        assert errors(caplog) == []


def _target(number: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{number}")
    except OSError:
        return ""


class TestFaults:
    @pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "unreadable length"])
    def test_a_file_that_cannot_be_sent_is_a_500_and_one_line(self, sock_dir, tmp_path, file, kind, caplog):
        path, headers = tmp_path / "it", []
        if kind == "folder":
            path.mkdir()
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "unreadable length":
            path, headers = file, [(b"content-length", b"1000000")]
        with serving_asgi(sender(path, headers=headers), sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert (found.status, str(path).encode() in found.body) == (500, False)
            assert peer.ask().status == 500
        assert len(errors(caplog)) == 2

    def test_a_file_after_a_part_of_the_body_breaks_the_response_off(self, sock_dir, file, caplog):
        part = {"type": "http.response.body", "body": b"part", "more_body": True}
        with serving_asgi(sender(file, before=[part]), sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert (found.body, found.ended) == (b"part", False)
        assert len(errors(caplog)) == 1

    def test_a_file_before_the_head_is_a_500(self, sock_dir, file):
        @http_only
        async def app(_scope, _receive, send):
            await send({"type": "http.response.pathsend", "path": str(file)})

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            assert peer.ask().status == 500

    def test_a_body_after_a_file_is_a_fault_and_the_client_has_the_file(self, sock_dir, file, caplog):
        more = {"type": "http.response.body", "body": b"more"}
        with serving_asgi(sender(file, after=[more]), sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert (found.body == file.read_bytes(), found.ended) == (True, True)
        assert ["failed after its response" in line for line in errors(caplog)] == [True]

    def test_a_file_that_shrinks_while_it_is_sent_breaks_the_response_off(self, sock_dir, tmp_path, monkeypatch):
        path = tmp_path / "shrinking"
        path.write_bytes(b"x" * 40_000_000)
        with serving_asgi(sender(path), sock_dir) as served, connect(served) as peer:
            peer.send(request())
            assert peer.chunk()
            os.truncate(path, 1000)
            found = peer.answer()
            assert not found.ended
            assert len(found.output) < 40_000_000
