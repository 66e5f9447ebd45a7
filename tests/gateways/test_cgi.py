"""This file tests what plain CGI makes of environment and input; processes of their own are in tests/homes."""

from __future__ import annotations

import gc
import io
import os
import tempfile
from typing import IO

import pytest

from penstock.gateways import cgi
from penstock.gateways.cgi import TooLarge, cgi_pairs
from penstock.gateways.environ import BadRequest, merge, normalise
from penstock.gateways.request import TruncatedInput
from penstock.protocol.spec import Role
from tests.gateways.cgi_runs import GET, HELLO, admitted, post, run

# Parameters


def test_the_parameters_are_the_request_s_alone():
    own = {"PATH": "/bin", "HOME": "/", "AUTH_TOKEN": "secret", "SERVER_KEY": "secret", "PYTHONPATH": "x"}
    theirs = GET | {"HTTP_X_A": "a", "REDIRECT_STATUS": "200", "SSL_PROTOCOL": "TLSv1.3", "HTTPS": "on"}
    assert dict(cgi_pairs(own | theirs)) == theirs


def test_every_variable_of_the_specification_is_one_of_them():
    names = (
        "AUTH_TYPE CONTENT_LENGTH CONTENT_TYPE GATEWAY_INTERFACE PATH_INFO PATH_TRANSLATED QUERY_STRING REMOTE_ADDR"
        " REMOTE_HOST REMOTE_IDENT REMOTE_USER REQUEST_METHOD SCRIPT_NAME SERVER_NAME SERVER_PORT SERVER_PROTOCOL"
        " SERVER_SOFTWARE"
    )
    assert " ".join(name for name, _ in cgi_pairs(dict.fromkeys(names.split(" "), ""))) == names


def test_bytes_beyond_ascii_become_one_character_each():
    value = os.fsdecode(b"/\xc3\xa9\xff")
    assert cgi_pairs({"PATH_INFO": value}) == [("PATH_INFO", "/\xc3\xa9\xff")]


def test_parameters_are_repaired_like_those_of_fastcgi():
    # Apache with mod_rewrite in .htaccess: the program's file is not in the URL
    sent = GET | {
        "SCRIPT_NAME": "/dispatch/app.cgi",
        "PATH_INFO": "/x",
        "REQUEST_URI": "/dispatch/x",
        "HTTP_PROXY": "p",
    }
    fastcgi = merge(list(sent.items()))
    normalise(fastcgi)
    request = admitted(sent)
    assert request.params == fastcgi | {"FCGI_ROLE": "RESPONDER"}
    assert (request.params["SCRIPT_NAME"], request.params["PATH_INFO"]) == ("/dispatch", "/x")
    assert "HTTP_PROXY" not in request.params
    assert request.role is Role.RESPONDER


def test_a_mount_decides_where_the_path_is_split():
    request = admitted(GET | {"SCRIPT_NAME": "/app/x.cgi", "PATH_INFO": "/y"}, mount="/app")
    assert (request.params["SCRIPT_NAME"], request.params["PATH_INFO"]) == ("/app", "/x.cgi/y")


def test_a_client_cannot_say_what_the_role_is():
    assert admitted(GET | {"HTTP_FCGI_ROLE": "FILTER", "FCGI_ROLE": "FILTER"}).params["FCGI_ROLE"] == "RESPONDER"


# The body


@pytest.mark.parametrize("environ", [post(None), post(""), post("0"), GET])
def test_without_a_length_there_is_no_body_and_nothing_is_read(environ):
    stdin = io.BytesIO(b"not ours")
    assert admitted(environ, stdin).stdin.read() == b""
    assert stdin.tell() == 0


@pytest.mark.parametrize("read", [io.BufferedReader.read, io.BufferedReader.readline, lambda f: f.read(100)])
def test_not_one_byte_behind_the_body_is_read(read):
    stdin = io.BytesIO(b"12345and what is not the body")
    assert read(admitted(post(5), stdin).stdin) == b"12345"
    assert stdin.tell() == 5


def test_lines_and_pieces_of_the_body_are_read_as_from_any_file():
    body = admitted(post(10), io.BytesIO(b"ab\ncd\nefghij")).stdin
    assert body.readline() == b"ab\n"
    assert body.read(2) == b"cd"
    assert list(body) == [b"\n", b"efgh"]
    assert body.read() == b""


