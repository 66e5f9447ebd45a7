"""This file tests GZipMixIn: what is compressed, what is not, and that a client can tell it has everything."""

from __future__ import annotations

import gzip
import zlib

import pytest

from penstock.compat.jon import cgi, fcgi
from penstock.testing import Aborted, MemoryRequest
from tests.compat.jon.asking import ask, params, run, server

PAGE = "Hello, world!\n" * 200
TAKES_IT = [("Accept-Encoding", "br, gzip;q=0.5")]


def page(req):
    req.write(PAGE)


def ask_gzip(process, headers=TAKES_IT, method="GET", url="/", **options):
    return ask(process, method, url, headers, request_type=fcgi.GZipRequest, **options)


def test_a_compressed_answer_is_whole_trailer_included():
    answer = ask_gzip(page)
    assert gzip.decompress(answer.body) == PAGE.encode()
    assert answer.get("Content-Encoding") == "gzip"
    assert answer.get("Vary") == "Accept-Encoding"
    assert answer.get("Content-Length") == str(len(answer.body))
    assert len(answer.body) < len(PAGE) / 10


def test_flushed_and_unbuffered_pieces_are_one_whole_too_and_a_flush_lets_the_client_read_all_of_it():
    def process(req):
        req.write("one ")
        req.flush()
        req.set_buffering(0)
        for number in range(500):
            req.write(f"{number} ")

    request = MemoryRequest(params(headers=TAKES_IT))
    server(process, request_type=fcgi.GZipRequest)._answer(request)
    first = zlib.decompressobj(31).decompress(request.writes[0].partition(b"\r\n\r\n")[2])
    assert first == b"one "
    whole = gzip.decompress(request.output.partition(b"\r\n\r\n")[2])
    assert whole == b"one " + b"".join(b"%d " % number for number in range(500))
    # What is written unbuffered leaves when the compressor gives it; a flush after each write would make it grow.
    assert len(request.output) < len(whole)


@pytest.mark.parametrize("accepted", ["", "identity", "gzip;q=0", "gzip;q=0.000", "deflate"])
def test_a_client_that_does_not_take_gzip_gets_the_plain_page_and_a_cache_is_told(accepted):
    answer = ask_gzip(page, [("Accept-Encoding", accepted)] if accepted else [])
    assert answer.body == PAGE.encode()
    assert answer.get("Vary") == "Accept-Encoding"
    assert answer.get("Content-Encoding") is None


def test_level_0_leaves_everything_as_it_is():
    def process(req):
        req.gzip_level(0)
        page(req)

    answer = ask_gzip(process)
    assert answer.body == PAGE.encode()
    assert answer.get("Vary") is None


def test_level_9_compresses_more_than_level_1():
    def process(req):
        req.gzip_level(int(req.params["level"]))
        req.write("".join(chr(33 + number * number % 90) for number in range(20000)))

    sizes = [len(ask_gzip(process, url=f"/?level={level}").body) for level in (1, 9)]
    assert sizes[1] < sizes[0]


def test_a_level_that_comes_too_late_or_does_not_exist_raises():
    seen = []

    def process(req):
        with pytest.raises(ValueError, match="no gzip level 10"):
            req.gzip_level(10)
        req.flush()
        req.gzip_level(6)
        with pytest.raises(cgi.SequencingError):
            req.gzip_level(1)
        seen.append("raised")

    ask_gzip(process)
    assert seen == ["raised"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Content-Encoding", "br"),
        ("Content-Range", "bytes 0-1/2"),
        ("Cache-Control", "private, no-transform"),
        ("Status", "206 Partial Content"),
    ],
)
def test_what_must_not_be_changed_is_not_compressed(name, value):
    def process(req):
        req.set_header(name, value)
        page(req)

    answer = ask_gzip(process)
    assert answer.body == PAGE.encode()
    assert answer.get("Content-Encoding") == (value if name == "Content-Encoding" else None)


def test_a_length_and_a_strong_etag_of_the_plain_page_do_not_go_with_the_compressed_one():
    def process(req):
        req.set_header("Content-Length", len(PAGE))
        req.set_header("ETag", '"1"')
        page(req)

    answer = ask_gzip(process)
    assert gzip.decompress(answer.body) == PAGE.encode()
    assert answer.get("ETag") == 'W/"1"'
    assert answer.get("Content-Length") == str(len(answer.body))


def test_an_error_page_is_compressed_like_any_other_and_nothing_of_the_page_before_it_is_in_it():
    def process(req):
        page(req)
        raise LookupError("on purpose")

    answer = ask_gzip(process)
    assert answer.status == 500
    text = gzip.decompress(answer.body)
    assert b"failed to answer" in text
    assert b"Hello" not in text


def test_a_compressed_answer_that_breaks_off_has_no_end():
    def process(req):
        req.write("begun")
        req.flush()
        raise LookupError("on purpose")

    with pytest.raises(Aborted) as caught:
        ask_gzip(process)
    with pytest.raises(EOFError):
        gzip.decompress(caught.value.output.partition(b"\r\n\r\n")[2])


def test_the_mixin_goes_before_any_transport():
    class Collecting(cgi.Request):
        def __init__(self, handler_type):
            super().__init__(handler_type)
            self.sent = []
            self.environ = {"HTTP_ACCEPT_ENCODING": "gzip"}

        def _write(self, s):
            self.sent.append(s)

    class Compressing(cgi.GZipMixIn, Collecting):
        pass

    request = Compressing(cgi.Handler)
    request._init()
    request.write(PAGE)
    request.close()
    head, _, body = b"".join(request.sent).partition(b"\r\n\r\n")
    assert b"Content-Encoding: gzip" in head
    assert gzip.decompress(body) == PAGE.encode()


def test_a_request_of_another_transport_that_is_not_mixed_stays_plain():
    assert run(page).output.endswith(PAGE.encode())
