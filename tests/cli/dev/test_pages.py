"""This file tests what stands between server and application under `penstock dev`: which errors become pages."""

from __future__ import annotations

import html
import importlib.util
import re
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

from penstock.cli.dev.pages import Debugged, is_local, unloadable
from penstock.gateways.request import Disconnected
from penstock.server.importer import AppError


def call(application, **environ):
    """(status, headers, body); as with our server, exc_info after the first bytes raises."""
    said: list = []
    sent = bytearray()

    def start_response(status, headers, exc_info=None):
        if exc_info is not None and sent:
            raise exc_info[1]
        said[:] = [status, dict(headers)]
        return sent.extend

    environ = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/x", "QUERY_STRING": "", "REMOTE_ADDR": "127.0.0.1", **environ}
    setup_testing_defaults(environ)
    result = application(environ, start_response)
    try:
        for piece in result:
            sent += piece
    finally:
        if hasattr(result, "close"):
            result.close()
    return said[0], said[1], bytes(sent)


def text_of(body: bytes) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", body.decode()))


def raises_at_once(environ, start_response):
    raise LookupError("at once")


def raises_after_start(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise LookupError("after start")


def raises_as_generator(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    raise LookupError("as generator")
    yield b""


def exits(environ, start_response):
    raise SystemExit(3)


def returns_none(environ, start_response):
    start_response("200 OK", [])


def returns_text(environ, start_response):
    start_response("200 OK", [])
    return ["text"]


def starts_nothing(environ, start_response):
    return [b"body"]


@pytest.mark.parametrize(
    ("application", "heading"),
    [
        (raises_at_once, "LookupError: at once"),
        (raises_after_start, "LookupError: after start"),
        (raises_as_generator, "LookupError: as generator"),
        (exits, "SystemExit: 3"),
        (returns_none, "TypeError: the application returned None; it has to return an iterable of bytes"),
        (returns_text, "TypeError: a WSGI application returns pieces of bytes, not of str"),
        (starts_nothing, "RuntimeError: the application returned without having called start_response()"),
    ],
)
def test_whatever_goes_wrong_before_the_first_bytes_becomes_a_page(application, heading):
    status, headers, body = call(Debugged(application))
    assert status == "500 Internal Server Error"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    assert headers["Cache-Control"] == "no-store"
    assert f"<h1>{html.escape(heading)}</h1>" in body.decode()
    assert "GET /x" in text_of(body)


def test_the_traceback_goes_to_the_log_too(caplog):
    call(Debugged(raises_at_once))
    assert "LookupError: at once" in caplog.text
    assert "GET /x" in caplog.text


def test_after_the_first_bytes_the_error_is_the_server_s():
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"part"
        raise LookupError("late")

    with pytest.raises(LookupError, match="late"):
        call(Debugged(application))


@pytest.mark.parametrize(
    "environ",
    [
        {"REMOTE_ADDR": "192.0.2.7"},
        {"REMOTE_ADDR": ""},
        {"REMOTE_ADDR": "127.0.0.1", "HTTP_X_FORWARDED_FOR": "192.0.2.7"},
        {"REMOTE_ADDR": "::1", "HTTP_FORWARDED": "for=192.0.2.7"},
    ],
)
@pytest.mark.parametrize("application", [raises_at_once, raises_as_generator])
def test_a_browser_elsewhere_gets_no_traceback(application, environ):
    with pytest.raises(LookupError):
        call(Debugged(application), **environ)


@pytest.mark.parametrize("address", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_a_browser_on_this_machine_does(address):
    assert is_local({"REMOTE_ADDR": address})


def test_a_client_that_has_left_is_no_error_of_the_application():
    def application(environ, start_response):
        raise Disconnected("gone")

    with pytest.raises(Disconnected):
        call(Debugged(application))


def test_a_list_of_bytes_passes_as_it_is():
    body = [b"a", b"b"]

    def application(environ, start_response):
        start_response("200 OK", [])
        return body

    assert Debugged(application)({}, lambda *_: bytearray().extend) is body


def test_the_iterable_of_the_application_is_closed_also_after_an_error():
    class Body:
        closed = 0

        def __iter__(self):
            raise LookupError("in the body")

        def close(self):
            self.closed += 1

    body = Body()

    def application(environ, start_response):
        start_response("200 OK", [])
        return body

    assert call(Debugged(application))[0].startswith("500")
    assert body.closed == 1


@pytest.mark.parametrize("pieces", [[b"one"], [b"one", b"two"], []])
@pytest.mark.parametrize("as_generator", [False, True])
def test_a_sound_application_stays_one(pieces, as_generator):
    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (piece for piece in pieces) if as_generator else pieces

    status, headers, body = call(validator(Debugged(application)))
    assert (status, headers, body) == ("200 OK", {"Content-Type": "text/plain"}, b"".join(pieces))


def failed_app(tmp_path) -> AppError:
    error = AppError("blog cannot be imported: <b>", "Traceback ...", "did you mean blog:app?")
    path = tmp_path / "blog.py"
    path.write_text("1 / 0\n")
    spec = importlib.util.spec_from_file_location("blog", path)
    assert spec is not None
    assert spec.loader is not None
    try:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except ZeroDivisionError as cause:
        error.__cause__ = cause
    return error


def test_an_application_that_could_not_be_loaded_answers_with_the_reason_and_the_hint(tmp_path):
    status, _, body = call(unloadable(failed_app(tmp_path)))
    assert status == "500 Internal Server Error"
    assert b"<h1>blog cannot be imported: &lt;b&gt;</h1>" in body
    assert "did you mean blog:app?" in text_of(body)
    assert f"{tmp_path}/blog.py:1" in text_of(body)


def test_the_reason_is_not_for_browsers_elsewhere(tmp_path):
    status, _, body = call(unloadable(failed_app(tmp_path)), REMOTE_ADDR="192.0.2.7")
    assert status == "500 Internal Server Error"
    assert "blog" not in text_of(body)
