"""This file tests which errors of ASGI applications become pages under `penstock dev`, and for whom."""

from __future__ import annotations

import asyncio

import pytest

from penstock.cli.dev.asgi import DebuggedASGI
from penstock.server.wiring import is_asynchronous

START = {"type": "http.response.start", "status": 200, "headers": []}
BODY = {"type": "http.response.body", "body": b"fine"}


def call(application, client=("127.0.0.1", 5), headers=(), kind="http"):
    """The messages that come out."""
    sent: list = []
    scope = {"type": kind, "method": "GET", "path": "/x", "client": client, "headers": list(headers)}

    async def receive():
        return {"type": "http.request"}

    async def send(message):
        sent.append(message)

    debugged = application if isinstance(application, DebuggedASGI) else DebuggedASGI(application)
    asyncio.run(debugged(scope, receive, send))
    return sent


async def sound(scope, receive, send):
    await send(START)
    await send(BODY)


async def fails(scope, receive, send):
    raise LookupError("no luck")


async def fails_late(scope, receive, send):
    await send(START)
    raise LookupError("late")


async def answers_500(scope, receive, send):
    await send({**START, "status": 500})
    await send({**BODY, "body": b"sorry"})


async def answers_500_and_raises(scope, receive, send):
    await answers_500(scope, receive, send)
    raise LookupError("no luck")


@pytest.mark.parametrize("application", [fails, answers_500_and_raises])
def test_an_exception_becomes_a_page_also_when_a_framework_has_answered_500_itself(application):
    start, body = call(application)
    assert start["status"] == 500
    assert (b"content-type", b"text/html; charset=utf-8") in start["headers"]
    assert b"<h1>LookupError: no luck</h1>" in body["body"]


def test_a_sound_answer_and_one_of_500_pass_as_they_are():
    assert call(sound) == [START, BODY]
    assert call(answers_500) == [{**START, "status": 500}, {**BODY, "body": b"sorry"}]


def test_after_the_head_the_error_is_the_server_s():
    with pytest.raises(LookupError, match="late"):
        call(fails_late)


@pytest.mark.parametrize(
    "more", [{"client": ("192.0.2.7", 1)}, {"client": None}, {"headers": [(b"x-forwarded-for", b"a")]}]
)
def test_a_browser_elsewhere_gets_no_traceback(more):
    with pytest.raises(LookupError):
        call(fails, **more)


@pytest.mark.parametrize(
    ("error", "shown"),
    [(None, b"<p>no database</p>"), (LookupError("no database"), b"<h1>LookupError: no database</h1>")],
)
def test_an_application_that_cannot_start_says_so_in_the_page(error, shown, caplog):
    async def application(scope, receive, send):
        assert scope["type"] == "lifespan", "it is asked though it has not started"
        await send({"type": "lifespan.startup.failed", "message": "no database"})
        if error is not None:
            raise error

    debugged = DebuggedASGI(application)
    assert call(debugged, kind="lifespan") == [{"type": "lifespan.startup.complete"}]
    start, body = call(debugged)
    assert start["status"] == 500
    assert shown in body["body"]
    assert b"no database" not in call(debugged, client=("192.0.2.7", 1))[1]["body"]
    assert "no database" in caplog.text


def test_what_is_no_http_passes_and_it_is_still_seen_to_be_asynchronous():
    with pytest.raises(LookupError):
        call(fails, kind="lifespan")
    assert is_asynchronous(DebuggedASGI(fails))
