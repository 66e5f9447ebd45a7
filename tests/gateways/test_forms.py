"""This file tests query strings and urlencoded forms, and what a handler's request makes of its input."""

from __future__ import annotations

from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.gateways.forms import (
    BadForm,
    FormLimits,
    MissingField,
    MultiValues,
    parse_query,
    parse_urlencoded,
)
from penstock.gateways.handler_request import Headers
from tests.gateways.asking import ask, handler

URLENCODED = [("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
FIELDS = st.lists(st.tuples(TEXT, TEXT), max_size=10)


class TestMultiValues:
    VALUES = MultiValues([("a", "1"), ("b", "2"), ("a", "3")])

    def test_as_a_mapping_it_gives_the_first_of_each_name(self):
        assert dict(self.VALUES) == {"a": "1", "b": "2"}
        assert self.VALUES.get("a") == "1"
        assert self.VALUES.get("c", "none") == "none"
        assert "a" in self.VALUES
        assert "c" not in self.VALUES
        assert len(self.VALUES) == 2

    def test_getall_gives_every_value_and_pairs_everything(self):
        assert self.VALUES.getall("a") == ["1", "3"]
        assert self.VALUES.getall("c") == []
        assert self.VALUES.pairs() == (("a", "1"), ("b", "2"), ("a", "3"))

    def test_what_getall_gives_is_the_callers_own(self):
        self.VALUES.getall("a").clear()
        assert self.VALUES.getall("a") == ["1", "3"]

    def test_a_missing_field_is_a_key_error_that_says_which(self):
        with pytest.raises(KeyError) as missing:
            self.VALUES["c"]
        assert isinstance(missing.value, MissingField)
        assert str(missing.value) == "the field 'c' is missing"

    def test_a_missing_field_that_nobody_expected_is_a_400(self, caplog):
        assert ask(lambda request: request.write(request.query["page"])).status == 400
        assert "the field 'page' is missing" in caplog.text


class TestUrlencoded:
    @pytest.mark.parametrize(
        ("block", "fields"),
        [
            (b"", []),
            (b"a=1&b=2", [("a", "1"), ("b", "2")]),
            (b"a", [("a", "")]),
            (b"a=", [("a", "")]),
            (b"=b", [("", "b")]),
            (b"a=b=c", [("a", "b=c")]),
            (b"&&a=1&", [("a", "1")]),
            (b"a=1;b=2", [("a", "1;b=2")]),
            (b"a+b=c+%2B", [("a b", "c +")]),
            (b"a=%C5%BC", [("a", "ż")]),
            (b"a=\xc5%BC", [("a", "ż")]),
            (b"a=%ff", [("a", "\ufffd")]),
            (b"a=%zz%", [("a", "%zz%")]),
            (b"a=%00", [("a", "\0")]),
        ],
    )
    def test_fields_are_read(self, block, fields):
        assert parse_urlencoded(block, 1000) == fields

    @given(FIELDS)
    def test_what_the_standard_library_writes_comes_back(self, fields):
        assert parse_urlencoded(urlencode(fields).encode(), 1000) == fields

    @given(st.binary(max_size=100))
    def test_no_bytes_are_too_odd(self, block):
        for name, value in parse_urlencoded(block, 1000):
            (name + value).encode()

    @pytest.mark.parametrize(("most", "count"), [(1, 1), (3, 3), (1000, 1000)])
    def test_as_many_fields_as_are_allowed(self, most, count):
        block = b"&".join([b"a=1"] * count)
        assert len(parse_urlencoded(block, most)) == count
        with pytest.raises(BadForm, match=f"more than the {most} fields"):
            parse_urlencoded(block + b"&a=1", most)


class TestQuery:
    @given(FIELDS)
    def test_a_query_string_comes_back(self, fields):
        assert parse_query(urlencode(fields), FormLimits()).pairs() == tuple(fields)

    def test_bytes_that_were_not_encoded_are_utf_8_too(self):
        assert parse_query("a=\xc5\xbc", FormLimits())["a"] == "ż"

    def test_the_handler_gets_it(self):
        def process(request):
            request.write(repr((request.query["a"], request.query.getall("a"), request.query is request.query)))

        assert ask(process, url="/x?a=1&a=%20").body == b"('1', ['1', ' '], True)"

    def test_too_many_fields_are_a_400(self):
        assert ask(lambda request: request.query, url="/?" + "a&" * 1000).status == 400

    def test_without_a_query_there_are_no_fields(self):
        assert ask(lambda request: request.write(str(len(request.query)))).body == b"0"


def show(request):
    request.write(repr((request.form.pairs(), request.files.pairs())))


class TestForm:
    def test_an_urlencoded_form_needs_no_library(self, monkeypatch):
        monkeypatch.setitem(__import__("sys").modules, "multipart", None)
        body = urlencode([("name", "Żółw & 亀"), ("x", ""), ("x", "2")]).encode()
        response = ask(show, "POST", headers=URLENCODED, body=body)
        assert response.body.decode() == "((('name', 'Żółw & 亀'), ('x', ''), ('x', '2')), ())"

    @pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "QUERY"])
    def test_the_method_does_not_matter(self, method):
        def process(request):
            assert request.method == method
            show(request)

        assert ask(process, method, headers=URLENCODED, body=b"a=1").body == b"((('a', '1'),), ())"

    @pytest.mark.parametrize("kind", ["application/json", "text/plain", "", "application/x-www-form-urlencodedx"])
    def test_another_body_is_no_form_and_stays_unread(self, kind):
        def process(request):
            assert len(request.form) == len(request.files) == 0
            assert request.stdin.read() == b"a=1"

        assert ask(process, "POST", headers=[("Content-Type", kind)], body=b"a=1").status == 200

    def test_a_form_without_a_body_is_empty(self):
        assert ask(show, "POST", headers=URLENCODED).body == b"((), ())"

    @pytest.mark.parametrize(("limit", "status"), [(9, 413), (10, 200)])
    @pytest.mark.parametrize("name", ["max_size", "max_memory"])
    def test_one_that_is_too_long_is_a_413(self, name, limit, status, caplog):
        limited = handler(show, form_limits=FormLimits(**{name: limit}))
        assert ask(limited, "POST", headers=URLENCODED, body=b"a=" + b"x" * 8).status == status
        assert len(caplog.records) == (status != 200)

    def test_one_without_a_length_is_held_to_the_limit_too(self):
        limited = handler(show, form_limits=FormLimits(max_size=9))
        body = b"a=" + b"x" * 8
        assert ask(limited, "POST", headers=URLENCODED, body=body, more={"CONTENT_LENGTH": ""}).status == 413

    @pytest.mark.parametrize(("count", "status"), [(5, 200), (6, 413)])
    def test_too_many_fields_are_a_413(self, count, status):
        limited = handler(show, form_limits=FormLimits(max_fields=5))
        body = b"&".join([b"a=1"] * count)
        assert ask(limited, "POST", headers=URLENCODED, body=body).status == status

    def test_a_handler_that_catches_the_error_answers_as_it_likes(self):
        def process(request):
            try:
                request.form["a"]
            except BadForm as error:
                request.status = 422
                request.write(error.reason)

        response = ask(process, "POST", headers=URLENCODED, body=b"b=1")
        assert (response.status, response.body) == (422, b"the field 'a' is missing")


