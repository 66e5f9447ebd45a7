"""This file tests what applications of flup's FastCGI servers may say, and what they get."""

# ruff: noqa: N802 - flup's names

from __future__ import annotations

import sys
from wsgiref.validate import validator

import pytest

from penstock.compat.flup.handling import HookedGateway
from penstock.compat.flup.server import fcgi
from penstock.compat.flup.server.fcgi_base import FCGI_AUTHORIZER
from penstock.protocol.spec import Role
from penstock.testing import run_gateway
from tests.compat.flup.live import PLAIN, answer, entries, hello, show


def serve(application, **options) -> fcgi.WSGIServer:
    return fcgi.WSGIServer(application, **options)


# -- what an application may say


def test_status_and_headers_may_be_bytes():
    def application(environ, start_response):
        start_response(b"404 Gone fishing", [(b"X-A", b"b"), ("X-C", b"d"), (b"Content-Type", "text/plain")])
        return [b"x"]

    response = answer(serve(application))
    assert (response.status, response.reason, response.get("X-A"), response.get("X-C")) == (
        404,
        "Gone fishing",
        "b",
        "d",
    )


def test_a_status_may_end_in_its_space():
    def application(environ, start_response):
        start_response(b"401 ", [(b"Location", b"/login")])
        return []

    assert answer(serve(application)).head[:2] == (401, "Unauthorized")


@pytest.mark.parametrize("make", [list, tuple, iter], ids=["list", "tuple", "iterator"])
def test_the_body_may_be_text_of_latin_1_and_bytes(make):
    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        return make(["caf\xe9 ", b"au lait", "", b""])

    assert answer(serve(application)).body == b"caf\xe9 au lait"


def test_a_body_that_is_a_string_is_sent_character_by_character():
    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        return "not found"

    assert answer(serve(application)).body == b"not found"


def test_write_takes_text_too():
    def application(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write("caf\xe9")
        write(b"!")
        write("")
        return []

    assert answer(serve(application)).body == b"caf\xe9!"


def test_a_single_piece_gets_its_length():
    assert answer(serve(hello)).get("Content-Length") == "5"


def test_the_iterables_close_is_called():
    closed = []

    class Body:
        def __iter__(self):
            return iter(["a", "b"])

        def close(self):
            closed.append(True)

    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        return Body()

    assert answer(serve(application)).body == b"ab"
    assert closed == [True]


def test_an_application_by_the_book_passes_the_validator():
    def application(environ, start_response):
        environ["wsgi.errors"].write("")
        environ["wsgi.input"].read(10)
        start_response("200 OK", PLAIN)
        return [b"valid"]

    assert answer(serve(validator(application)), "POST", "/", b"0123456789").body == b"valid"


# -- what it gets


def test_environ_goes_over_what_the_web_server_sends_and_not_over_what_the_gateway_sets():
    server = serve(show, environ={"A": "1", "SERVER_NAME": "mine", "wsgi.input": "stolen", "wsgi.mine": "kept"})
    found = entries(answer(server, A="0", SERVER_NAME="theirs"))
    assert (found["A"], found["SERVER_NAME"], found["wsgi.mine"]) == ("1", "mine", "kept")
    assert "BytesIO" in found["wsgi.input"]


def test_https_in_environ_makes_the_scheme_https():
    assert entries(answer(serve(show)))["wsgi.url_scheme"] == "http"
    assert entries(answer(serve(show, environ={"HTTPS": "on"})))["wsgi.url_scheme"] == "https"


def test_script_name_in_environ_leaves_the_path_to_be_found_again():
    server = serve(show, environ={"SCRIPT_NAME": ""})
    found = entries(answer(server, "GET", "/app/", SCRIPT_NAME="/app", PATH_INFO=""))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("", "/app/")
    found = entries(answer(server, "GET", "/app.fcgi/x", SCRIPT_NAME="/app.fcgi", PATH_INFO="/x"))
    assert (found["SCRIPT_NAME"], found["PATH_INFO"]) == ("", "/x")


def test_a_path_from_the_request_uri_is_decoded():
    found = entries(answer(serve(show), "GET", "/a%20b", SCRIPT_NAME="", PATH_INFO=""))
    assert found["PATH_INFO"] == ""  # it was sent, so it counts
    params = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/a%20b?c"}
    gateway = HookedGateway(serve(show), multithread=False, multiprocess=False)
    assert entries(run_gateway(gateway, params))["PATH_INFO"] == "/a b"


def test_an_authorizer_has_a_method_even_if_none_was_sent():
    server = serve(show, roles=(FCGI_AUTHORIZER,))
    gateway = HookedGateway(server, multithread=False, multiprocess=False)
    found = entries(run_gateway(gateway, {"REQUEST_URI": "/"}, role=Role.AUTHORIZER))
    assert (found["REQUEST_METHOD"], found["FCGI_ROLE"]) == ("GET", "AUTHORIZER")


def test_a_sanitize_hook_has_the_last_word_on_the_environ():
    class Server(fcgi.WSGIServer):
        def _sanitizeEnv(self, environ):
            fcgi.WSGIServer._sanitizeEnv(self, environ)
            environ["SCRIPT_NAME"] = "/mine"

    assert entries(answer(Server(show)))["SCRIPT_NAME"] == "/mine"


def test_wsgi_errors_and_req_stderr_take_text_and_bytes_and_go_to_standard_error(capsys):
    def application(environ, start_response):
        environ["wsgi.errors"].write("text\n")
        environ["wsgi.errors"].write(b"bytes\n")
        environ["wsgi.errors"].writelines(["a\n", "b\n"])
        environ["wsgi.errors"].flush()
        return hello(environ, start_response)

    answer(serve(application))
    assert capsys.readouterr().err == "text\nbytes\na\nb\n"


def test_without_a_standard_error_nothing_fails(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)

    def application(environ, start_response):
        environ["wsgi.errors"].write("text\n")
        environ["wsgi.errors"].flush()
        return hello(environ, start_response)

    assert answer(serve(application)).status == 200
