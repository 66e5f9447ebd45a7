"""This file tests `penstock dev` as a browser and an editor meet it: answers, pages, reloads."""

from __future__ import annotations

import http.client
import os
import threading
from pathlib import Path

import pytest

from tests.cli.conftest import HELLO
from tests.cli.dev.conftest import HANGS
from tests.processes import PATIENCE


def test_it_prints_one_url_and_a_request_goes_through_fastcgi(dev):
    site = dev()
    fields = site.fields("/a%20b/c?x=%20y")
    assert fields["REQUEST_METHOD"] == "GET"
    assert (fields["SCRIPT_NAME"], fields["PATH_INFO"], fields["QUERY_STRING"]) == ("", "/a b/c", "x=%20y")
    assert fields["REMOTE_ADDR"] == "127.0.0.1"
    assert fields["HTTP_HOST"] == site.host
    assert fields["gateway"] == "CGI/1.1"
    assert int(fields["pid"]) != site.process.pid
    site.process.wait_for(r'"GET /a%20b/c\?x=%20y" 200 ')
    assert site.process.output().count("http://") == 1


def test_uploads_arrive_whole_with_and_without_a_length(dev):
    site = dev()
    body = b"x" * 3_000_000
    fields = site.fields(method="POST", body=body)
    assert (fields["size"], fields["CONTENT_LENGTH"]) == ("3000000", "3000000")
    fields = site.fields(method="POST", body=iter([b"a" * 70_000, b"b"]))
    assert (fields["size"], fields["CONTENT_LENGTH"]) == ("70001", "70001")
    assert site.fields(method="POST", body=b"")["CONTENT_LENGTH"] == "0"
    assert site.fields()["CONTENT_LENGTH"] == "None"


def test_status_and_repeated_headers_come_through(dev):
    response, _ = dev().ask("/cookies")
    assert (response.status, response.reason) == (302, "Found")
    assert response.headers.get_all("Set-Cookie") == ["a=1", "b=2"]


def test_a_head_request_has_no_body(dev):
    assert dev().get(method="HEAD") == (200, "")


def test_a_response_arrives_piece_by_piece(dev, blog):
    os.mkfifo(blog / "gate")
    site = dev()
    connection = http.client.HTTPConnection(site.host, timeout=PATIENCE)
    connection.request("GET", "/slow")
    response = connection.getresponse()
    assert response.read1() == b"first"
    (blog / "gate").write_bytes(b"")
    assert response.read() == b"second"
    connection.close()


def test_a_response_that_breaks_off_is_broken_off_for_the_browser_too(dev):
    with pytest.raises(http.client.IncompleteRead):
        dev().get("/broken")


def test_an_exception_shows_its_traceback_in_the_page_and_in_the_terminal(dev, blog):
    site = dev()
    status, page = site.get("/fail")
    assert status == 500
    assert "<h1>LookupError: &lt;i&gt;no luck&lt;/i&gt;</h1>" in page
    assert "site_.py:6</code>" in page
    site.process.wait_for("LookupError: <i>no luck</i>")
    assert site.get()[0] == 200


def test_a_browser_behind_a_proxy_gets_no_traceback(dev):
    status, page = dev().get("/fail", **{"X-Forwarded-For": "192.0.2.7"})
    assert status == 500
    assert "luck" not in page


def test_a_changed_file_is_served_by_the_very_next_request_after_the_change_was_seen(dev, blog):
    site = dev("blog:app")
    assert site.get()[1] == "hello from /"
    (blog / "blog.py").write_text(HELLO.replace("hello", "good morning"))
    site.process.wait_for(r"blog\.py changed, reloading$")
    assert site.get()[1] == "good morning from /"


def test_a_file_that_is_no_source_changes_nothing(dev, blog):
    site = dev("blog:app")
    assert site.get()[0] == 200
    (blog / "data.db").write_text("x")
    (blog / "__pycache__").mkdir(exist_ok=True)
    (blog / "__pycache__" / "x.py").write_text("x")
    (blog / "page.html").write_text("x")  # seen after the others, so they have been seen by then
    site.process.wait_for(r"changed, reloading$")
    assert "page.html changed" in site.process.output()
    assert "data.db" not in site.process.output()
    assert "x.py" not in site.process.output()