class TestInput:
    def test_params_and_path(self):
        def process(request):
            assert request.params["PATH_INFO"] == "/\xc5\xbc a"
            assert request.path == "/ż a"
            assert request.reference == ""

        assert ask(process, url="/%C5%BC%20a").status == 200

    def test_a_path_that_is_no_utf_8(self):
        assert ask(lambda request: request.write(request.path), url="/%ff").body.decode() == "/\ufffd"

    def test_headers_are_found_in_any_case(self):
        def process(request):
            headers = request.headers
            assert headers["x-Forwarded-FOR"] == headers.get("X-Forwarded-For") == "::1"
            assert headers["content-type"] == "text/x"
            assert "Host" in headers
            assert headers.get("X-None") is None
            assert "Content-Length" not in headers

        sent = [("X-Forwarded-For", "::1"), ("Content-Type", "text/x")]
        assert ask(process, headers=sent, more={"CONTENT_LENGTH": ""}).status == 200

    def test_headers_are_a_mapping(self):
        headers = Headers({"HTTP_X_A": "1", "CONTENT_TYPE": "", "CONTENT_LENGTH": "5", "REQUEST_METHOD": "GET"})
        assert dict(headers) == {"X-A": "1", "Content-Length": "5"}
        assert len(headers) == 2
        with pytest.raises(KeyError):
            headers["Content-Type"]
        with pytest.raises(KeyError):
            headers["Request-Method"]

    @given(st.dictionaries(st.from_regex(r"HTTP_[A-Z0-9_]{1,10}", fullmatch=True), st.text(max_size=5)))
    def test_every_header_that_is_listed_is_found(self, params):
        headers = Headers(params)
        for name in headers:
            assert headers[name] == headers[name.lower()] == params["HTTP_" + name.upper().replace("-", "_")]

    def test_malformed_cookies_do_no_harm(self):
        def process(request):
            request.write(repr(dict(request.cookies)))

        sent = [("Cookie", 'a=1; junk; =x; "; b="\\073'), ("Cookie", "c=3")]
        assert ask(process, headers=sent).body == rb"""{'a': '1', 'b': '"\\073', 'c': '3'}"""

    def test_a_body_can_be_read_as_it_is(self):
        def process(request):
            request.write(request.stdin.read(2))
            request.write(request.stdin.read())

        assert ask(process, "POST", body=b"a\0b\xff").body == b"a\0b\xff"

    def test_data_is_empty_for_a_responder(self):
        def process(request):
            assert request.data.read() == b""
            assert request.data_length is None
            assert request.data_last_modified is None

        assert ask(process).status == 200


def test_a_plus_is_a_space_in_forms_alone():
    assert parse_urlencoded(b"a=" + quote_plus("1 + 1").encode(), 10) == [("a", "1 + 1")]
    assert ask(lambda request: request.write(request.path), url="/1+1").body == b"/1+1"
