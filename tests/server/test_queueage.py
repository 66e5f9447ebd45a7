"""This file tests that a request which has waited too long is turned away, and that nothing else is."""

from __future__ import annotations

import time

import pytest

from penstock.server.queueage import age_of
from tests.interop.backend import PLAIN, start

NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("told", "age"),
    [
        (None, 0.0),
        ("", 0.0),
        ("1699999997.500", 2.5),  # nginx: $msec
        ("t=1699999997500000", 2.5),  # Apache: %t of mod_headers
        ("1699999997500", 2.5),  # milliseconds, as load balancers write them
        ("1700000009.000", 0.0),  # its clock goes ahead of ours
        ("soon", 0.0),
        ("-5", 0.0),
        ("nan", 0.0),
        ("inf", 0.0),
        ("1e400", 0.0),
    ],
)
def test_the_age_comes_from_what_the_web_server_says(told, age):
    assert age_of({} if told is None else {"REQUEST_START": told}, NOW) == pytest.approx(age)


ASYNC_HELLO = """\
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello"})
"""


@pytest.mark.parametrize("asynchronous", [False, True])
def test_an_old_request_is_a_503_and_a_fresh_one_is_served(processes, sock_dir, asynchronous):
    (sock_dir / "hello.py").write_text(ASYNC_HELLO)
    app = f"{sock_dir}/hello.py" if asynchronous else PLAIN
    backend = start(processes, "--max-queue-age", "30s", bind=(f"unix:{sock_dir}/app",), app=app)
    with backend.client() as client:
        for _ in range(2):
            old = client.request("GET", "/hello", params={"REQUEST_START": f"{time.time() - 60:.3f}"})
            assert old.status == 503
            assert ("Retry-After", "1") in old.headers
            assert client.request("GET", "/hello", params={"REQUEST_START": f"{time.time():.3f}"}).status == 200
            assert client.request("GET", "/hello").status == 200
    backend.process.wait_for(r"answered 503 \[\w+\]: the request had waited 6\d\.\d s, more than 30")
    backend.process.wait_for(r'"GET /hello" 503 \d+B')
