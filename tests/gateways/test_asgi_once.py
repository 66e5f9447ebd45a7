"""This file tests an async application that runs for one request, as a blocking gateway: lifespan, body and answer."""

from __future__ import annotations

import asyncio
import io

import pytest

from penstock.gateways.asgi_once import ASGIOnce
from penstock.gateways.cgi import CGIRequest, run_cgi
from penstock.gateways.request import Disconnected, StartupFailed
from tests.gateways.responses import parse

POST = {"REQUEST_METHOD": "POST", "SCRIPT_NAME": "/a.cgi", "PATH_INFO": "/x", "HTTP_X_A": "a", "CONTENT_LENGTH": "5"}


def run(app, environ=POST, body: bytes = b"hello") -> tuple[int, bytes]:
    stdout = io.BytesIO()
    return run_cgi(ASGIOnce(app, new_reference=lambda: "1234"), environ, io.BytesIO(body), stdout), stdout.getvalue()


async def send_all(send, body: bytes) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def http_only(handler):
    """An application that knows no lifespan."""

    async def app(scope, receive, send):
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        await handler(scope, receive, send)

    return app


def test_lifespan_goes_around_the_request_and_its_state_is_passed():
    events = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            assert (await receive())["type"] == "lifespan.startup"
            scope["state"]["word"] = b"started"
            events.append("startup")
            await send({"type": "lifespan.startup.complete"})
            assert (await receive())["type"] == "lifespan.shutdown"
            events.append("shutdown")
            await send({"type": "lifespan.shutdown.complete"})
            return
        events.append("request")
        await send_all(send, scope["state"]["word"])

    status, output = run(app)
    assert (status, parse(output)[2]) == (0, b"started")
    assert events == ["startup", "request", "shutdown"]


def test_an_application_without_lifespan_is_served():
    @http_only
    async def app(scope, receive, send):
        await send_all(send, f"{scope['root_path']} {scope['path']} {dict(scope['headers'])[b'x-a']!r}".encode())

    assert parse(run(app)[1])[2] == b"/a.cgi /a.cgi/x b'a'"


def test_a_startup_that_fails_is_raised_and_over_cgi_a_500(caplog):
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    assert parse(run(app)[1])[0] == "500 Internal Server Error"
    assert "no database" in caplog.text
    with pytest.raises(StartupFailed, match="no database"):
        ASGIOnce(app, new_reference=lambda: "1234")(CGIRequest(io.BytesIO(), io.BytesIO()))


def test_the_body_comes_piece_by_piece_and_has_an_end():
    content = bytes(range(256)) * 1000
    messages = []

    @http_only
    async def app(scope, receive, send):
        while True:
            message = await receive()
            messages.append(message)
            if not message["more_body"]:
                break
        await send_all(send, b"".join(message["body"] for message in messages))

    environ = POST | {"CONTENT_LENGTH": str(len(content))}
    assert parse(run(app, environ, content)[1])[2] == content
    assert len(messages) > 2
    assert [message["more_body"] for message in messages] == [True] * (len(messages) - 1) + [False]


def test_a_body_that_ends_too_early_is_a_disconnect_and_a_400():
    seen = []

    @http_only
    async def app(scope, receive, send):
        seen.append((await receive())["body"])
        seen.append((await receive())["type"])

    status, output = run(app, body=b"he")
    assert (status, parse(output)[0]) == (0, "400 Bad Request")
    assert seen == [b"he", "http.disconnect"]


def test_a_listener_for_disconnects_ends_with_the_response():
    # so Starlette does it: one task streams, another waits for the client to leave
    @http_only
    async def app(scope, receive, send):
        await receive()
        await receive()

        async def listen():
            return (await receive())["type"]

        listener = asyncio.create_task(listen())
        await asyncio.sleep(0)
        await send_all(send, b"done")
        seen.append(await listener)

    seen: list[str] = []
    assert parse(run(app)[1])[2] == b"done"
    assert seen == ["http.disconnect"]


def test_a_failure_is_a_500_with_its_reference_and_its_traceback_in_the_log(caplog):
    @http_only
    async def app(scope, receive, send):
        raise LookupError("failed on purpose")

    status, output = run(app)
    assert (status, parse(output)[0]) == (0, "500 Internal Server Error")
    assert b"1234" in output
    assert "failed on purpose" in caplog.text
    request = CGIRequest(io.BytesIO(), io.BytesIO())
    request.admit(POST)
    ASGIOnce(app, new_reference=lambda: "1234")(request)
    assert (request.status, request.reference) == (500, "1234")


def test_a_failure_in_the_middle_of_the_response_is_an_exit_status_of_1(caplog):
    @http_only
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        raise LookupError("failed on purpose")

    status, output = run(app)
    assert (status, parse(output)[2]) == (1, b"begun")


def test_an_application_that_exits_gets_its_request_answered_first():
    @http_only
    async def app(scope, receive, send):
        raise SystemExit(3)

    assert parse(run(app)[1])[0] == "500 Internal Server Error"


@pytest.mark.parametrize("more", [True, False])
def test_a_web_server_that_has_left_is_an_oserror_where_the_application_sends(more, caplog):
    class Gone(io.BytesIO):
        def write(self, data):
            raise BrokenPipeError(32, "Broken pipe")

    caught = []

    @http_only
    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        try:
            await send({"type": "http.response.body", "body": b"begun", "more_body": more})
        except OSError as error:
            caught.append(error)
            raise

    assert run_cgi(ASGIOnce(app, new_reference=lambda: "1234"), POST, io.BytesIO(b"hello"), Gone()) == 1
    assert isinstance(caught[0], Disconnected)
    assert "failed" not in caplog.text


def test_a_file_is_sent_by_its_path(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * 200_000)

    @http_only
    async def app(_scope, _receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.pathsend", "path": str(path)})

    status, output = run(app)
    assert (status, parse(output)[2]) == (0, b"x" * 200_000)
    assert b"Content-Length: 200000\r\n" in output


def test_a_websocket_is_a_426_for_a_cgi_program_has_but_one_answer():
    @http_only
    async def app(*_):
        raise AssertionError("the application is not asked")

    headers = {
        "REQUEST_METHOD": "GET",
        "HTTP_UPGRADE": "websocket",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "c2l4dGVlbiBieXRlcyBvaw==",
    }
    _, output = run(app, {"SCRIPT_NAME": "/a.cgi", "PATH_INFO": "/x", **headers}, b"")
    assert parse(output)[0] == "426 Upgrade Required"
