"""Tests of the WSGI gateway: what the application is given, and the rules of start_response and write()."""

from __future__ import annotations

import io
import sys

import pytest

from penstock.gateways import wsgi
from penstock.gateways.request import TruncatedInput
from penstock.gateways.webserver import cgi_params
from penstock.testing import MemoryRequest
from tests.gateways.wsgi_calls import BOTH_WAYS, PLAIN, Chunks, answer, gateway, responding, run, validated


def seen_environ(params=None, **options):
    """The environ that an application sees."""
    seen: dict[str, object] = {}

    def app(environ, start_response):
        seen.update(environ)
        start_response("200 OK", PLAIN)
        return [b""]

    request = MemoryRequest(params or cgi_params("GET", "/"))
    wsgi.WSGIGateway(validated(app), new_reference=lambda: "x", **options)(request)
    assert request.status == 200, request.output
    return seen


class TestEnviron:
    def test_holds_the_parameters_and_what_pep_3333_asks_for(self):
        environ = seen_environ(cgi_params("GET", "https://example.org/a%20b?c=d"), multithread=True)
        assert environ["PATH_INFO"] == "/a b"
        assert environ["QUERY_STRING"] == "c=d"
        assert environ["wsgi.version"] == (1, 0)
        assert environ["wsgi.url_scheme"] == "https"
        assert environ["wsgi.input_terminated"] is True
        assert (environ["wsgi.multithread"], environ["wsgi.multiprocess"]) == (True, False)
        assert environ["wsgi.run_once"] is False

    def test_has_no_http_proxy(self):
        params = {**cgi_params("GET", "/"), "HTTP_PROXY": "http://evil.example"}
        assert "HTTP_PROXY" not in seen_environ(params)

    def test_what_the_application_does_to_it_stays_with_the_application(self):
        def app(environ, start_response):
            environ["REQUEST_METHOD"] = "EVIL"
            environ.pop("REQUEST_URI")
            environ["wsgi.url_scheme"] = "gopher"
            start_response("200 OK", PLAIN)
            return [b""]

        request = MemoryRequest(cgi_params("GET", "/here"))
        before = dict(request.params)
        for _ in range(2):
            gateway(app)(request)
            request.ended = False
            assert request.params == before
        assert seen_environ()["wsgi.url_scheme"] == "http"

    def test_errors_go_to_the_process_standard_error_of_the_moment(self, monkeypatch):
        def app(environ, start_response):
            environ["wsgi.errors"].write("hello\n")
            environ["wsgi.errors"].writelines(["a\n", "b\n"])
            environ["wsgi.errors"].flush()
            start_response("200 OK", PLAIN)
            return [b""]

        stderr = io.StringIO()
        monkeypatch.setattr(sys, "stderr", stderr)
        run(validated(app))
        assert stderr.getvalue() == "hello\na\nb\n"
        monkeypatch.setattr(sys, "stderr", None)  # as Python has it when descriptor 2 is closed at the start
        assert answer(run(app))[0] == "200 OK"

    @pytest.mark.parametrize("how", ["read", "readline", "readlines", "iteration"])
    def test_input_can_be_read_in_every_way_and_past_its_end(self, how):
        body = b"one\ntwo\n" + b"x" * 100_000

        def app(environ, start_response):
            stream = environ["wsgi.input"]
            if how == "read":
                read = stream.read(10) + b"".join(iter(lambda: stream.read(8192), b""))
            elif how == "readline":
                read = b"".join(iter(lambda: stream.readline(5), b""))
            elif how == "readlines":
                read = b"".join(stream.readlines())
            else:
                read = b"".join(stream)
            assert stream.read(1) == b""
            assert stream.readline() == b""
            start_response("200 OK", PLAIN)
            return [read]

        assert answer(run(validated(app), "POST", body=body))[2] == body


@BOTH_WAYS
class TestStartResponse:
    def test_a_second_call_is_an_error_of_the_application(self, via, caplog):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            start_response("201 Created", PLAIN)
            return [b"never"]

        assert answer(run(via(app)))[0] == "500 Internal Server Error"
        assert "a second time without exc_info" in caplog.text

    def test_with_exc_info_it_replaces_a_head_that_is_not_out(self, via):
        def app(environ, start_response):
            start_response("200 OK", [("Content-Type", "text/html"), ("X-Old", "1")])
            try:
                raise LookupError("late")
            except LookupError:
                start_response("503 Service Unavailable", [("Content-Type", "text/plain")], sys.exc_info())
            return [b"sorry"]

        status, headers, body = answer(run(via(app)))
        assert (status, body) == ("503 Service Unavailable", b"sorry")
        assert headers["Content-Type"] == "text/plain"
        assert "X-Old" not in headers

    def test_with_exc_info_it_raises_once_the_head_is_out(self, via, caplog):
        def app(environ, start_response):
            write = start_response("200 OK", PLAIN)
            write(b"begun")
            try:
                raise LookupError("too late")
            except LookupError:
                start_response("500 Oh", PLAIN, sys.exc_info())
            return [b"never"]

        request = run(via(app))
        assert request.aborted
        assert request.output.endswith(b"begun")
        assert "LookupError: too late" in caplog.text

    def test_a_generator_may_call_it_when_it_is_first_asked(self, via):
        def app(environ, start_response):
            start_response("200 OK", PLAIN)
            yield b""
            yield b"late"

        assert answer(run(via(app)))[::2] == ("200 OK", b"late")

    @pytest.mark.parametrize("kind", [list, tuple, Chunks])
    @pytest.mark.parametrize("chunks", [[], [b"x"], [b"x", b"y"]])
    def test_not_calling_it_is_a_500(self, via, kind, chunks, caplog):
        assert answer(run(via(lambda environ, start_response: kind(chunks))))[0] == "500 Internal Server Error"
        assert "start_response" in caplog.text


