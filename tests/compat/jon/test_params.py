"""This file tests `params`: suffixes, what is text and in which encoding, and the limits of a form."""

from __future__ import annotations

import pytest

from penstock.gateways.forms import FormLimits
from tests.compat.jon.asking import ask, fields


def test_of_a_plain_name_the_last_value_counts():
    assert fields("/?a=1&a=2") == {"a": "2"}


def test_a_name_without_an_equals_sign_is_none_and_with_one_it_is_empty():
    assert fields("/?a&b=") == {"a": None, "b": ""}


def test_a_name_with_a_star_is_a_list_and_keeps_the_star():
    assert fields("/?a*=1&a*=2&a*&a=3") == {"a*": ["1", "2", None], "a": "3"}


def test_a_name_with_an_exclamation_mark_can_only_come_in_a_multipart_form():
    assert fields("/?a!=1&b!*=2&c=3", b"d!=4&e=5") == {"c": "3", "e": "5"}


def test_only_ampersands_separate_and_empty_pieces_are_nothing():
    assert fields("/?a=1;b=2&&=x&") == {"a": "1;b=2", "": "x"}


def test_the_form_comes_over_the_query_string_and_lists_go_on():
    assert fields("/?a=1&b=2&l*=3", b"a=9&l*=4") == {"a": "9", "b": "2", "l*": ["3", "4"]}


def test_a_body_of_another_type_is_read_as_a_form_too_and_that_of_put_is_not():
    assert fields("/", b"a=1", "text/plain") == {"a": "1"}
    seen = []
    ask(lambda req: seen.append((req.params, req.stdin.read())), "PUT", "/?b=2", body=b"a=1")
    assert seen == [({"b": "2"}, b"a=1")]


def test_a_body_without_a_length_is_read_to_its_end():
    seen = []
    ask(lambda req: seen.append(req.params), "POST", body=b"a=1", more={"CONTENT_LENGTH": ""})
    assert seen == [{"a": "1"}]


def test_percent_signs_and_plus_signs_are_decoded_where_they_make_sense():
    assert fields("/?%61+b=%41%zz%4+c%2B") == {"a b": "A%zz%4 c+"}


def test_text_is_utf_8_and_what_is_none_survives_as_lone_surrogates():
    assert fields("/?a=caf%C3%A9&b=caf%E9") == {"a": "café", "b": "caf\udce9"}
    assert fields("/", b"a=caf%C3%A9&b=caf\xe9") == {"a": "café", "b": "caf\udce9"}


def test_set_form_encoding_reads_the_form_of_a_page_in_another_charset():
    assert fields("/", b"a=caf%E9&%E9=1", encoding="iso-8859-1") == {"a": "café", "é": "1"}


def test_a_form_that_is_not_in_its_encoding_at_all_is_a_400(caplog):
    def process(req):
        req.set_form_encoding("utf-16")
        assert req.params

    assert ask(process, url="/?a=1").status == 400
    assert "text that is no utf-16" in caplog.text


def test_set_form_encoding_can_be_asked_for():
    seen = []

    def process(req):
        seen.append(req.get_form_encoding())
        req.set_form_encoding("latin-1")
        seen.append(req.get_form_encoding())

    ask(process)
    assert seen == [None, "latin-1"]


def test_nothing_is_read_before_params_are_asked_for():
    seen = []
    ask(lambda req: seen.append(req.stdin.read()), "POST", body=b"a=1")
    assert seen == [b"a=1"]


def test_params_are_read_once_and_may_be_replaced():
    seen = []

    def process(req):
        seen.append(req.params is req.params)
        req.params = {"mine": 1}
        seen.append(req.params)

    ask(process, "POST", body=b"a=1")
    assert seen == [True, {"mine": 1}]


@pytest.mark.parametrize(
    ("url", "body", "status"),
    [("/?a=1&b=2&c=3", b"", 400), ("/", b"a=1&b=2&c=3", 400), ("/", b"a=" + b"x" * 100, 413)],
)
def test_a_form_over_its_limits_is_refused_with_a_status_of_its_own_and_one_line_in_the_log(url, body, status, caplog):
    from penstock.compat.jon import fcgi

    class Careful(fcgi.Request):
        form_limits = FormLimits(max_fields=2, max_memory=50)

    answer = ask(lambda req: req.params, "POST" if body else "GET", url, body=body, request_type=Careful)
    assert answer.status == status
    assert len(caplog.records) == 1
    assert caplog.records[0].getMessage().startswith(f"answered {status} [")
    assert b"allowed" not in answer.body


def test_a_handler_may_catch_what_a_bad_form_raises():
    from penstock.compat.jon import fcgi
    from penstock.gateways.forms import BadForm

    class Careful(fcgi.Request):
        form_limits = FormLimits(max_fields=1)

    def process(req):
        try:
            assert req.params
        except BadForm:
            req.write("too many")

    assert ask(process, url="/?a=1&b=2", request_type=Careful).body == b"too many"
