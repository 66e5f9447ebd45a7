"""This file tests what is shown to somebody who has typed a program that a web server was to start."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

import pytest

from penstock.gateways.request import Request
from penstock.gateways.wsgi import WSGIGateway
from penstock.server.shell import MOST_BYTES, MOST_LINES, name_of, run_shell


def show(gateway, app_name: str = "hello.py") -> tuple[int, str]:
    stream = io.StringIO()
    return run_shell(gateway, app_name, stream), stream.getvalue()


def answer(body: bytes, *headers: tuple[str, str], status: str = "200 OK"):
    """A gateway whose application answers so."""

    def app(environ, start_response):
        start_response(status, list(headers) or [("Content-Type", "text/plain")])
        return [body]

    return WSGIGateway(app, new_reference=lambda: "1234")


def test_the_whole_page():
    status, text = show(answer(b"Hello\n\nworld\n"))
    assert status == 0
    assert (
        text
        == """\
GET / is answered like this:

    200 OK
    Content-Type: text/plain
    Content-Length: 13

    Hello

    world

No web server has started this program, so it asked itself. To serve it:

    penstock serve hello.py --bind unix:app.sock

and point a web server to that socket. Or let one start this program as it is: Apache (mod_fcgid, or as plain CGI),
lighttpd, spawn-fcgi, supervisor (fcgi-program) or systemd (a .socket unit).
"""
    )


def test_the_request_is_a_get_of_the_root():
    seen = {}

    def gateway(request: Request) -> None:
        seen.update(request.params)
        request.finish(b"Status: 204 No Content\r\n\r\n")

    assert show(gateway)[0] == 0
    assert (seen["REQUEST_METHOD"], seen["SCRIPT_NAME"], seen["PATH_INFO"]) == ("GET", "", "/")
    assert seen["FCGI_ROLE"] == "RESPONDER"


def test_a_name_with_a_space_is_quoted():
    assert "penstock serve 'my app.py' --bind" in show(answer(b""), "my app.py")[1]


def test_an_error_status_of_the_application_is_an_answer_like_any_other():
    status, text = show(answer(b"", status="404 Not Found"))
    assert (status, "    404 Not Found\n" in text) == (0, True)


def test_long_text_is_cut_and_its_size_told():
    text = show(answer(b"line\n" * 1000))[1]
    assert text.count("    line\n") == MOST_LINES
    assert "    ... (5,000 bytes in all)\n" in text
    text = show(answer(b"x" * 10_000))[1]
    assert "    ... (10,000 bytes in all)\n" in text


@pytest.mark.parametrize("lines", [MOST_LINES - 1, MOST_LINES])
def test_text_that_fits_is_not_cut(lines):
    text = show(answer(b"line\n" * lines))[1]
    assert text.count("    line\n") == lines
    assert "..." not in text


def test_an_application_that_streams_for_ever_is_stopped_and_closed():
    events = []

    def app(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
        try:
            while True:
                yield "é\n".encode() * 1000
        finally:
            events.append("closed")

    status, text = show(WSGIGateway(app, new_reference=lambda: "1234"))
    assert status == 0
    assert f"(more than {MOST_BYTES:,} bytes in all)" in text
    assert "    é\n" in text
    assert events == ["closed"]


def test_a_body_that_is_cut_inside_a_character_is_text_all_the_same():
    assert "    ... (more than" in show(answer(b"a" + "é".encode() * MOST_BYTES))[1]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", [("Content-Type", "image/png")]),
        (b"\xff\xfe", [("Content-Type", "image/png")]),
        (b"text", [("Content-Type", "image/png"), ("Content-Encoding", "gzip")]),
        (b"text", [("Content-Type", "image/png"), ("X", "y"), ("CONTENT-ENCODING", "br")]),
    ],
)
def test_what_is_no_text_is_described(body, headers):
    assert f"    ({len(body)} bytes of image/png)\n" in show(answer(body, *headers))[1]


@pytest.mark.parametrize("charset", ["iso-8859-1", '"ISO-8859-1"', "iso-8859-1; format=flowed"])
def test_text_is_decoded_by_its_charset(charset):
    assert "    é\n" in show(answer(b"\xe9", ("Content-Type", f"text/plain; charset={charset}")))[1]


@pytest.mark.parametrize("charset", ["no-such-thing", "", "hex", "rot13", "punycode"])
def test_a_charset_that_nobody_knows_is_no_reason_to_fail(charset):
    for body in (b"\xe9", b"6162"):
        assert show(answer(body, ("Content-Type", f"text/plain; charset={charset}")))[0] == 0


def test_nothing_that_steers_a_terminal_comes_through():
    text = show(answer("\x1b[2J\x07 \x9b \r tab\there".encode(), ("X-A", "\x9b")))[1]
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(text)
    assert "\\x1b[2J\\x07" in text
    assert "tab\there" in text


def test_a_terminal_that_knows_ascii_alone_is_written_to_all_the_same():
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, "ascii")
    assert run_shell(answer("é€".encode(), ("Content-Type", "text/plain")), "a.py", stream) == 0
    assert b"    \\xe9\\u20ac\n" in raw.getvalue()


def test_a_failure_of_the_application_is_an_exit_status_of_1(caplog):
    def app(environ, start_response):
        raise LookupError("failed on purpose")

    status, text = show(WSGIGateway(app, new_reference=lambda: "1234"))
    assert status == 1
    assert "    500 Internal Server Error\n" in text
    assert "The application failed; the log has the reason under 1234." in text
    assert "failed on purpose" in caplog.text


def test_a_response_that_breaks_is_shown_as_far_as_it_came(caplog):
    def app(environ, start_response):
        start_response("200 OK", [])
        yield b"the beginning"
        raise LookupError("failed on purpose")

    status, text = show(WSGIGateway(app, new_reference=lambda: "1234"))
    assert status == 1
    assert "    the beginning\n" in text
    assert "The answer is not complete: the application failed in the middle of its response." in text


def test_no_answer_is_said_to_be_none():
    status, text = show(lambda request: None)
    assert (status, "The answer is not complete: the application gave no answer." in text) == (1, True)


def test_what_is_no_cgi_response_is_said_to_be_none():
    status, text = show(lambda request: request.finish(b"Hello\n\nworld"))
    assert (status, "'Hello'" in text) == (1, True)


# The name for the next step


def main_module(monkeypatch, **names: object) -> None:
    module = SimpleNamespace(**{"__spec__": None, "__file__": None} | names)
    monkeypatch.setitem(sys.modules, "__main__", module)


APP = object()


@pytest.mark.parametrize(
    ("names", "name"),
    [
        ({"app": APP}, "blog/site.py"),
        ({"application": APP, "other": APP}, "blog/site.py"),
        ({"wsgi": APP}, "blog/site.py:wsgi"),
        ({"zoo": APP, "aardvark": APP}, "blog/site.py:aardvark"),
        ({}, "blog/site.py"),
        ({"__wrapped__": APP}, "blog/site.py"),
    ],
)
def test_a_script_is_named_by_its_path_and_by_the_variable_if_need_be(names, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main_module(monkeypatch, __file__=f"{tmp_path}/blog/site.py", **names)
    assert name_of(APP) == name


def test_a_script_elsewhere_keeps_its_whole_path(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    main_module(monkeypatch, __file__="/srv/site.py", app=APP)
    assert name_of(APP) == "/srv/site.py"


@pytest.mark.parametrize(("spec", "name"), [("blog.site", "blog.site:wsgi"), ("blog.__main__", "blog:wsgi")])
def test_a_module_is_named_as_such(spec, name, monkeypatch):
    main_module(monkeypatch, __spec__=SimpleNamespace(name=spec), __file__="/srv/blog/site.py", wsgi=APP)
    assert name_of(APP) == name


def test_where_there_is_no_file_the_name_is_left_open(monkeypatch):
    main_module(monkeypatch, app=APP)
    assert name_of(APP) == "APP"
