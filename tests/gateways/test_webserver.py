"""This file tests CGI from the web server's side: what a request becomes, and what is made of a response."""

from __future__ import annotations

import pytest

from penstock.gateways.webserver import MAX_HEAD, Head, MalformedHead, ResponseReader, cgi_params, parse_head
from penstock.protocol.params import decode, encode


def test_a_request_becomes_the_parameters_of_rfc_3875():
    assert cgi_params(
        "POST",
        "https://example.org:8443/a%2Fb%20c?d=%20e&f",
        [("Accept", "*/*"), ("Content-Type", "text/plain")],
        content_length=5,
        server=("192.0.2.1", 443),
        remote=("198.51.100.7", 5555),
    ) == {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "penstock",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": "POST",
        "REQUEST_SCHEME": "https",
        "HTTPS": "on",
        "REQUEST_URI": "/a%2Fb%20c?d=%20e&f",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/a/b c",
        "QUERY_STRING": "d=%20e&f",
        "SERVER_NAME": "example.org",
        "SERVER_ADDR": "192.0.2.1",
        "SERVER_PORT": "443",
        "REMOTE_ADDR": "198.51.100.7",
        "REMOTE_PORT": "5555",
        "CONTENT_TYPE": "text/plain",
        "CONTENT_LENGTH": "5",
        "HTTP_ACCEPT": "*/*",
        "HTTP_HOST": "example.org:8443",
    }


def test_a_path_alone_is_asked_of_localhost_over_http():
    params = cgi_params("GET", "/x")
    assert (params["SERVER_NAME"], params["SERVER_PORT"], params["HTTP_HOST"]) == ("localhost", "80", "localhost")
    assert params["REQUEST_SCHEME"] == "http"
    assert not {"HTTPS", "REMOTE_PORT", "CONTENT_LENGTH", "CONTENT_TYPE"} & set(params)


@pytest.mark.parametrize(
    ("url", "uri", "path", "query"),
    [
        ("/", "/", "/", ""),
        ("", "/", "/", ""),
        ("x", "/x", "/x", ""),
        ("/x?", "/x?", "/x", ""),
        ("/x?a?b#c", "/x?a?b", "/x", "a?b"),
        ("http://h", "/", "/", ""),
        ("http://h?a=1", "/?a=1", "/", "a=1"),
        ("HTTP://h/a", "/a", "/a", ""),
        ("/%41%zz%00", "/%41%zz%00", "/A%zz\0", ""),
        ("/a b\r\n", "/a%20b%0D%0A", "/a b\r\n", ""),
        ("/é?é", "/%C3%A9?%C3%A9", "/Ã©", "%C3%A9"),
        ("//x/../y", "//x/../y", "//x/../y", ""),
        ("/go?to=http://else.where/", "/go?to=http://else.where/", "/go", "to=http://else.where/"),
    ],
)
def test_a_path_is_decoded_once_and_the_uri_is_left_raw(url, uri, path, query):
    params = cgi_params("GET", url)
    assert (params["REQUEST_URI"], params["PATH_INFO"], params["QUERY_STRING"]) == (uri, path, query)


@pytest.mark.parametrize(
    ("url", "host", "name", "port"),
    [
        ("http://h/", None, "h", "80"),
        ("https://h/", None, "h", "443"),
        ("http://h:81/", None, "h", "81"),
        ("http://[::1]:81/", None, "[::1]", "81"),
        ("http://[::1]/", None, "[::1]", "80"),
        ("http://user:secret@h:81/", None, "h", "81"),
        ("http://h/", "other:82", "other", "82"),
        ("/", "other", "other", "80"),
    ],
)
def test_the_server_is_named_by_host_or_url(url, host, name, port):
    params = cgi_params("GET", url, [("Host", host)] if host else [])
    assert (params["SERVER_NAME"], params["SERVER_PORT"]) == (name, port)
    assert "secret" not in str(params)


def test_repeated_headers_are_joined_cookies_with_a_semicolon():
    params = cgi_params("GET", "/", [("X-A", "1"), ("cookie", "a=1"), ("x-a", " 2 "), ("Cookie", "b=2"), ("X-B", "")])
    assert (params["HTTP_X_A"], params["HTTP_COOKIE"], params["HTTP_X_B"]) == ("1, 2", "a=1; b=2", "")


def test_what_could_deceive_an_application_is_left_out():
    params = cgi_params("GET", "/", [("Proxy", "evil"), ("X_Forwarded_For", "evil"), ("Transfer-Encoding", "chunked")])
    assert "evil" not in params.values()
    assert "HTTP_TRANSFER_ENCODING" not in params


