"""This file tests `penstock dev` as a program, the way a browser and an editor meet it."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.cli.conftest import HELLO
from tests.processes import PATIENCE, ROOT, Process

SITE = """\
import os, sys

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("<i>no luck</i>")
    if path == "/die":
        os._exit(7)
    if path == "/broken":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return broken()
    if path == "/slow":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return slow()
    if path == "/cookies":
        start_response("302 Found", [("Location", "/"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return []
    size = len(environ["wsgi.input"].read())
    names = ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "CONTENT_LENGTH", "HTTP_HOST")
    lines = [f"{name}={environ.get(name)}" for name in names]
    lines += [f"size={size}", f"gateway={environ['GATEWAY_INTERFACE']}", f"pid={os.getpid()}"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return ["\\n".join(lines).encode("latin-1")]

def broken():
    yield b"part"
    raise LookupError("late")

def slow():
    yield b"first"
    with open("gate"):  # a pipe: it opens when somebody opens it for writing
        yield b"second"
"""

HANGS = """\
import sys, threading
sys.stderr.write("hanging\\n")
sys.stderr.flush()
threading.Event().wait()
"""


class Site:
    """A running `penstock dev` and its browser."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.url = process.wait_for(r"http://\S+/")[0]
        self.host = urlsplit(self.url).netloc

    def get(self, path: str = "/", method: str = "GET", body: object = None, **headers: str) -> tuple[int, str]:
        response, text = self.ask(path, method, body, **headers)
        return response.status, text

    def ask(self, path: str, method: str = "GET", body: object = None, **headers: str):
        connection = http.client.HTTPConnection(self.host, timeout=PATIENCE)
        try:
            connection.request(method, path, body=body, headers=headers)  # type: ignore[arg-type]
            response = connection.getresponse()
            return response, response.read().decode()
        finally:
            connection.close()

    def fields(self, path: str = "/", **more) -> dict[str, str]:
        status, text = self.get(path, **more)
        assert status == 200, text
        return dict(line.split("=", 1) for line in text.splitlines())


@pytest.fixture
def dev(processes, blog):
    """Starts `penstock dev site:app` in the folder."""
    (blog / "site_.py").write_text(SITE)

    def start(app: str = "site_:app", *args: str) -> Site:
        return Site(processes.penstock("dev", app, "--http", "127.0.0.1:0", *args, cwd=blog))

    return start


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


def test_ctrl_c_ends_it_all_with_0(dev, blog):
    site = dev()
    child = int(site.fields()["pid"])
    os.killpg(site.process.pid, signal.SIGINT)  # as a terminal does
    assert site.process.wait() == 0
    assert_gone(child)
    assert "Traceback" not in site.process.output()
    with pytest.raises(ConnectionRefusedError):
        site.get()


def test_sigterm_to_the_parent_alone_ends_it_all_with_0(dev):
    site = dev()
    child = int(site.fields()["pid"])
    assert site.process.stop(signal.SIGTERM) == 0
    assert_gone(child)


def test_no_folder_stays_behind(dev, blog, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(blog))
    site = dev()
    site.fields()
    assert list(blog.glob("penstock-dev-*"))
    assert site.process.stop() == 0
    assert not list(blog.glob("penstock-dev-*"))


@pytest.mark.skipif(sys.platform != "linux", reason="only there an orphan becomes our child, for which we can wait")
def test_the_process_of_the_application_does_not_outlive_a_parent_that_was_killed(dev):
    site = dev()
    child = int(site.fields()["pid"])
    site.process.stop(signal.SIGKILL)
    assert os.waitpid(child, 0)[0] == child


def assert_gone(pid: int) -> None:
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_port_in_use_is_4_and_one_sentence(penstock):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        ended = penstock("dev", "blog:app", "--http", address)
    assert ended.returncode == 4
    assert re.fullmatch(rf"penstock dev: cannot listen on {address}: .* in use .*\n", ended.stderr.decode())


@pytest.mark.parametrize("address", ["unix:/tmp/x", "fd:3", "8000", "127.0.0.1:x"])
def test_an_address_that_no_browser_can_open_is_2(penstock, address):
    ended = penstock("dev", "blog:app", "--http", address)
    assert ended.returncode == 2
    assert ended.stderr.decode().startswith(f"penstock dev: --http: {address!r} is no address")


@pytest.mark.parametrize("missing", ["uvicorn", "watchfiles"])
def test_without_the_extra_it_is_2_and_the_command_that_installs_it(penstock, tmp_path, missing):
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('none', name={missing!r})\n")
    ended = penstock("dev", "blog:app", env={"PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT / "src")))})
    assert ended.returncode == 2
    assert ended.stderr.decode() == (
        f"penstock dev needs {missing}, which is not installed: pip install 'penstock[dev]'\n"
    )


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
