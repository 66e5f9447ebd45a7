"""This file tests how a jonpy request sets headers, and what of them goes out."""

from __future__ import annotations

import pytest

from penstock.compat.jon import cgi
from penstock.gateways.response import BadResponse
from tests.compat.jon.asking import ask, run


def test_the_default_type_is_that_of_jonpy_and_the_status_200():
    answer = ask(lambda req: None)
    assert answer.status == 200
    assert answer.headers == [("Content-Type", "text/html; charset=iso-8859-1"), ("Content-Length", "0")]


def test_set_header_replaces_and_add_header_does_not():
    def process(req):
        req.set_header("content-type", "text/plain")
        req.add_header("Set-Cookie", "a=1")
        req.add_header("set-cookie", "b=2")
        req.set_header("X-Number", 5)

    assert ask(process).headers == [
        ("content-type", "text/plain"),
        ("Set-Cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("X-Number", "5"),
        ("Content-Length", "0"),
    ]


def test_get_header_has_an_index_and_none_for_what_is_not_there():
    def process(req):
        req.add_header("X", "1")
        req.add_header("x", "2")
        assert [req.get_header("X", index) for index in (0, 1, 2, -1)] == ["1", "2", None, None]
        assert req.get_header("Y") is None
        req.write("seen")

    assert ask(process).body == b"seen"


def test_del_header_takes_all_of_a_name_and_clear_headers_everything():
    def process(req):
        req.add_header("X", "1")
        req.add_header("x", "2")
        req.del_header("X")
        assert req.get_header("x") is None
        req.clear_headers()
        assert req.get_header("Content-Type") is None
        req.set_header("Y", "3")

    assert ask(process).get("Y") == "3"


def test_append_header_value_keeps_a_list_without_repeats_and_returns_it():
    def process(req):
        assert req.append_header_value("Vary", "Cookie") == "Cookie"
        assert req.append_header_value("vary", "Accept") == "Cookie, Accept"
        assert req.append_header_value("Vary", "COOKIE") == "Cookie, Accept"

    assert ask(process).get("Vary") == "Cookie, Accept"


@pytest.mark.parametrize(
    "late",
    [
        lambda req: req.output_headers(),
        lambda req: req.clear_headers(),
        lambda req: req.add_header("X", "1"),
        lambda req: req.set_header("X", "1"),
        lambda req: req.del_header("X"),
    ],
)
def test_what_comes_after_the_headers_raises(late):
    def process(req):
        req.output_headers()
        with pytest.raises(cgi.SequencingError):
            late(req)
        req.write("raised")

    assert ask(process).body == b"raised"


def test_status_is_a_header_and_goes_out_last():
    def process(req):
        req.set_header("Status", "404 Not Found")
        req.set_header("X", "1")

    request = run(process)
    assert request.status == 404
    assert request.output.endswith(b"X: 1\r\nContent-Length: 0\r\nStatus: 404 Not Found\r\n\r\n")


@pytest.mark.parametrize(("location", "status"), [("http://example.com/", None), ("/local", None), ("/x", "301 Moved")])
def test_a_location_without_a_status_is_a_redirect_that_the_client_sees(location, status):
    def process(req):
        req.set_header("Location", location)
        if status:
            req.set_header("Status", status)

    answer = ask(process)
    assert answer.status == (301 if status else 302)
    assert answer.get("Location") == location


@pytest.mark.parametrize(
    ("name", "value"),
    [("X", "a\r\nSet-Cookie: evil=1"), ("X", "a\nb"), ("X\r\nY", "a"), ("X Y", "a"), ("", "a"), ("Status", "2\n00")],
)
@pytest.mark.parametrize("method", ["add_header", "set_header"])
def test_a_header_that_would_smuggle_a_line_in_raises_where_it_is_set(name, value, method):
    def process(req):
        req.set_header("X", "before")
        with pytest.raises(BadResponse):
            getattr(req, method)(name, value)
        req.write(req.get_header("X"))

    answer = ask(process)
    assert answer.body == b"before"
    assert answer.status == 200


def test_a_header_that_cannot_be_sent_after_all_is_a_500_and_the_log_names_it(caplog):
    def process(req):
        req.add_header("Content-Length", "1")
        req.add_header("Content-Length", "2")

    answer = ask(process)
    assert answer.status == 500
    assert "'Content-Length' is given twice" in caplog.text


def test_text_in_headers_goes_out_as_utf_8_and_as_the_bytes_that_came_in():
    def process(req):
        req.set_header("X-Text", "naïve €")
        req.set_header("X-Bytes", "naïve".encode())
        req.set_header("X-Path", req.environ["PATH_INFO"])

    answer = ask(process, url="/caf%e9%c3%a9")
    assert answer.get("X-Text") == "naïve €".encode().decode("latin-1")
    assert answer.get("X-Bytes") == "naïve".encode().decode("latin-1")
    assert answer.get("X-Path") == "/caf\xe9\xc3\xa9"


def test_the_environment_is_text_and_cookies_are_a_simple_cookie():
    seen: list[object] = []

    def process(req):
        seen.extend(req.environ[name] for name in ("PATH_INFO", "QUERY_STRING", "FCGI_ROLE"))
        seen.append({name: morsel.value for name, morsel in req.cookies.items()})

    ask(process, url="/%c3%a9?x", headers=[("Cookie", 'a="1\\073 2"; a(b=3; =; broken; last=4')])
    assert seen == ["/é", "x", "RESPONDER", {"a": "1; 2", "last": "4"}]


def test_a_request_without_cookies_has_none():
    ask(lambda req: req.write(len(req.cookies)), "GET")
    assert ask(lambda req: req.write(len(req.cookies))).body == b"0"
