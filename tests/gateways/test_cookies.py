"""This file tests reading Cookie and writing Set-Cookie."""

from __future__ import annotations

from datetime import timedelta
from http.cookies import SimpleCookie

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.cookies import encode_value, format_cookie, parse_cookies

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
NATIVE = st.text(st.characters(max_codepoint=255), max_size=80)


def set_cookie(name="a", value="b", **words):
    plain = {"max_age": None, "path": None, "domain": None, "secure": False, "httponly": False, "samesite": None}
    return format_cookie(name, value, **(plain | words))


@pytest.mark.parametrize(
    ("header", "cookies"),
    [
        ("", {}),
        ("a=b", {"a": "b"}),
        ("a=b; c=d", {"a": "b", "c": "d"}),
        ("a=b;c=d;", {"a": "b", "c": "d"}),
        (" a = b ;\tc=d", {"a": "b", "c": "d"}),
        ("a=", {"a": ""}),
        ("a=b=c==", {"a": "b=c=="}),
        ("a=first; a=second", {"a": "first"}),
        ('a="b"', {"a": "b"}),
        (r'a="b\073c\"d\\e"', {"a": 'b;c"d\\e'}),
        (r'a="\305\274"', {"a": "ż"}),
        ("a=\xc5\xbc", {"a": "ż"}),
        ("a=\xff", {"a": "\ufffd"}),
        ("a=%20+", {"a": "%20+"}),
        ('a="', {"a": '"'}),
        ('a="b', {"a": '"b'}),
        (r'a="\9\4"', {"a": "94"}),
        ('a="\\"', {"a": "\\"}),
        ("x[1]=b", {"x[1]": "b"}),
    ],
)
def test_cookies_are_read(header, cookies):
    assert parse_cookies(header) == cookies


@pytest.mark.parametrize("broken", ["junk", "=value", ";;;", " = ", "{'json': 1}"])
def test_what_is_malformed_costs_nothing_but_itself(broken):
    assert parse_cookies(f"a=1; {broken}; b=2") == {"a": "1", "b": "2"}


@given(NATIVE)
def test_no_header_is_too_odd_to_be_read(header):
    for name, value in parse_cookies(header).items():
        assert name == name.strip(" \t")
        assert ";" not in name
        value.encode()


@given(TEXT)
def test_any_value_can_be_written_and_read_back(value):
    encoded = encode_value(value)
    assert all("!" <= character <= "~" and character not in ",; " for character in encoded)
    assert parse_cookies(f"x=1; name={encoded}; y=2") == {"x": "1", "name": value, "y": "2"}


@given(TEXT)
def test_the_standard_library_reads_the_same_bytes(value):
    morsel = SimpleCookie(f"name={encode_value(value)}")["name"]
    assert morsel.value.encode("latin-1").decode() == value


def test_every_attribute_has_its_place():
    line = set_cookie(
        max_age=timedelta(hours=1), path="/x", domain="example.org", secure=True, httponly=True, samesite="none"
    )
    assert line == "a=b; Max-Age=3600; Domain=example.org; Path=/x; Secure; HttpOnly; SameSite=None"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ({"name": ""}, "is not a token"),
        ({"name": "a;b"}, "is not a token"),
        ({"name": "a=b"}, "is not a token"),
        ({"name": "ż"}, "is not a token"),
        ({"path": "/;secure"}, "Path"),
        ({"path": "/\r\nX: y"}, "Path"),
        ({"domain": "ż.org"}, "Domain"),
        ({"samesite": "sometimes"}, "not Strict, Lax or None"),
        ({"samesite": "None"}, "secure=True"),
        ({"value": "x" * 4095}, "browsers keep 4096"),
    ],
)
def test_what_a_browser_would_drop_or_misread_is_refused(words, reason):
    with pytest.raises(ValueError, match=reason):
        set_cookie(**words)


def test_the_longest_cookie_is_kept():
    assert len(set_cookie(value="x" * 4094)) == 4096
