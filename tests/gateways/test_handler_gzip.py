"""This file tests the gzip switch of a handler: for whom, for what, and what then stands in the head."""

from __future__ import annotations

import gzip
import io
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.testing import MemoryRequest
from tests.gateways.asking import ask, gateway, handler, params
from tests.gateways.responses import parse

GZIP = [("Accept-Encoding", "gzip, br")]
TEXT = "a sentence that comes again and again. " * 100


class TestGzip:
    def send(self, headers=GZIP, method="GET", content_type="text/plain", text=TEXT, flush=False, **fields):
        def process(request):
            request.gzip = True
            request.set_header("Content-Type", content_type)
            for name, value in fields.items():
                request.set_header(name.replace("_", "-"), value)
            request.write(text)
            if flush:
                request.flush()
                request.write(text)

        return ask(process, method, headers=headers)

    def test_it_compresses_a_text_for_whoever_accepts_it(self):
        response = self.send()
        assert response.get("Content-Encoding") == "gzip"
        assert response.get("Vary") == "Accept-Encoding"
        assert response.get("Content-Length") == str(len(response.body))
        assert len(response.body) < len(TEXT) // 10
        assert gzip.decompress(response.body).decode() == TEXT

    def test_a_stream_can_be_read_as_far_as_it_was_flushed_and_ends_with_its_checksum(self):
        seen: list[bytes] = []

        def process(request):
            request.gzip = True
            request.set_header("Content-Type", "text/plain")
            request.write("first")
            request.flush()
            body = raw.output.partition(b"\r\n\r\n")[2]
            seen.append(zlib.decompressobj(31).decompress(body))
            request.write("second")

        raw = MemoryRequest(params(headers=GZIP))
        gateway(handler(process))(raw)
        assert seen == [b"first"]
        # A missing trailer would raise EOFError.
        assert gzip.GzipFile(fileobj=io.BytesIO(parse(raw.output)[2])).read() == b"firstsecond"

    def test_a_big_answer_is_compressed_as_a_stream(self):
        big = TEXT * 200
        response = self.send(text=big)
        assert gzip.decompress(response.body).decode() == big
        assert response.get("Content-Length") is None

    def test_head_has_the_head_of_get(self):
        head, get = self.send(method="HEAD"), self.send()
        assert head.headers == get.headers
        assert head.body == b""

    @pytest.mark.parametrize("headers", [[], [("Accept-Encoding", "br")], [("Accept-Encoding", "gzip;q=0, *")]])
    def test_whoever_does_not_accept_it_gets_the_text_and_caches_are_told(self, headers):
        response = self.send(headers)
        assert (response.get("Content-Encoding"), response.get("Vary")) == (None, "Accept-Encoding")
        assert response.body.decode() == TEXT

    def test_a_tiny_body_is_not_worth_it(self):
        response = self.send(text="tiny")
        assert (response.get("Content-Encoding"), response.body) == (None, b"tiny")
        assert response.get("Vary") == "Accept-Encoding"

    @pytest.mark.parametrize(
        ("content_type", "fields"),
        [
            ("image/png", {}),
            ("text/plain", {"Content_Encoding": "br"}),
            ("text/plain", {"Content_Range": "bytes 0-1/2"}),
            ("text/plain", {"Cache_Control": "private, no-transform"}),
        ],
    )
    def test_what_is_no_text_or_must_stay_as_it_is_is_left_alone(self, content_type, fields):
        response = self.send(content_type=content_type, **fields)
        assert response.body.decode() == TEXT
        assert response.get("Vary") is None

    def test_without_the_switch_nothing_is_compressed(self):
        response = ask(lambda request: request.write(TEXT), headers=GZIP)
        assert (response.get("Content-Encoding"), response.get("Vary")) == (None, None)

    def test_the_headers_fit_the_compressed_body(self):
        response = self.send(ETag='"1"', Content_Length=str(len(TEXT)), Vary="Cookie")
        assert response.get("ETag") == 'W/"1"'
        assert [value for name, value in response.headers if name == "Vary"] == ["Cookie", "Accept-Encoding"]
        assert response.get("Content-Length") == str(len(response.body))

    def test_the_length_that_the_handler_gave_still_counts(self):
        response = self.send(Content_Length=str(len(TEXT) + 1))
        assert (response.status, response.get("Content-Encoding")) == (500, None)
        assert b"500 Internal Server Error" in response.body

    @given(pieces=st.lists(st.one_of(st.text(max_size=500), st.none()), max_size=10))
    def test_what_arrives_is_what_was_written(self, pieces):
        def process(request):
            request.gzip = True
            for piece in pieces:
                if piece is None:
                    request.flush()
                else:
                    request.write(piece)

        response = ask(process, headers=GZIP)
        body = response.body
        if response.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        assert body.decode() == "".join(piece for piece in pieces if piece is not None)