class TestHeaders:
    @pytest.mark.parametrize(
        ("status", "headers"),
        [
            ("200 OK", [("X-Name", "a\r\nSet-Cookie: evil")]),
            ("200 OK", [("X-Name\n", "evil")]),
            ("200 OK", [("Content-Type", "text/html\n\n<script>evil")]),
            ("200 OK\r\nSet-Cookie: evil", []),
            ("200 OK", [("X-Name", "evil\0")]),
            ("200 OK", [("X-Name", "evil\u20ac")]),
            ("200 OK", [("", "evil")]),
            ("200 OK", [("X-Name", b"evil")]),
            ("200 OK", [("X-Name", "evil" * 20_000)]),
            ("evil", []),
            (None, []),
        ],
    )
    def test_what_could_be_misread_is_a_500_and_nothing_of_it_leaves(self, status, headers, caplog):
        request = run(responding([b"the content"], status, headers))
        assert answer(request)[0] == "500 Internal Server Error"
        assert b"evil" not in request.output
        assert b"the content" not in request.output
        assert "BadResponse" in caplog.text

    def test_hop_by_hop_headers_are_left_out_and_logged_once(self, caplog):
        headers = [*PLAIN, ("Transfer-Encoding", "chunked"), ("Connection", "close")]
        for _ in range(3):
            assert answer(run(responding([b"x"], headers=headers)))[1] == {
                "Content-Type": "text/plain",
                "Content-Length": "1",
            }
        assert caplog.text.count("hop-by-hop") == 1
        assert "Transfer-Encoding, Connection" in caplog.text

    def test_a_head_that_nginx_would_refuse_is_sent_and_warned_of_once(self, caplog):
        headers = [*PLAIN, ("X-Long", "x" * 5000)]
        for _ in range(3):
            assert answer(run(responding([b"x"], headers=headers)))[1]["X-Long"] == "x" * 5000
        assert caplog.text.count("fastcgi_buffer_size") == 1

    def test_warnings_end_when_an_application_finds_ever_new_reasons(self, caplog):
        for number in range(300):
            run(responding([b"x"], headers=[*PLAIN, ("X-Long", "x" * (5000 + number))]))
        assert caplog.text.count("fastcgi_buffer_size") == 100


@BOTH_WAYS
class TestWrite:
    def test_sends_at_once_and_before_what_is_returned(self, via):
        order: list[object] = []

        def app(environ, start_response):
            write = start_response("200 OK", PLAIN)
            write(b"one ")
            order.append(bytes(request.output[-4:]))
            write(b"")
            write(b"two ")
            order.append(bytes(request.output[-4:]))
            return [b"three"]

        request = MemoryRequest(cgi_params("GET", "/"))
        gateway(via(app))(request)
        assert order == [b"one ", b"two "]
        assert answer(request) == ("200 OK", {"Content-Type": "text/plain"}, b"one two three")

    def test_is_held_to_the_content_length_too(self, via, caplog):
        def app(environ, start_response):
            write = start_response("200 OK", [*PLAIN, ("Content-Length", "4")])
            for _ in range(5):
                write(b"abc")
            return [b"def"]

        assert answer(run(via(app)))[2] == b"abca"
        assert caplog.text.count("more bytes than its Content-Length") == 1

    def test_sends_nothing_but_the_head_for_head(self, via):
        def app(environ, start_response):
            write = start_response("200 OK", PLAIN)
            write(b"one")
            write(b"two")
            return [b"three"]

        assert answer(run(via(app), "HEAD")) == ("200 OK", {"Content-Type": "text/plain"}, b"")


def test_write_takes_bytes_alone(caplog):
    def app(environ, start_response):
        start_response("200 OK", PLAIN)("text")
        return []

    assert answer(run(app))[0] == "500 Internal Server Error"
    assert "chunk of type str" in caplog.text


def test_a_truncated_input_passes_through_to_the_server_unless_the_application_takes_it():
    class Cut(io.BytesIO):
        def read(self, size=-1):
            raise TruncatedInput("cut")

    def careless(environ, start_response):
        environ["wsgi.input"].read()
        return responding([b"never"])(environ, start_response)

    def careful(environ, start_response):
        try:
            return careless(environ, start_response)
        except OSError:
            return responding([b"took it"])(environ, start_response)

    request = MemoryRequest(cgi_params("GET", "/"))
    request.stdin = Cut()
    with pytest.raises(TruncatedInput):
        gateway(careless)(request)
    assert not request.ended
    gateway(careful)(request)
    assert answer(request)[2] == b"took it"
