"""This file tests flup's middleware: responses that are compressed, and failures that are reported by e-mail."""

from __future__ import annotations

import gzip
import io
import os
import smtplib
import time
from wsgiref.validate import validator

import pytest

from penstock.compat.flup.middleware.error import ErrorMiddleware
from penstock.compat.flup.middleware.gzip import GzipMiddleware
from penstock.compat.flup.server import fcgi
from penstock.gateways.request import Disconnected
from penstock.gateways.webserver import Response
from penstock.testing import Aborted
from tests.compat.flup.live import PLAIN, answer

TEXT = b"the same words again and again " * 100


def ask(application, *, encoding="gzip", method="GET", **params) -> Response:
    """Ask through the server, between two validators."""
    server = fcgi.WSGIServer(validator(application))
    return answer(server, method, "/", HTTP_ACCEPT_ENCODING=encoding, **params)


def says(*pieces, kind="text/plain", status="200 OK", as_list=False, headers=()):
    """An application with this body."""

    def application(environ, start_response):
        start_response(status, [("Content-Type", kind), ("Content-Length", str(sum(map(len, pieces)))), *headers])
        return list(pieces) if as_list else iter(pieces)

    return validator(application)


# -- gzip


@pytest.mark.parametrize("as_list", [True, False])
def test_text_is_compressed_whole_with_its_trailer(as_list):
    response = ask(GzipMiddleware(says(TEXT, b"", b"end", as_list=as_list)))
    assert gzip.decompress(response.body) == TEXT + b"end"  # which checks length and checksum in the trailer
    assert len(response.body) < len(TEXT) // 5
    assert response.get("Content-Encoding") == "gzip"
    assert response.get("Vary") == "Accept-Encoding"
    assert response.get("Content-Length") in (None, str(len(response.body)))


def test_what_is_written_is_compressed_too():
    def application(environ, start_response):
        write = start_response("200 OK", PLAIN)
        write(TEXT)
        return [b"end"]

    assert gzip.decompress(ask(GzipMiddleware(validator(application))).body) == TEXT + b"end"


def test_text_that_is_no_bytes_is_taken_as_flups_server_takes_it():
    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        return ["caf\xe9"]

    response = answer(fcgi.WSGIServer(GzipMiddleware(application)), HTTP_ACCEPT_ENCODING="gzip")
    assert gzip.decompress(response.body) == b"caf\xe9"


@pytest.mark.parametrize("encoding", ["", "identity", "gzip;q=0", "deflate"])
def test_who_does_not_want_gzip_gets_none(encoding):
    response = ask(GzipMiddleware(says(TEXT)), encoding=encoding)
    assert (response.body, response.get("Content-Encoding")) == (TEXT, None)


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("text/html; charset=utf-8", True),
        ("application/xml", True),
        ("application/atom+xml", True),
        ("application/xml-dtd", False),
        ("application/json", False),
        ("image/png", False),
        ("application/x-text/plain", False),
    ],
)
def test_the_types_that_flup_compresses(kind, wanted):
    response = ask(GzipMiddleware(says(TEXT, kind=kind)))
    assert (response.get("Content-Encoding") == "gzip") is wanted
    assert (gzip.decompress(response.body) if wanted else response.body) == TEXT


def test_types_of_the_programs_own_choice():
    middleware = GzipMiddleware(says(TEXT, kind="application/json"), ["application/.*"], 1)
    assert gzip.decompress(ask(middleware).body) == TEXT
    assert ask(GzipMiddleware(says(TEXT), mime_types=[])).body == TEXT


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        ("206 Partial Content", [("Content-Range", "bytes 0-9/100")]),
        ("200 OK", [("Content-Encoding", "br")]),
        ("200 OK", [("Cache-Control", "no-transform")]),
    ],
)
def test_what_must_not_be_compressed_is_not(status, headers):
    assert ask(GzipMiddleware(says(TEXT, status=status, headers=headers))).body == TEXT


def test_a_response_to_head_is_left_alone():
    response = ask(GzipMiddleware(says(TEXT, as_list=True)), method="HEAD")
    assert (response.body, response.get("Content-Length")) == (b"", str(len(TEXT)))


def test_an_answer_without_a_body_stays_without():
    def application(environ, start_response):
        start_response("304 Not Modified", [("Content-Type", "text/plain")])
        return []

    response = answer(fcgi.WSGIServer(GzipMiddleware(application)), HTTP_ACCEPT_ENCODING="gzip")
    assert (response.status, response.body, response.get("Content-Encoding")) == (304, b"", None)


# -- errors


class Mail:
    """Takes the place of smtplib.SMTP.

    Attributes:
        sent: the e-mails.
        broken: the mail server is away.
    """

    def __init__(self) -> None:
        self.sent: list = []
        self.broken = False

    def __call__(self, host, timeout=None):
        if self.broken:
            raise ConnectionRefusedError("nobody there")
        assert host == "localhost"
        assert timeout
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def send_message(self, message):
        self.sent.append(message)


@pytest.fixture
def mail(monkeypatch):
    """Collects e-mails instead of sending them."""
    mail = Mail()
    monkeypatch.setattr(smtplib, "SMTP", mail)
    return mail


def failing(environ, start_response):
    raise LookupError("on <purpose>")