def test_a_content_length_header_counts_where_the_length_is_not_known():
    assert cgi_params("POST", "/", [("Content-Length", "7")])["CONTENT_LENGTH"] == "7"
    assert cgi_params("POST", "/", [("Content-Length", "7")], content_length=5)["CONTENT_LENGTH"] == "5"


def test_every_value_is_bytes_in_a_native_string():
    params = cgi_params("GET", "/\u4e2d", [("X-A", "\u4e2d"), ("X-B", "é")])
    assert params["HTTP_X_A"] == "\u4e2d".encode().decode("latin-1")
    assert params["HTTP_X_B"] == "é"
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in params.items()]
    assert dict(decode(encode(pairs))) == params


@pytest.mark.parametrize("method", ["", "GET /", "GE\nT", "é"])
def test_a_method_is_a_token(method):
    with pytest.raises(ValueError, match="no HTTP method"):
        cgi_params(method, "/")


@pytest.mark.parametrize(
    "header", [("", "x"), ("A B", "x"), ("A:", "x"), ("A\n", "x"), ("A", "x\r\nB: y"), ("A", "\0")]
)
def test_a_header_is_one_line(header):
    with pytest.raises(ValueError, match="header"):
        cgi_params("GET", "/", [header])


@pytest.mark.parametrize(
    ("block", "head"),
    [
        (b"A: b", Head(200, "OK", [("A", "b")])),
        (b"Status: 404 Gone Fishing\r\nA: b\r", Head(404, "Gone Fishing", [("A", "b")])),
        (b"A: b\nstatus:404\nA: c", Head(404, "Not Found", [("A", "b"), ("A", "c")])),
        (b"Location: /x\r\nStatus: 201 Created", Head(201, "Created", [("Location", "/x")])),
        (b"Status: 201\nLocation: /x", Head(201, "Created", [("Location", "/x")])),
        (b"location: /x", Head(302, "Found", [("location", "/x")])),
        (b"Status: 299", Head(299, "Unknown", [])),
        (b"Status: 100 Continue", Head(100, "Continue", [])),
        (b"A:\t b c \t\nB:", Head(200, "OK", [("A", "b c"), ("B", "")])),
        (b"A: \xe9:\xff", Head(200, "OK", [("A", "é:ÿ")])),
    ],
)
def test_a_head_is_read_as_web_servers_read_it(block, head):
    assert parse_head(block) == head


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"no colon",
        b": no name",
        b"A: b\r\n folded",
        b"A : b",
        b"A: b\0c",
        b"A: b\rc",
        b"\xe9: b",
        b"Status: OK",
        b"Status: 99",
        b"Status: 2000",
        b"Status: 200OK",
        b"Status: 0200 OK",
        b"HTTP/1.1 200 OK",
    ],
)
def test_what_is_no_head_is_refused(block):
    with pytest.raises(MalformedHead, match="the head of the response"):
        parse_head(block)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\n\n", b"\n\r\n"])
@pytest.mark.parametrize("size", [1, 2, 3, 1000])
def test_a_response_is_split_at_its_first_blank_line_however_it_comes(end, size):
    response = b"Status: 200 OK\r\nA: b" + end + b"\r\n\r\nbody\n\n"
    reader = ResponseReader()
    body = b"".join(reader.feed(response[at : at + size]) for at in range(0, len(response), size))
    assert body == b"\r\n\r\nbody\n\n"
    assert reader.finish() == Head(200, "OK", [("A", "b")])


def test_the_head_is_known_as_soon_as_it_is_whole():
    reader = ResponseReader()
    assert reader.feed(b"A: b\r\n\r") == b""
    assert reader.head is None
    assert reader.feed(b"\n") == b""
    assert reader.head == Head(200, "OK", [("A", "b")])


@pytest.mark.parametrize("begun", [b"\n", b"\r\n", b"\r\nA: b\r\n\r\n"])
def test_a_response_without_any_header_is_refused(begun):
    with pytest.raises(MalformedHead, match="no header at all"):
        ResponseReader().feed(begun)


def test_a_response_that_ends_too_early_is_refused():
    reader = ResponseReader()
    with pytest.raises(MalformedHead, match="empty response"):
        reader.finish()
    reader.feed(b"A: b\r\n")
    with pytest.raises(MalformedHead, match="ended inside its head"):
        reader.finish()


def test_a_head_without_end_is_given_up_at_64_kib():
    reader = ResponseReader()
    reader.feed(b"A: " + b"x" * (MAX_HEAD - 3))
    with pytest.raises(MalformedHead, match="no end within 65536 bytes"):
        reader.feed(b"x")
