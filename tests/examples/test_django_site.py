"""This file uses the Django example through nginx as a browser would: forms with CSRF tokens, a session, a file."""

from __future__ import annotations

import hashlib
import json
import re
from http.client import HTTPConnection, HTTPResponse
from http.cookies import SimpleCookie

import pytest

from tests.examples.form import MULTIPART, URLENCODED, multipart, urlencoded
from tests.interop.nginx import ask
from tests.processes import ROOT

pytest.importorskip("django")

FOLDER = ROOT / "examples" / "django_site" / "mysite"
APP = str(FOLDER / "wsgi.py")
PICTURE = (FOLDER / "drop.svg").read_bytes()


class Visitor:
    """A browser with a jar of cookies."""

    def __init__(self, connection: HTTPConnection) -> None:
        self._connection = connection
        self._cookies: dict[str, str] = {}

    def ask(self, method: str, target: str, body: object = None, **headers: str) -> tuple[HTTPResponse, str]:
        if self._cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        response, page = ask(self._connection, method, target, body, **headers)
        for line in response.headers.get_all("Set-Cookie") or ():
            self._cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return response, page.decode()

    def token(self) -> str:
        """What the forms of the page carry against forged requests."""
        _, page = self.ask("GET", "/")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
        assert found, page
        return found[1]


@pytest.fixture
def visitor(browser):
    return Visitor(browser)


def test_the_session_counts_visits(visitor):
    assert "visit number 1." in visitor.ask("GET", "/")[1]
    assert "visit number 2." in visitor.ask("GET", "/")[1]


def test_a_form_is_remembered_and_redirects_to_the_page_that_greets(visitor):
    form = urlencoded(name="Żółw & 亀", csrfmiddlewaretoken=visitor.token())
    response, _ = visitor.ask("POST", "/greet/", form, Content_Type=URLENCODED)
    assert response.status == 302
    assert response.getheader("Location") == "/"
    assert "Hello, Żółw &amp; 亀!" in visitor.ask("GET", "/")[1]


def test_a_form_without_the_token_is_a_403(visitor):
    visitor.token()
    assert visitor.ask("POST", "/greet/", urlencoded(name="x"), Content_Type=URLENCODED)[0].status == 403


def test_a_form_that_is_not_filled_in_comes_back_as_a_400(visitor):
    form = urlencoded(name="", csrfmiddlewaretoken=visitor.token())
    response, page = visitor.ask("POST", "/greet/", form, Content_Type=URLENCODED)
    assert response.status == 400
    assert "This field is required" in page


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_an_upload_arrives_whole(visitor, size):
    content = (bytes(range(250)) * (size // 250 + 1))[:size]
    form = multipart({"csrfmiddlewaretoken": visitor.token()}, "a_file.bin", content)
    response, body = visitor.ask("POST", "/upload/", form, Content_Type=MULTIPART)
    assert response.status == 200, body
    assert json.loads(body) == {"name": "a_file.bin", "size": size, "sha256": hashlib.sha256(content).hexdigest()}


def test_a_chunked_upload_arrives_whole(visitor):
    form = multipart({"csrfmiddlewaretoken": visitor.token()}, "x", b"chunk" * 20_000)
    pieces = iter([form[:1], form[1:50_000], form[50_000:]])
    response, body = visitor.ask("POST", "/upload/", pieces, Content_Type=MULTIPART, Transfer_Encoding="chunked")
    assert response.status == 200, body
    assert json.loads(body)["size"] == 100_000


def test_a_file_response_is_sent_whole(browser):
    response, body = ask(browser, "GET", "/file/")
    assert (response.status, body) == (200, PICTURE)
    assert response.getheader("Content-Type") == "image/svg+xml"
    assert response.getheader("Content-Length") == str(len(PICTURE))


def test_a_stream(visitor):
    assert visitor.ask("GET", "/stream/?pause=0")[1] == "line 1\nline 2\nline 3\nline 4\nline 5\n"


def test_a_missing_slash_is_a_redirect_and_a_missing_page_a_404(visitor):
    response, _ = visitor.ask("GET", "/file")
    assert response.status == 301
    assert response.getheader("Location") == "/file/"
    assert visitor.ask("GET", "/nothing/")[0].status == 404
    assert visitor.ask("GET", "/upload/")[0].status == 405