@pytest.mark.parametrize("sent", [post(None, HTTP_TRANSFER_ENCODING="Chunked"), post("-1")])
def test_a_body_of_unknown_length_ends_with_the_input_and_gets_its_length(sent):
    request = admitted(sent, io.BytesIO(b"x" * 70_000))
    assert request.params["CONTENT_LENGTH"] == "70000"
    assert "HTTP_TRANSFER_ENCODING" not in request.params
    assert request.stdin.read() == b"x" * 70_000


@pytest.mark.parametrize("length", ["5x", "+5", " 5", "5, 5", "٣", "1" * 20])
def test_a_length_that_is_none_is_refused(length):
    with pytest.raises(BadRequest, match="CONTENT_LENGTH"):
        admitted(post(length))


def test_a_body_over_the_limit_is_refused_before_it_is_read():
    stdin = io.BytesIO(b"x" * 11)
    with pytest.raises(TooLarge, match="a body of 11 bytes; 10 are allowed"):
        admitted(post(11), stdin, max_body=10)
    assert stdin.tell() == 0
    assert admitted(post(10), io.BytesIO(b"x" * 10), max_body=10).stdin.read() == b"x" * 10


def test_a_body_of_unknown_length_is_held_to_the_limit_as_well():
    with pytest.raises(TooLarge, match="more than the 10 bytes"):
        admitted(post("-1"), io.BytesIO(b"x" * 11), max_body=10)
    assert admitted(post("-1"), io.BytesIO(b"x" * 10), max_body=10).params["CONTENT_LENGTH"] == "10"


@pytest.mark.parametrize("read", [lambda f: f.read(), lambda f: f.read(4) + f.read(4)])
def test_a_body_that_ends_too_early_is_an_error_where_it_is_read(read):
    with pytest.raises(TruncatedInput, match="the body has 3 bytes, its CONTENT_LENGTH says 5"):
        read(admitted(post(5), io.BytesIO(b"abc")).stdin)


def test_an_input_that_is_reset_is_a_body_that_ends_too_early():
    class Reset(io.BytesIO):
        def read1(self, size=-1):
            raise ConnectionResetError(104, "Connection reset by peer")

    with pytest.raises(TruncatedInput, match="the body has 0 bytes"):
        admitted(post(5), Reset()).stdin.read()


@pytest.mark.parametrize(("memory", "files"), [(1 << 20, 0), (100_000, 1), (10, 1)])
def test_a_body_that_was_taken_in_for_a_large_response_is_read_as_if_nothing_had_happened(memory, files, monkeypatch):
    made: list[object] = []
    make = tempfile.TemporaryFile

    def noted(prefix: str) -> IO[bytes]:
        made.append(prefix)
        return make(prefix=prefix)

    monkeypatch.setattr(tempfile, "TemporaryFile", noted)
    monkeypatch.setattr(cgi, "BODY_MEMORY", memory)
    content = bytes(range(256)) * 1000
    stdin = io.BytesIO(content)
    request = admitted(post(len(content)), stdin)
    assert request.stdin.read(10) == content[:10]
    request.write(b"x" * cgi.HELD_INPUT)
    assert stdin.tell() < len(content), "a small response takes nothing in"
    request.write(b"x")
    assert stdin.tell() == len(content)
    assert request.stdin.read() == content[10:]
    assert len(made) == files
    request.stdin.close()


@pytest.mark.parametrize("max_body", [None, 150_000])
def test_no_file_is_left_open(max_body, monkeypatch):
    monkeypatch.setattr(cgi, "BODY_MEMORY", 10)
    run(lambda request: request.finish(HELLO), post("-1"), b"x" * 200_000, max_body=max_body)
    gc.collect()  # a file that is collected while it is open makes a warning, and so an error of this test


def test_a_truncated_body_that_was_taken_in_is_an_error_behind_what_there_was():
    request = admitted(post(5), io.BytesIO(b"abc"))
    request.write(b"x" * (cgi.HELD_INPUT + 1))
    assert request.stdin.read(3) == b"abc"
    with pytest.raises(TruncatedInput):
        request.stdin.read(3)
