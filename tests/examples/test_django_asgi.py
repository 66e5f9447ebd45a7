"""This file uses a Django site through Django's ASGI handler behind nginx: at the root, and below a path."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from tests.examples.form import MULTIPART, multipart

pytest.importorskip("django")

APP = Path(__file__).resolve().parent / "django_async.py"
AT_END = "INFO stopped"
LINES = b"line 0\nline 1\nline 2\nline 3\nline 4\n"


def test_a_session_counts_visits_in_a_cookie(visitor):
    response, page = visitor.ask("GET", "/")
    assert (response.status, page) == (200, b"visit 1")
    cookie = str(response.getheader("Set-Cookie")).partition(";")[0]
    assert visitor.ask("GET", "/", Cookie=cookie)[1] == b"visit 2"


def test_an_async_view_knows_its_urls(visitor):
    _, page = visitor.ask("GET", "/show/?q=%C3%A4", Host="example.org")
    assert json.loads(page) == {
        "uri": f"http://example.org{visitor.base}/show/?q=%C3%A4",
        "path": f"{visitor.base}/show/",
        "path_info": "/show/",
        "link": f"{visitor.base}/item/7/",
        "query": {"q": "ä"},
        "client": "127.0.0.1",
    }


def test_a_blocking_view_is_run_too(visitor):
    assert visitor.ask("GET", "/item/7/")[1] == b"item 7"


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_an_upload_arrives_whole(visitor, size):
    content = (bytes(range(250)) * (size // 250 + 1))[:size]
    response, page = visitor.ask(
        "POST", "/upload/", multipart({"note": "n"}, "a_b.bin", content), Content_Type=MULTIPART
    )
    assert response.status == 200
    assert json.loads(page) == {
        "name": "a_b.bin",
        "size": size,
        "sha256": hashlib.sha256(content).hexdigest(),
        "note": "n",
    }


def test_a_chunked_body_arrives_whole(visitor):
    pieces = iter([b"x", b"chunk" * 20_000])
    _, page = visitor.ask("POST", "/body/", pieces, Transfer_Encoding="chunked")
    assert json.loads(page) == {"size": 100_001}


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("path", ["/lines/", "/blocking-lines/"])
def test_a_stream_is_complete_and_can_be_compressed(visitor, path):
    assert visitor.ask("GET", path)[1] == LINES
    response, page = visitor.ask("GET", path, Accept_Encoding="gzip")
    assert (response.getheader("Content-Encoding"), gzip.decompress(page)) == ("gzip", LINES)


def test_a_file_is_sent_whole(visitor):
    response, page = visitor.ask("GET", "/file/")
    assert (response.status, page) == (200, APP.read_bytes())
    head, nothing = visitor.ask("HEAD", "/file/")
    assert (head.status, nothing) == (200, b"")


def test_a_view_is_cancelled_when_its_client_leaves(visitor):
    waiting = len([line for line in visitor.backend.process.stderr if line == "waiting"])
    visitor.connection.request("GET", visitor.base + "/wait/")
    visitor.backend.process.wait_for("^waiting$", count=waiting + 1)
    visitor.connection.close()
    visitor.backend.process.wait_for("^cancelled$", count=waiting + 1)
    assert visitor.failures() == []


def test_exceptions_are_djangos_pages_and_no_failures_of_penstocks(visitor):
    for path, status in (("/broken/", 500), ("/forbidden/", 403), ("/nothing/", 404)):
        response, page = visitor.ask("GET", path)
        assert (response.status, b"secret" in page) == (status, False)
    assert visitor.failures() == []


def test_a_missing_slash_is_a_redirect(visitor):
    response, _ = visitor.ask("GET", "/show")
    assert (response.status, response.getheader("Location")) == (301, f"{visitor.base}/show/")
