"""This file tests how a handler answers: buffer and stream, Content-Length, headers, cookies, redirects, HEAD."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.handler_output import BUFFER, OutOfTurn
from penstock.gateways.response import BadResponse
from penstock.testing import Aborted, MemoryRequest
from tests.gateways.asking import ask, gateway, handler, params, run
from tests.gateways.responses import parse


class TestBody:
    def test_a_small_answer_is_one_write_with_its_length(self):
        def process(request):
            request.write("Hello, ")
            request.write(b"world")
            request.write(bytearray(b"!"))
            request.write(memoryview(b"\n"))

        request = run(process)
        (output,) = request.writes
        status, fields, body = parse(output)
        assert status == "200 OK"
        assert fields == [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "14")]
        assert body == b"Hello, world!\n"
        assert (request.status, request.body_length) == (200, 14)

    def test_text_goes_out_as_utf_8(self):
        assert ask(lambda request: request.write("Żółw 亀")).body == "Żółw 亀".encode()

    @pytest.mark.parametrize("wrong", [5, None, ["x"], {"a": 1}])
    def test_other_things_are_no_body(self, wrong):
        def process(request):
            with pytest.raises(TypeError, match=f"not {type(wrong).__name__}"):
                request.write(wrong)

        assert ask(process).status == 200

    def test_what_is_written_later_does_not_change_what_was_written(self):
        def process(request):
            buffer = bytearray(b"one")
            request.write(buffer)
            buffer[:] = b"two"

        assert ask(process).body == b"one"

    def test_after_flush_each_write_goes_out_at_once(self):
        sizes = []

        def process(request):
            request.write("a")
            request.write("b")
            sizes.append(len(raw.writes))
            request.flush()
            sizes.append(len(raw.writes))
            request.write("c")
            sizes.append(len(raw.writes))

        raw = MemoryRequest(params())
        gateway(handler(process))(raw)
        assert sizes == [0, 1, 2]
        assert b"Content-Length" not in raw.output
        assert raw.output.endswith(b"\r\n\r\nabc")

    def test_flush_sends_the_head_alone_where_nothing_was_written(self):
        def process(request):
            request.flush()
            assert request.head_sent
            assert raw.output.endswith(b"Status: 200 OK\r\n\r\n")

        raw = MemoryRequest(params())
        gateway(handler(process))(raw)

    def test_a_big_answer_is_sent_in_pieces_and_never_held_whole(self):
        piece = b"x" * 10_000

        def process(request):
            for _ in range(100):
                request.write(piece)

        request = run(process)
        assert request.body_length == 1_000_000
        assert 3 <= len(request.writes) <= 6
        assert max(map(len, request.writes)) <= BUFFER + len(piece) + 200

    def test_a_big_piece_is_not_copied_behind_its_head(self):
        request = run(lambda request: request.write(b"x" * 1_000_000))
        assert request.writes[0].endswith(b"Status: 200 OK\r\n\r\n")
        assert request.writes[1] == b"x" * 1_000_000

    def test_an_answer_as_big_as_the_buffer_has_its_length(self):
        assert ask(lambda request: request.write(b"x" * BUFFER)).get("Content-Length") == str(BUFFER)

    def test_clear_starts_the_answer_over(self):
        def process(request):
            request.status = 404
            request.set_header("X-Old", "1")
            request.write("old")
            request.clear()
            request.write("new")

        response = ask(process)
        assert (response.status, response.body, response.get("X-Old")) == (200, b"new", None)

    def test_writing_after_the_end_is_an_error(self):
        def process(request):
            request.end()
            with pytest.raises(OutOfTurn):
                request.write("x")

        assert ask(process).body == b""

    @given(pieces=st.lists(st.one_of(st.binary(max_size=2000), st.none()), max_size=12))
    def test_the_body_is_what_was_written_however_often_it_is_flushed(self, pieces):
        def process(request):
            for piece in pieces:
                if piece is None:
                    request.flush()
                else:
                    request.write(piece)

        request = run(process)
        body = b"".join(piece for piece in pieces if piece is not None)
        assert parse(request.output)[2] == body
        assert request.body_length == len(body)


class TestContentLength:
    def test_one_of_the_handlers_own_lets_a_stream_have_it(self):
        def process(request):
            request.set_header("Content-Length", "2")
            request.flush()
            request.write("ab")

        response = ask(process)
        assert (response.get("Content-Length"), response.body) == ("2", b"ab")

    @pytest.mark.parametrize("streams", [False, True])
    def test_more_than_it_says_is_cut_and_logged(self, streams, caplog):
        def process(request):
            request.set_header("Content-Length", "2")
            if streams:
                request.flush()
            request.write("abc")

        assert ask(process).body == b"ab"
        assert "more bytes than its Content-Length" in caplog.text

    def test_less_than_it_says_is_a_500(self, caplog):
        def process(request):
            request.set_header("Content-Length", "5")
            request.write("abc")

        assert ask(process).status == 500
        assert "2 bytes shorter than its Content-Length" in caplog.text

    def test_less_than_it_says_in_a_stream_breaks_it_off(self):
        def process(request):
            request.set_header("Content-Length", "5")
            request.write("abc")
            request.flush()

        with pytest.raises(Aborted):
            ask(process)


class TestHead:
    @pytest.mark.parametrize("streams", [False, True])
    def test_head_has_the_head_of_get_and_no_body(self, streams):
        def process(request):
            request.write("Hello")
            if streams:
                request.flush()
            request.write(", world")

        assert ask(process, "HEAD").headers == ask(process, "GET").headers
        request = run(process, "HEAD")
        assert parse(request.output)[2] == b""
        assert request.body_length == 0

    def test_a_handler_that_writes_nothing_for_head_does_not_say_that_get_is_empty(self):
        assert ask(lambda request: None, "HEAD").get("Content-Length") is None

    def test_a_length_without_a_body_is_the_answer_to_head(self):
        assert ask(lambda request: request.set_header("Content-Length", "5"), "HEAD").get("Content-Length") == "5"

    @pytest.mark.parametrize("status", [204, 304])
    @pytest.mark.parametrize("streams", [False, True])
    def test_204_and_304_have_neither_body_nor_type(self, status, streams):
        def process(request):
            request.status = status
            request.set_header("ETag", '"1"')
            request.write("x")
            if streams:
                request.flush()
                request.write("y")

        response = ask(process)
        assert (response.status, response.body, response.headers) == (status, b"", [("ETag", '"1"')])


class TestStatusAndHeaders:
    def test_a_status_goes_with_its_standard_reason(self):
        def process(request):
            request.status = 404
            assert request.status == 404

        response = ask(process)
        assert (response.status, response.reason) == (404, "Not Found")

    @pytest.mark.parametrize("wrong", [0, 99, 100, 199, 1000])
    def test_a_status_that_is_none_is_refused_where_it_is_set(self, wrong):
        def process(request):
            with pytest.raises(BadResponse):
                request.status = wrong

        assert ask(process).status == 200

    def test_set_replaces_add_adds_del_removes_get_gets(self):
        def process(request):
            request.add_header("X-A", "1")
            request.add_header("x-a", "2")
            request.set_header("X-B", "1")
            request.set_header("x-b", "2")
            request.set_header("X-C", "1")
            request.del_header("x-c")
            assert request.get_header("x-A") == "1"
            assert request.get_header("X-C") is None

        assert [field for field in ask(process).headers if field[0].upper().startswith("X-")] == [
            ("X-A", "1"),
            ("x-a", "2"),
            ("x-b", "2"),
        ]

    @pytest.mark.parametrize(
        ("name", "value"), [("X", "a\nb"), ("X", "a\0"), ("X Y", "a"), ("", "a"), ("X", "ż"), ("Status", "200")]
    )
    def test_a_header_that_cannot_be_sent_is_refused_where_it_is_set(self, name, value):
        def process(request):
            for method in (request.set_header, request.add_header):
                with pytest.raises(BadResponse):
                    method(name, value)

        assert ask(process).get("Content-Length") == "0"

    def test_a_type_of_the_handlers_own_stands_alone(self):
        response = ask(lambda request: request.set_header("content-type", "text/plain"))
        assert [field for field in response.headers if field[0].lower() == "content-type"] == [
            ("content-type", "text/plain")
        ]

    def test_nothing_of_the_head_can_change_once_it_is_out(self):
        def process(request):
            request.flush()
            for change in (
                lambda: setattr(request, "status", 404),
                lambda: request.set_header("X", "1"),
                lambda: request.add_header("X", "1"),
                lambda: request.del_header("X"),
                lambda: request.set_cookie("x", "1"),
                lambda: request.redirect("/"),
                lambda: request.deny(),
                request.clear,
            ):
                with pytest.raises(OutOfTurn):
                    change()

        assert ask(process).status == 200

    def test_hop_by_hop_headers_are_left_out_and_logged(self, caplog):
        response = ask(lambda request: request.set_header("Connection", "close"))
        assert response.get("Connection") is None
        assert "Connection" in caplog.text


class TestRedirect:
    def test_it_is_a_302_with_a_small_page_in_place_of_what_was_written(self):
        def process(request):
            request.set_header("Content-Type", "text/plain")
            request.set_cookie("seen", "yes")
            request.write("old")
            request.redirect("/new?a=b&c=%2F#x")

        response = ask(process)
        assert (response.status, response.get("Location")) == (302, "/new?a=b&c=%2F#x")
        assert response.get("Content-Type") == "text/html; charset=utf-8"
        assert str(response.get("Set-Cookie")).startswith("seen=yes;")
        assert b'href="/new?a=b&amp;c=%2F#x"' in response.body
        assert b"old" not in response.body

    def test_what_a_url_may_not_hold_is_encoded(self):
        assert ask(lambda request: request.redirect("/ż a")).get("Location") == "/%C5%BC%20a"

    @pytest.mark.parametrize("url", ["/\r\nSet-Cookie: a=b", "/\0", "/\x7f"])
    def test_a_control_character_is_refused(self, url):
        response = ask(lambda request: request.redirect(url))
        assert (response.status, response.get("Location")) == (500, None)

    @pytest.mark.parametrize("status", [200, 300, 304, 306])
    def test_other_statuses_are_no_redirects(self, status):
        assert ask(lambda request: request.redirect("/", status)).status == 500


class TestCookies:
    def line(self, *given, url="/", **words):
        return ask(lambda request: request.set_cookie(*given, **words), url=url).get("Set-Cookie")

    def test_by_default_scripts_and_other_sites_do_not_get_it(self):
        assert self.line("a", "b") == "a=b; Path=/; HttpOnly; SameSite=Lax"

    def test_over_https_it_stays_there(self):
        assert self.line("a", "b", url="https://x/") == "a=b; Path=/; Secure; HttpOnly; SameSite=Lax"

    def test_several_cookies_are_several_headers(self):
        def process(request):
            request.set_cookie("a", "1")
            request.set_cookie("b", "2")
            request.delete_cookie("c")

        found = [value for name, value in ask(process).headers if name == "Set-Cookie"]
        assert [line.partition(";")[0] for line in found] == ["a=1", "b=2", "c="]
        assert "Max-Age=0" in found[2]

    def test_one_that_cannot_be_is_refused(self):
        assert ask(lambda request: request.set_cookie("a b", "c")).status == 500

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=100))
    def test_what_is_set_comes_back(self, value):
        line = str(ask(lambda request: request.set_cookie("name", value)).get("Set-Cookie"))
        seen = []
        ask(lambda request: seen.append(request.cookies["name"]), headers=[("Cookie", line.partition("; ")[0])])
        assert seen == [value]
