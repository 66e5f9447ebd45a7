"""This file uses a FastAPI application behind nginx as its clients do: at the root, and below a path."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.examples.form import MULTIPART, URLENCODED, multipart, urlencoded

for needed in ("fastapi", "python_multipart"):
    pytest.importorskip(needed)

FOLDER = Path(__file__).resolve().parent
APP = FOLDER / "fastapi_app.py"
AT_END = "the lifespan has ended"
PICTURE = (FOLDER.parents[1] / "examples" / "flask_app" / "static" / "drop.svg").read_bytes()
JSON = "application/json"


def test_path_query_and_cookie_reach_the_function(visitor):
    response, body = visitor.ask("GET", "/orders/7?q=%C3%A4", Cookie="session=abc")
    assert json.loads(body) == {"number": 7, "q": "ä", "session": "abc"}
    assert response.getheader("Content-Type") == JSON
    assert response.getheader("X-Seen") == f"{visitor.base}/orders/7"


def test_a_body_of_json_is_made_a_model_and_back(visitor):
    order = {"name": "Żółw", "price": 1.5, "tags": ["a", "b"]}
    response, body = visitor.ask("PUT", "/orders/7", json.dumps(order).encode(), Content_Type=JSON)
    assert (response.status, json.loads(body)) == (201, order)


def test_what_does_not_fit_the_model_is_a_422_that_says_where(visitor):
    response, body = visitor.ask("PUT", "/orders/7", b'{"name": "x", "price": "dear"}', Content_Type=JSON)
    assert response.status == 422
    assert [error["loc"] for error in json.loads(body)["detail"]] == [["body", "name"], ["body", "price"]]
    assert visitor.ask("GET", "/orders/seven")[0].status == 422
    assert visitor.ask("PUT", "/orders/7", b"{no json", Content_Type=JSON)[0].status == 422


def test_exceptions_with_an_answer_are_that_answer_and_no_failure(visitor):
    before = len(visitor.failures())
    response, body = visitor.ask("GET", "/orders/0")
    assert (response.status, json.loads(body), response.getheader("X-Pot")) == (418, {"detail": "no tea"}, "short")
    response, body = visitor.ask("GET", "/orders/1")
    assert (response.status, json.loads(body)) == (410, {"sold": "to somebody else"})
    assert len(visitor.failures()) == before


def test_an_exception_is_a_500_without_its_text_and_one_failure_in_the_log(visitor):
    before = len(visitor.failures())
    response, body = visitor.ask("GET", "/broken")
    assert (response.status, b"secret" in body) == (500, False)
    visitor.backend.process.wait_for("the application failed after its response", count=before + 1)
    assert visitor.ask("GET", "/threaded")[0].status == 200
    assert len(visitor.failures()) == before + 1


def test_a_blocking_function_sees_what_the_lifespan_left(visitor):
    assert json.loads(visitor.ask("GET", "/threaded")[1]) == {"greeting": "hello"}


def test_a_dependency_lets_in_who_has_the_key(visitor):
    assert visitor.ask("GET", "/inside/room")[0].status == 422
    assert visitor.ask("GET", "/inside/room", X_Key="wrong")[0].status == 401
    assert json.loads(visitor.ask("GET", "/inside/room", X_Key="right")[1]) == ["a", "table"]


def test_a_form(visitor):
    response, body = visitor.ask("POST", "/login", urlencoded(username="ä", password="xyz"), Content_Type=URLENCODED)
    assert (response.status, json.loads(body)) == (200, {"username": "ä", "length": 3})
    assert visitor.ask("POST", "/login", urlencoded(username="ä"), Content_Type=URLENCODED)[0].status == 422


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_an_upload_arrives_whole(visitor, size):
    content = (bytes(range(250)) * (size // 250 + 1))[:size]
    _, body = visitor.ask("POST", "/uploads", multipart({"note": "n"}, "a b.bin", content), Content_Type=MULTIPART)
    assert json.loads(body) == {
        "name": "a b.bin",
        "size": size,
        "sha256": hashlib.sha256(content).hexdigest(),
        "note": "n",
    }


def test_work_behind_a_response_is_done(visitor):
    assert visitor.ask("POST", "/mail?to=me")[0].status == 200
    visitor.backend.process.wait_for("mail to me")


def test_a_stream_and_a_file_with_its_parts(visitor):
    assert visitor.ask("GET", "/stream")[1] == b"line 0\nline 1\nline 2\nline 3\nline 4\n"
    response, body = visitor.ask("GET", "/file")
    assert (response.status, body) == (200, PICTURE)
    response, body = visitor.ask("GET", "/file", Range="bytes=0-3,10-13")
    assert (response.status, PICTURE[:4] in body, PICTURE[10:14] in body) == (206, True, True)


def test_a_mounted_application_and_the_documentation_know_where_they_are(visitor):
    _, body = visitor.ask("GET", "/small/where", Host="example.org")
    assert json.loads(body) == {
        "root_path": f"{visitor.base}/small",
        "url": f"http://example.org{visitor.base}/small/where",
    }
    schema = json.loads(visitor.ask("GET", "/openapi.json")[1])
    assert schema.get("servers", []) == ([{"url": visitor.base}] if visitor.base else [])
    assert f"{visitor.base}/openapi.json" in visitor.ask("GET", "/docs")[1].decode()
