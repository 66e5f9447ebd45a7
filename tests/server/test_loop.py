"""ASGI applications on the event loop: what was asked, what is answered, and what fails."""

from __future__ import annotations

import asyncio

import pytest

from penstock.connection.limits import Limits
from penstock.testing import build
from tests.server.asgi_apps import answer, connect, hello, http_only, read_all, serving_asgi
from tests.server.peers import begin, request

pytestmark = pytest.mark.usefixtures("event_loop_kind")


class TestRequests:
    def test_kept_and_closed_connections_are_answered(self, sock_dir):
        with serving_asgi(hello, sock_dir) as served:
            with connect(served) as peer:
                assert [peer.ask().body for _ in range(3)] == [b"hello"] * 3
            with connect(served) as peer:
                assert peer.ask(keep=False).body == b"hello"
                assert peer.record() is None

    def test_a_single_body_message_gets_its_content_length(self, sock_dir):
        with serving_asgi(hello, sock_dir) as served, connect(served) as peer:
            assert "Content-Length: 5" in peer.ask().head

    def test_the_scope_says_what_was_asked(self, sock_dir):
        scopes = []

        @http_only
        async def app(scope, _receive, send):
            scopes.append(scope)
            await answer(send)

        with serving_asgi(app, sock_dir, mount="/app") as served, connect(served) as peer:
            extra = {
                "SCRIPT_NAME": "",
                "PATH_INFO": "/app/\xc3\xa4 b",
                "REQUEST_URI": "/app/%C3%A4%20b?x=%2F",
                "QUERY_STRING": "x=%2F",
                "HTTP_X_A": "1",
                "HTTP_PROXY": "evil",
                "HTTPS": "on",
                "REMOTE_ADDR": "10.0.0.9",
                "REMOTE_PORT": "4711",
            }
            peer.ask(extra=extra)
        scope = scopes[0]
        assert scope["root_path"] == "/app"
        assert scope["path"] == "/app/ä b"
        assert scope["raw_path"] == b"/app/%C3%A4%20b"
        assert scope["query_string"] == b"x=%2F"
        assert scope["scheme"] == "https"
        assert scope["client"] == ("10.0.0.9", 4711)
        assert (b"x-a", b"1") in scope["headers"]
        assert b"proxy" not in dict(scope["headers"])
        assert scope["method"] == "GET"

    def test_repeated_headers_stay_apart(self, sock_dir):
        scopes = []

        @http_only
        async def app(scope, _receive, send):
            scopes.append(scope)
            await answer(send)

        wire = (
            build.begin(flags=1)
            + build.params(
                {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "PATH_INFO": "/", "HTTP_COOKIE": "a=1"}, end=False
            )
            + build.params({"HTTP_COOKIE": "b=2"})
            + build.stdin(b"")
        )
        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(wire).answer()
        assert [value for name, value in scopes[0]["headers"] if name == b"cookie"] == [b"a=1", b"b=2"]

    def test_the_body_arrives_piece_by_piece_while_the_application_runs(self, sock_dir):
        seen: list[bytes] = []

        @http_only
        async def app(_scope, receive, send):
            message = await receive()
            seen.append(message["body"])
            assert message["more_body"]
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"first", "more_body": True})
            seen.append(await read_all(receive))
            await send({"type": "http.response.body", "body": b"last"})

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(begin(length="10"), build.stdin(b"12345", end=False))
            assert peer.chunk().endswith(b"first")
            peer.send(build.stdin(b"67890"))
            assert peer.answer().output == b"last"
        assert seen == [b"12345", b"67890"]

    def test_requests_of_one_connection_run_side_by_side(self, sock_dir):
        arrived = {"/1": asyncio.Event(), "/3": asyncio.Event()}

        @http_only
        async def app(scope, _receive, send):
            arrived[scope["path"]].set()
            for event in arrived.values():
                await event.wait()
            await answer(send, scope["path"].encode())

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            peer.send(request("/1", request_id=1), request("/3", request_id=3))
            assert peer.answer(3).body == b"/3"
            assert peer.answer(1).body == b"/1"

    @pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
    def test_no_body_leaves_where_none_is_allowed(self, sock_dir, method, status):
        @http_only
        async def app(_scope, _receive, send):
            await answer(send, status=status)

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            found = peer.ask(method=method)
            assert (found.status, found.body, found.ended) == (status, b"", True)

    @pytest.mark.parametrize("length", ["abc", "+10", "1_0"])
    def test_a_length_that_is_no_number_is_a_400_and_the_end_of_the_connection(self, sock_dir, length):
        called = []

        @http_only
        async def app(*_):
            called.append(True)

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            assert peer.ask(method="POST", length=length).status == 400
            assert peer.record() is None
        assert not called

    def test_what_we_answer_ourselves_is_in_the_access_log_with_its_size(self, sock_dir):
        with serving_asgi(hello, sock_dir, max_body=10, limits=Limits(params=2000)) as served, connect(served) as peer:
            pages = [peer.ask("/", b"x" * 11), peer.ask("/", extra={"HTTP_X": "x" * 3000})]
        assert [page.status for page in pages] == [413, 431]
        assert [line[1:] for line in served.log] == [(page.status, len(page.body)) for page in pages]


class TestFailures:
    def test_an_exception_before_the_head_is_a_500_with_a_reference(self, sock_dir):
        @http_only
        async def app(*_):
            raise ValueError("boom")

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert (found.status, b"ref" in found.body, b"boom" in found.body) == (500, True, False)
            assert peer.ask().status == 500

    def test_an_exception_in_the_middle_ends_the_connection_without_end_request(self, sock_dir):
        @http_only
        async def app(_scope, _receive, send):
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"half", "more_body": True})
            raise ValueError

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            found = peer.ask()
            assert found.body == b"half"
            assert not found.ended

    @pytest.mark.parametrize(
        "messages",
        [
            [{"type": "http.response.body", "body": b"x"}],
            [{"type": "nonsense"}],
            [{"type": "http.response.start", "status": 200}] * 2,
            [],
            [{"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\r\nb: c")]}],
        ],
        ids=["body first", "unknown", "two heads", "nothing", "a header with a line in it"],
    )
    def test_messages_out_of_order_are_a_500_and_the_server_lives(self, sock_dir, messages):
        @http_only
        async def app(scope, _receive, send):
            if scope["path"] == "/good":
                await answer(send)
                return
            for message in messages:
                await send(message)

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            assert peer.ask("/bad").status == 500
            assert peer.ask("/good").body == b"hello"

    def test_an_exit_of_the_application_ends_its_request_alone(self, sock_dir):
        @http_only
        async def app(scope, _receive, send):
            if scope["path"] == "/exit":
                raise SystemExit(3)
            await answer(send)

        with serving_asgi(app, sock_dir) as served, connect(served) as peer:
            assert peer.ask("/exit").status == 500
            assert peer.ask("/").body == b"hello"
