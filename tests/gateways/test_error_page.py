"""This file tests the page that a visitor sees when the application did not answer."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from penstock.gateways.response import error_page
from tests.gateways.responses import parse


class TestErrorPage:
    @pytest.mark.parametrize("status", [400, 413, 431, 500, 503, 507, 404])
    def test_it_is_a_whole_response_with_its_length(self, status):
        line, fields, body = parse(error_page(status, "r-17", "More."))
        assert line == f"{status} {HTTPStatus(status).phrase}"
        assert dict(fields) == {"Content-Type": "text/html; charset=utf-8", "Content-Length": str(len(body))}
        assert body.startswith(b"<!DOCTYPE html>")
        assert b"<p>More.</p>" in body
        assert b"Request r-17" in body

    def test_retry_after_is_sent_when_given(self):
        assert ("Retry-After", "5") in parse(error_page(503, retry_after=5))[1]

    def test_what_came_from_outside_is_escaped(self):
        body = parse(error_page(500, "<b>'\"&", "</p><script>\0\ud800\u20ac"))[2].decode("utf-8")
        assert "<b>" not in body
        assert "<script" not in body
        assert "&lt;b&gt;&#x27;&quot;&amp;" in body
        assert "&lt;/p&gt;&lt;script&gt;\ufffd\\ud800\u20ac" in body

    def test_without_a_request_id_none_is_shown(self):
        assert b"Request " not in parse(error_page(500))[2]

    def test_for_head_the_page_is_left_out_but_not_its_length(self):
        whole = error_page(413, "x", "y")
        assert error_page(413, "x", "y", head_only=True) == whole[: whole.index(b"\r\n\r\n") + 4]
