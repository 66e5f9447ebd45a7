"""This file tests the pages themselves: what of an exception they show, in which order, and that it is escaped."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser

import pytest

from penstock.cli.dev.page import error_page, load_page, message_page
from penstock.server.importer import AppError

NASTY = "<script>alert('&')</script>"


class Tags(HTMLParser):
    """Collects the tags, and fails on ones that do not fit."""

    def __init__(self):
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def raised(code: str, path, **names) -> BaseException:
    """The exception of a program that lies in a file of its own."""
    path.write_text(code)
    try:
        exec(compile(code, str(path), "exec"), names)
    except Exception as error:
        error.__traceback__ = error.__traceback__.tb_next if error.__traceback__ else None  # our own frame
        return error
    raise AssertionError("the program was to fail")


def places(page: bytes) -> list[str]:
    """file:line of the frames that are shown, in the page's order."""
    return re.findall(r'<div class="frame"><p><code>([^<]*)</code>', page.decode())


def test_the_user_s_innermost_frame_comes_first_with_its_source(tmp_path):
    error = raised("def f():\n    x = 1\n    return x / 0\nf()\n", tmp_path / "blog.py")
    page = error_page(error, "GET /", "/nowhere/")
    assert places(page) == [f"{tmp_path}/blog.py:3", f"{tmp_path}/blog.py:4"]
    assert "<b>    3      return x / 0</b>" in page.decode()
    assert "    2      x = 1" in page.decode()


def test_frames_of_libraries_are_left_to_the_whole_traceback(tmp_path):
    error = raised("import json\njson.loads('{')\n", tmp_path / "blog.py")
    page = error_page(error, "GET /", "/nowhere/")
    assert places(page) == [f"{tmp_path}/blog.py:2"]
    assert "json/decoder.py" in page.decode()


def test_frames_of_penstock_are_not_shown_at_all(tmp_path):
    error = raised("def f():\n    1 / 0\nf()\n", tmp_path / "blog.py")
    page = error_page(error, "GET /", f"{tmp_path}/")
    assert places(page) == []
    assert "blog.py" not in page.decode()


def test_what_the_exception_was_raised_from_follows_it(tmp_path):
    code = "try:\n    {}['k']\nexcept KeyError as e:\n    raise ValueError('v') from e\n"
    page = error_page(raised(code, tmp_path / "blog.py"), "GET /", "/nowhere/").decode()
    assert page.index("<h1>ValueError: v</h1>") < page.index("before that: KeyError: &#x27;k&#x27;")
    assert places(page.encode()) == [f"{tmp_path}/blog.py:4", f"{tmp_path}/blog.py:2"]


def test_a_chain_that_was_cut_off_or_bites_its_own_tail_comes_to_an_end(tmp_path):
    cut = raised("try:\n    {}['k']\nexcept KeyError:\n    raise ValueError('v') from None\n", tmp_path / "a.py")
    assert b"before that" not in error_page(cut, "GET /", "/nowhere/")
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert error_page(first, "GET /", "/nowhere/").count(b"before that") == 1


def test_a_syntax_error_shows_the_line_it_is_in(tmp_path):
    path = tmp_path / "blog.py"
    error = AppError("blog cannot be imported", 'File "blog.py", line 1', "")
    error.__cause__ = raised("def app(environ, start_response:\n    pass\n", path)
    assert places(load_page(error, "/nowhere/")) == [f"{path}:1"]


def test_an_application_that_is_not_there_has_a_hint_and_no_traceback():
    page = load_page(AppError("there is no module 'blgo'", "", "did you mean blog?"), "/nowhere/").decode()
    assert '<p class="hint">did you mean blog?</p>' in page
    assert "<details>" not in page


@pytest.mark.parametrize(
    "page",
    [
        lambda path: error_page(raised(f"x = {NASTY!r}\nraise ValueError(x)\n", path), f"GET /{NASTY}", "/nowhere/"),
        lambda path: load_page(AppError(NASTY, NASTY, NASTY), "/nowhere/"),
        lambda path: message_page(NASTY, NASTY),
    ],
)
def test_all_that_is_shown_is_escaped_and_the_page_is_well_formed(page, tmp_path):
    body = page(tmp_path / "blog.py").decode()
    parser = Tags()
    parser.feed(body)
    assert parser.open == []
    assert "script" not in parser.seen
    assert {"h1", "main", "footer"} <= parser.seen
    assert NASTY in html.unescape(body)


def test_a_long_message_is_cut_and_a_lone_surrogate_is_no_obstacle(tmp_path):
    error = raised("raise ValueError('x' * 10_000_000 + '\\udcff')\n", tmp_path / "blog.py")
    error.args = (error.args[0][:1_000_000],)
    heading = re.search(r"<h1>(.*?)</h1>", error_page(error, "GET /", "/nowhere/").decode())
    assert heading is not None
    assert 4000 <= len(heading[1]) < 4100
    assert b"?" in message_page("\udcff", "x")
