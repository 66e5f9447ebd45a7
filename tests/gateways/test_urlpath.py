"""This file tests the reading, cleaning and comparing of URL paths."""

from __future__ import annotations

import posixpath
from urllib.parse import quote_from_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.urlpath import clean, lies_under, path_of_url, readings, shared_tail, unquote

texts = st.text(st.characters(max_codepoint=255), max_size=12)
paths = st.lists(st.sampled_from(["a", "b", "", ".", "..", "..a", ".b"]), min_size=1).map(lambda p: "/" + "/".join(p))


@given(texts)
def test_unquoting_undoes_quoting_byte_for_byte(text):
    assert unquote(quote_from_bytes(text.encode("latin-1"))) == text


@pytest.mark.parametrize(
    ("raw", "text"), [("%zz", "%zz"), ("%4", "%4"), ("%ff%C3%A9", "\xff\xc3\xa9"), ("\xe9%41", "\xe9A")]
)
def test_bytes_that_are_no_utf8_and_percent_signs_that_mean_nothing_stay(raw, text):
    assert unquote(raw) == text


def test_a_path_with_encoded_slashes_has_two_readings():
    assert readings("/a%2Fb%2fc%20d") == ["/a/b/c d", "/a%2Fb%2fc d"]
    assert readings("/a%20b") == ["/a b"]


@pytest.mark.parametrize(
    ("url", "path"),
    [("fcgi://h/a/b", "/a/b"), ("http://[::1]:80/", "/"), ("http://h", ""), ("*", ""), ("", ""), ("h:80", "")],
)
def test_the_path_of_a_url_starts_after_its_authority(url, path):
    assert path_of_url(url) == path


@pytest.mark.parametrize(
    ("path", "cleaned"),
    [
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/../../b", "/b"),
        ("/a//b///", "/a/b/"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/..", "/"),
        ("//", "/"),
        ("/.well-known/x", "/.well-known/x"),
        ("/a..b/...", "/a..b/..."),
        ("/", "/"),
    ],
)
def test_cleaning_resolves_dots_and_merges_slashes(path, cleaned):
    assert clean(path) == cleaned


@given(paths)
def test_cleaning_agrees_with_posix_and_keeps_the_last_slash(path):
    cleaned = clean(path)
    assert cleaned.rstrip("/") == posixpath.normpath("/" + path.lstrip("/")).rstrip("/")
    assert clean(cleaned) == cleaned
    assert cleaned == "/" or cleaned.endswith("/") == path.endswith(("/", "/.", "/.."))


@pytest.mark.parametrize(
    ("path", "top", "answer"),
    [
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/ab", "/a", False),
        ("/a", "", True),
        ("", "", True),
        ("x", "", False),
    ],
)
def test_a_path_lies_under_another_at_a_slash_only(path, top, answer):
    assert lies_under(path, top) is answer


@given(st.text("/ab", max_size=10), st.text("/ab", max_size=10))
def test_the_shared_tail_is_the_longest_that_begins_at_a_slash(path, other):
    cuts = [cut for cut in range(len(path)) if path[cut] == "/" and other.endswith(path[cut:])]
    assert shared_tail(path, other) == min(cuts, default=-1)


def test_hostile_slashes_are_compared_a_few_times_only():
    class Counted(str):
        calls = 0

        def endswith(self, *args):
            Counted.calls += 1
            return super().endswith(*args)

    size = 1 << 16
    assert shared_tail("/" * size + "a" + "/" * size, Counted("/" * size + "b" + "/" * size)) == size + 1
    assert Counted.calls <= 20
