"""This file tests the front of `penstock dev` where no application answers; the rest of it is tested in test_dev.py."""

from __future__ import annotations

import asyncio

import pytest

from penstock.cli.dev.backend import BackendDown
from penstock.cli.dev.front import Front

REQUEST = {"type": "http.request", "body": b"", "more_body": False}
SCOPE = {
    "type": "http",
    "method": "GET",
    "http_version": "1.1",
    "raw_path": b"/",
    "query_string": b"",
    "headers": [],
    "client": ("127.0.0.1", 5),
    "server": ("127.0.0.1", 8000),
}


class Backend:
    """Stands for a process that is at `address`, or is not."""

    def __init__(self, address: str | Exception, last_words: str = "") -> None:
        self._address = address
        self._last_words = last_words

    async def address(self) -> str:
        if isinstance(self._address, Exception):
            raise self._address
        return self._address

    async def last_words(self) -> str:
        return self._last_words


def call(backend: Backend, *incoming: dict, **scope: object) -> list[dict]:
    sent: list[dict] = []
    queue = list(incoming)

    async def receive():
        return queue.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(Front(backend)({**SCOPE, **scope}, receive, send))  # type: ignore[arg-type]
    return sent


@pytest.mark.parametrize(
    ("backend", "scope", "status", "text"),
    [
        (Backend(BackendDown("the process ended")), {}, 502, b"The process ended; the terminal may say why."),
        (Backend("unix:/nowhere/x"), {}, 502, b"There is no socket at unix:/nowhere/x."),
        (Backend("unix:/nowhere/x", "the process ended"), {}, 502, b"The process ended."),
        (Backend("unix:/nowhere/x"), {"method": "G T"}, 400, b"is no HTTP method"),
        (Backend("unix:/nowhere/x"), {"headers": [(b"a b", b"")]}, 400, b"is no name of a header"),
    ],
)
def test_where_nobody_answers_a_page_says_why(backend, scope, status, text):
    start, body = call(backend, REQUEST, **scope)
    assert start["status"] == status
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    assert text in body["body"]


def test_a_browser_that_leaves_in_the_middle_of_its_upload_is_answered_nothing():
    half = {"type": "http.request", "body": b"half", "more_body": True}
    assert call(Backend("unix:/nowhere/x"), half, {"type": "http.disconnect"}) == []