def failing_late(environ, start_response):
    start_response("200 OK", [*PLAIN, ("X-Before", "1")])
    yield b""
    raise LookupError("on <purpose>")


@pytest.mark.parametrize("application", [failing, failing_late])
def test_a_failure_shows_the_page_with_a_status_that_says_so(application, mail, capsys):
    middleware = ErrorMiddleware(application, "admin@example.test", errorPage="<h1>sorry</h1>")
    response = ask(middleware)
    assert (response.status, response.body) == (500, b"<h1>sorry</h1>")
    assert response.get("Content-Type") == "text/html"
    assert response.get("X-Before") is None
    assert "LookupError: on <purpose>" in capsys.readouterr().err
    (message,) = mail.sent
    assert (message["To"], message["From"]) == ("admin@example.test", "wsgiapp")
    assert message["Subject"].endswith(f"{application.__name__}: unhandled exception")
    plain, html = message.iter_parts()
    assert "LookupError: on <purpose>" in plain.get_content()
    assert "LookupError: on &lt;purpose&gt;" in html.get_content()


def test_an_application_that_works_is_left_alone(mail):
    for as_list in (True, False):
        assert ask(ErrorMiddleware(says(TEXT, as_list=as_list), "a@b.test", errorPage="")).body == TEXT
    assert mail.sent == []


def test_a_failure_in_the_middle_of_a_response_breaks_it_off_and_is_reported(mail, caplog):
    def application(environ, start_response):
        start_response("200 OK", PLAIN)
        yield b"half"
        raise LookupError("on purpose")

    with pytest.raises(Aborted):
        ask(ErrorMiddleware(application, "a@b.test", errorPage=""))
    assert len(mail.sent) == 1


def test_a_client_that_has_left_is_no_failure(mail):
    def application(environ, start_response):
        raise Disconnected("gone")

    with pytest.raises(Disconnected):
        answer(fcgi.WSGIServer(ErrorMiddleware(application, "a@b.test", errorPage="")))
    assert mail.sent == []


def test_the_page_may_be_a_file(tmp_path, monkeypatch, mail):
    (tmp_path / "error.html").write_bytes(b"<h1>file</h1>")
    monkeypatch.chdir(tmp_path)
    assert ask(ErrorMiddleware(failing, None)).body == b"<h1>file</h1>"
    with pytest.raises(FileNotFoundError):
        ErrorMiddleware(failing, None, errorPageFile="none.html")


def test_with_debug_the_page_has_the_traceback_and_no_mail_is_sent(mail):
    response = ask(ErrorMiddleware(failing, "a@b.test", errorPage="", debug=True))
    assert response.status == 500
    assert b"LookupError: on &lt;purpose&gt;" in response.body
    assert mail.sent == []


def test_without_an_administrator_no_mail_is_sent(mail):
    assert ask(ErrorMiddleware(failing, None, errorPage="x")).body == b"x"
    assert mail.sent == []


def test_mails_keep_their_distance(mail, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    middleware = ErrorMiddleware(failing, "a@b.test", errorPage="", emailInterval=1)
    counts = []
    for seconds in (0, 59, 2, 1):
        now[0] += seconds
        ask(middleware)
        counts.append(len(mail.sent))
    assert counts == [1, 1, 2, 2]


def test_processes_that_run_once_remember_the_last_mail_in_a_file(mail, tmp_path):
    file = tmp_path / "check"
    environ = {"wsgi.run_once": True, "wsgi.errors": io.StringIO()}
    middleware = ErrorMiddleware(failing, "a@b.test", errorPage="", emailInterval=1, intervalCheckFile=str(file))
    assert middleware._shouldSendEmail(environ)
    assert file.exists()
    assert not middleware._shouldSendEmail(environ)
    os.utime(file, (0, 0))
    assert middleware._shouldSendEmail(environ)
    assert not middleware._shouldSendEmail(environ)


def test_a_file_that_cannot_be_written_is_told_and_the_mail_sent(mail, tmp_path):
    environ = {"wsgi.run_once": True, "wsgi.errors": io.StringIO()}
    middleware = ErrorMiddleware(failing, "a@b.test", errorPage="", intervalCheckFile=str(tmp_path / "no" / "x"))
    assert middleware._shouldSendEmail(environ)
    assert "cannot be kept" in environ["wsgi.errors"].getvalue()  # type: ignore[attr-defined]


def test_a_mail_server_that_is_away_does_not_take_the_page_away(mail, capsys):
    mail.broken = True
    assert ask(ErrorMiddleware(failing, "a@b.test", errorPage="page")).body == b"page"
    assert "could not be sent" in capsys.readouterr().err


def test_programs_override_the_page_and_the_mail(mail):
    class Middleware(ErrorMiddleware):
        def displayErrorPage(self, environ, start_response):  # noqa: N802 - flup's names
            start_response("302 Found", [("Location", "/sorry"), *PLAIN])
            return [b"moved"]

        def _generatePlainErrorEmail(self):  # noqa: N802
            return "short"

    response = ask(Middleware(failing, "a@b.test", errorPage="", applicationName="shop"))
    assert (response.status, response.get("Location")) == (302, "/sorry")
    assert mail.sent[0]["Subject"] == "shop: unhandled exception"
    assert next(mail.sent[0].iter_parts()).get_content() == "short\n"