def test_an_application_that_cannot_be_imported_says_so_in_the_page_and_the_next_save_mends_it(dev, blog):
    site = dev("blog:app")
    assert site.get()[0] == 200
    (blog / "blog.py").write_text(HELLO + "import nothing_of_this_name\n")
    site.process.wait_for("changed, reloading", count=1)
    status, page = site.get()
    assert status == 500
    assert "<h1>blog:app cannot be imported" in page or "<h1>blog cannot be imported" in page
    assert f"blog.py:{HELLO.count(chr(10)) + 1}</code>" in page
    site.process.wait_for("ModuleNotFoundError: No module named 'nothing_of_this_name'")
    (blog / "blog.py").write_text(HELLO.replace("hello", "mended"))
    site.process.wait_for("changed, reloading", count=2)
    assert site.get() == (200, "mended from /")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("def app(environ:\n", "SyntaxError"),
        ("application_ = 1\n", "has no attribute"),
    ],
)
def test_it_starts_with_whatever_application_and_explains_it_in_the_page(dev, blog, source, shown):
    (blog / "blog.py").write_text(source)
    status, page = dev("blog:app").get()
    assert status == 500
    assert shown in page


def test_an_import_that_hangs_holds_requests_until_the_next_save(dev, blog):
    (blog / "blog.py").write_text(HANGS)
    site = dev("blog:app")
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(site.get()))
    waiting.start()
    site.process.wait_for("hanging")
    (blog / "blog.py").write_text(HELLO)
    waiting.join(PATIENCE)
    assert answers == [(200, "hello from /")]


def test_a_process_that_dies_is_reported_and_the_next_request_has_a_new_one(dev):
    site = dev()
    first = site.fields()["pid"]
    status, page = site.get("/die")
    assert status == 502
    assert "The process of the application ended with exit code 7." in page
    assert site.fields()["pid"] != first


def test_a_process_that_ends_while_it_is_imported_is_reported(dev, blog):
    (blog / "blog.py").write_text("import os\nos._exit(9)\n")
    site = dev("blog:app")
    status, page = site.get()
    assert status == 502
    assert "ended with exit code 9 before it was ready" in page


def test_a_path_elsewhere_is_watched_where_it_lies(dev, blog, tmp_path: Path):
    (tmp_path / "far.py").write_text(HELLO)
    site = dev(f"{tmp_path}/far.py")
    assert site.get()[1] == "hello from /"
    (tmp_path / "far.py").write_text(HELLO.replace("hello", "greetings"))
    site.process.wait_for(r"far\.py changed, reloading$")
    assert site.get()[1] == "greetings from /"


def test_an_asgi_application_is_served_too(dev, blog):
    (blog / "blog.py").write_text(
        "async def app(scope, receive, send):\n"
        "    assert scope['type'] == 'http'\n"
        "    await send({'type': 'http.response.start', 'status': 200, 'headers': []})\n"
        "    await send({'type': 'http.response.body', 'body': b'asynchronous'})\n"
    )
    assert dev("blog:app").get() == (200, "asynchronous")


def test_an_exception_of_an_asgi_application_is_shown_in_the_page_too(dev, blog):
    (blog / "blog.py").write_text("async def app(scope, receive, send):\n    raise LookupError('no luck')\n")
    status, page = dev("blog:app").get()
    assert status == 500
    assert "<h1>LookupError: no luck</h1>" in page
    assert "blog.py:2</code>" in page


def test_an_exception_of_a_handler_is_shown_in_the_page_too(dev, blog):
    (blog / "blog.py").write_text(
        "import penstock\n"
        "class Page(penstock.Handler):\n"
        "    def process(self, request):\n"
        "        raise LookupError('no luck')\n"
    )
    site = dev("blog:Page")
    status, page = site.get("/x?y")
    assert status == 500
    assert "<h1>LookupError: no luck</h1>" in page
    assert "GET /x?y" in page
    assert "blog.py:4</code>" in page
    site.process.wait_for("LookupError: no luck")
    assert "no luck" not in site.get(**{"X-Forwarded-For": "192.0.2.7"})[1]


def test_an_asgi_application_that_cannot_start_says_so_in_the_page_and_the_next_save_mends_it(dev, blog):
    starts = "async def app(scope, receive, send):\n    if scope['type'] == 'lifespan':\n        await receive()\n"
    fails = "        await send({'type': 'lifespan.startup.failed', 'message': 'no database'})\n"
    (blog / "blog.py").write_text(starts + fails)
    site = dev("blog:app")
    status, page = site.get()
    assert status == 500
    assert "no database" in page
    (blog / "blog.py").write_text(HELLO)
    site.process.wait_for(r"blog\.py changed, reloading$")
    assert site.get() == (200, "hello from /")
