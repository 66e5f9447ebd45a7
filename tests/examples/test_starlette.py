"""This file uses a Starlette application behind nginx as browsers do: at the root, and below a path."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from tests.examples.asgi_site import Visitor
from tests.examples.form import MULTIPART, URLENCODED, multipart, urlencoded

for needed in ("starlette", "python_multipart", "itsdangerous"):
    pytest.importorskip(needed)

FOLDER = Path(__file__).resolve().parent
APP = FOLDER / "starlette_app.py"
AT_END = "the lifespan has ended"
PICTURE = (FOLDER.parents[1] / "examples" / "flask_app" / "static" / "drop.svg").read_bytes()


def test_a_session_counts_visits_in_a_cookie(visitor):
    response, page = visitor.ask("GET", "/")
    assert (response.status, page) == (200, b"visit 1")
    cookie = str(response.getheader("Set-Cookie")).partition(";")[0]
    assert visitor.ask("GET", "/", Cookie=cookie)[1] == b"visit 2"


def test_urls_are_those_of_the_browser(visitor):
    _, page = visitor.ask("GET", "/show?a=1&a=%C3%A4&b=", Host="example.org", Cookie="x=1; y=2")
    assert json.loads(page) == {
        "url": f"http://example.org{visitor.base}/show?a=1&a=%C3%A4&b=",
        "base": f"http://example.org{visitor.base}/",
        "link": f"http://example.org{visitor.base}/inner/x",
        "client": "127.0.0.1",
        "started": "yes",
        "query": [["a", "1"], ["a", "ä"], ["b", ""]],
        "cookies": {"x": "1", "y": "2"},
    }


def test_a_mounted_application_knows_where_it_is(visitor):
    _, page = visitor.ask("GET", "/inner/a%20b")
    assert json.loads(page) == {
        "root_path": f"{visitor.base}/inner",
        "path": f"{visitor.base}/inner/a b",
        "name": "a b",
    }


def test_a_redirect_leads_to_the_applications_own_page(visitor):
    response, _ = visitor.ask("GET", "/move", Host="example.org")
    assert (response.status, response.getheader("Location")) == (303, f"http://example.org{visitor.base}/")


def test_two_cookies_are_two_headers(visitor):
    response, _ = visitor.ask("GET", "/cookie")
    assert len(response.headers.get_all("Set-Cookie") or ()) == 2


def test_a_form_with_characters_from_everywhere(visitor):
    _, page = visitor.ask("POST", "/form", urlencoded(name="Żółw & 亀"), Content_Type=URLENCODED)
    assert json.loads(page) == {"name": "Żółw & 亀"}


@pytest.mark.parametrize("size", [0, 1, 100_000, 3_000_000])
def test_an_upload_arrives_whole(visitor, size):
    content = (bytes(range(250)) * (size // 250 + 1))[:size]
    _, page = visitor.ask("POST", "/form", multipart({"a": "b"}, "a file.bin", content), Content_Type=MULTIPART)
    (upload,) = [value for value in json.loads(page).values() if isinstance(value, dict)]
    assert upload == {"name": "a file.bin", "size": size, "sha256": hashlib.sha256(content).hexdigest()}


def test_a_chunked_body_is_read_while_it_arrives(visitor):
    pieces = [b"x", b"chunk" * 20_000, b"y"]
    _, page = visitor.ask("PUT", "/body", iter(pieces), Transfer_Encoding="chunked")
    assert json.loads(page) == {"size": 100_002, "sha256": hashlib.sha256(b"".join(pieces)).hexdigest()}


def test_a_stream_is_complete(visitor):
    assert visitor.ask("GET", "/lines")[1] == b"line 0\nline 1\nline 2\nline 3\nline 4\n"


def test_events_arrive_one_by_one_and_end_when_the_browser_leaves(visitor, asgi_site):
    visitor.connection.request("GET", visitor.base + "/events")
    response = visitor.connection.getresponse()
    assert response.getheader("Content-Type", "").startswith("text/event-stream")
    other = Visitor(asgi_site, visitor.base)
    for number in range(3):
        assert response.fp.readline() != b""  # the size of the chunk
        assert response.fp.readline() == f"data: {number}\n".encode()
        assert response.fp.readline() == b"\n"
        assert response.fp.readline() == b"\r\n"
        other.ask("GET", "/go")
    response.close()
    visitor.connection.close()
    other.ask("GET", "/go")
    visitor.backend.process.wait_for("the stream of events has ended")
    other.connection.close()


def test_work_behind_a_response_is_done(visitor):
    assert visitor.ask("GET", "/behind?name=it")[1] == b"done soon"
    visitor.backend.process.wait_for("worked on it")


def test_a_large_page_is_compressed_for_who_can_read_it(visitor):
    plain, page = visitor.ask("GET", "/big")
    packed, small = visitor.ask("GET", "/big", Accept_Encoding="gzip")
    assert packed.getheader("Content-Encoding") == "gzip"
    assert plain.getheader("Content-Encoding") is None
    assert len(small) < len(page)
    assert gzip.decompress(small) == page


def test_cross_origin_requests_are_answered(visitor):
    headers = {"Origin": "https://example.org", "Access_Control_Request_Method": "PUT"}
    response, _ = visitor.ask("OPTIONS", "/body", **headers)
    assert (response.status, response.getheader("Access-Control-Allow-Origin")) == (200, "https://example.org")
    response, _ = visitor.ask("GET", "/lines", Origin="https://example.org")
    assert response.getheader("Access-Control-Allow-Origin") == "https://example.org"


@pytest.mark.parametrize("path", ["/file", "/static/drop.svg"])
def test_a_file_is_sent_whole_and_in_part_and_once(visitor, path):
    response, body = visitor.ask("GET", path)
    assert (response.status, body) == (200, PICTURE)
    assert response.getheader("Content-Type") == "image/svg+xml"
    assert response.getheader("Content-Length") == str(len(PICTURE))
    part, few = visitor.ask("GET", path, Range="bytes=3-12")
    assert (part.status, few) == (206, PICTURE[3:13])
    assert part.getheader("Content-Range") == f"bytes 3-12/{len(PICTURE)}"
    assert visitor.ask("GET", path, Range="bytes=100000-")[0].status == 416
    head, nothing = visitor.ask("HEAD", path)
    assert (head.status, nothing) == (200, b"")
    if path.startswith("/static"):
        again, nothing = visitor.ask("GET", path, If_None_Match=str(response.getheader("ETag")))
        assert (again.status, nothing) == (304, b"")


def test_an_exception_with_a_status_is_that_page_and_no_failure(visitor):
    before = len(visitor.failures())
    response, page = visitor.ask("GET", "/item/7")
    assert (response.status, page, response.getheader("X-Why")) == (404, b"no item 7", "gone")
    assert visitor.ask("GET", "/nothing")[0].status == 404
    assert visitor.ask("DELETE", "/lines")[0].status == 405
    assert len(visitor.failures()) == before


def test_an_exception_is_the_applications_500_page_and_one_failure_in_the_log(visitor):
    before = len(visitor.failures())
    response, page = visitor.ask("GET", "/broken")
    assert (response.status, page) == (500, b"we are sorry")
    visitor.backend.process.wait_for("the application failed after its response", count=before + 1)
    assert visitor.ask("GET", "/lines")[0].status == 200
    assert len(visitor.failures()) == before + 1


def test_nginx_carries_no_websocket_and_the_log_says_which_web_server_does(visitor):
    headers = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec_WebSocket_Key": "c2l4dGVlbiBieXRlcyBvaw==",
        "Sec_WebSocket_Version": "13",
    }
    for _ in range(2):
        response, page = visitor.ask("GET", "/chat", **headers)
        assert response.status == 426
        assert b"does not carry websockets" in page
    visitor.backend.process.wait_for("lighttpd from 1.4.74")
    failures = len(visitor.failures())
    assert visitor.ask("GET", "/broken")[0].status == 500  # its line in the log comes after any that there is of both
    visitor.backend.process.wait_for("the application failed after its response", count=failures + 1)
    assert len([line for line in visitor.backend.process.stderr if "lighttpd from 1.4.74" in line]) == 1
