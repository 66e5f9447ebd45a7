"""This file uses the Flask example through nginx as a browser would: pages, a form, a cookie, an upload, a file."""

from __future__ import annotations

import hashlib
import json

import pytest

from tests.examples.form import MULTIPART, URLENCODED, multipart, urlencoded
from tests.interop.nginx import ask
from tests.processes import ROOT

pytest.importorskip("flask")

FOLDER = ROOT / "examples" / "flask_app"
APP = str(FOLDER / "app.py")
PICTURE = (FOLDER / "static" / "drop.svg").read_bytes()


def test_the_page_counts_visits_in_a_cookie(browser):
    response, page = ask(browser, "GET", "/")
    assert response.status == 200
    assert b"visit number 1." in page
    cookie = str(response.getheader("Set-Cookie")).partition(";")[0]
    response, page = ask(browser, "GET", "/", Cookie=cookie)
    assert b"visit number 2." in page


def test_a_form_with_characters_from_everywhere(browser):
    response, page = ask(browser, "POST", "/greet", urlencoded(name="Żółw & 亀"), Content_Type=URLENCODED)
    assert response.status == 200
    assert "Hello, Żółw &amp; 亀!" in page.decode()


def test_a_form_without_its_field_is_a_400(browser):
    response, _ = ask(browser, "POST", "/greet", urlencoded(other="x"), Content_Type=URLENCODED)
    assert response.status == 400


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_an_upload_arrives_whole(browser, size):
    content = bytes(range(250)) * (size // 250 + 1)
    content = content[:size]
    _, body = ask(browser, "POST", "/upload", multipart({}, "a file.bin", content), Content_Type=MULTIPART)
    assert json.loads(body) == {"name": "a file.bin", "size": size, "sha256": hashlib.sha256(content).hexdigest()}


def test_a_chunked_upload_arrives_whole(browser):
    form = multipart({}, "x", b"chunk" * 20_000)
    pieces = iter([form[:1], form[1:50_000], form[50_000:]])
    _, body = ask(browser, "POST", "/upload", pieces, Content_Type=MULTIPART, Transfer_Encoding="chunked")
    assert json.loads(body)["size"] == 100_000


@pytest.mark.parametrize("path", ["/file", "/static/drop.svg"])
def test_a_file_is_sent_whole_and_once(browser, path):
    response, body = ask(browser, "GET", path)
    assert (response.status, body) == (200, PICTURE)
    assert response.getheader("Content-Type", "").startswith("image/svg+xml")
    assert response.getheader("Content-Length") == str(len(PICTURE))
    again, nothing = ask(browser, "GET", path, If_None_Match=str(response.getheader("ETag")))
    assert (again.status, nothing) == (304, b"")
    part, few = ask(browser, "GET", path, Range="bytes=3-12")
    assert (part.status, few) == (206, PICTURE[3:13])


def test_a_stream(browser):
    response, body = ask(browser, "GET", "/stream?pause=0")
    assert response.status == 200
    assert body == b"line 1\nline 2\nline 3\nline 4\nline 5\n"


def test_a_path_that_is_not_there_and_a_method_that_is_not_allowed(browser):
    assert ask(browser, "GET", "/nothing")[0].status == 404
    response, _ = ask(browser, "DELETE", "/greet")
    assert response.status == 405
    assert "POST" in response.getheader("Allow", "")
    head, nothing = ask(browser, "HEAD", "/")
    assert (head.status, nothing) == (200, b"")
