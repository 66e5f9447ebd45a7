"""This file tests who gets a compressed response, and what its headers say."""

from __future__ import annotations

import pytest

from penstock.gateways.compression import accepts_gzip, compressed, is_compressible, is_text, vary_by_encoding


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=0.5", True),
        ("gzip ; q = 0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=x", False),
        ("gzip;level=9", True),
        ("br", False),
        ("*", True),
        ("*;q=0", False),
        ("gzip;q=0, *", False),
        ("*;q=0, gzip", True),
        ("identity", False),
        ("gzipped", False),
        (",,;", False),
    ],
)
def test_accept_encoding_is_read_with_its_weights(header, accepted):
    assert accepts_gzip(header) is accepted


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("text/html; charset=utf-8", True),
        ("TEXT/CSS", True),
        ("application/json", True),
        ("application/problem+json", True),
        ("image/svg+xml", True),
        ("application/javascript", True),
        ("image/png", False),
        ("application/zip", False),
        ("application/octet-stream", False),
        ("", False),
    ],
)
def test_text_is_told_from_what_is_small_already(kind, text):
    assert is_text(kind) is text


def test_a_part_of_a_text_is_left_alone():
    headers = [("Content-Type", "text/plain")]
    assert is_compressible(200, headers)
    assert not is_compressible(206, headers)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ([], [("Vary", "Accept-Encoding")]),
        ([("vary", "Cookie")], [("vary", "Cookie"), ("Vary", "Accept-Encoding")]),
        ([("Vary", "Cookie, accept-encoding")], [("Vary", "Cookie, accept-encoding")]),
        ([("Vary", "*")], [("Vary", "*")]),
    ],
)
def test_vary_names_the_encoding_once(before, after):
    assert vary_by_encoding(before) == after


def test_headers_that_speak_of_other_bytes_go():
    before = [("ETag", '"1"'), ("content-length", "9"), ("Accept-Ranges", "bytes"), ("X", "y"), ("etag", 'W/"2"')]
    assert compressed(before) == [("ETag", 'W/"1"'), ("X", "y"), ("etag", 'W/"2"'), ("Content-Encoding", "gzip")]
