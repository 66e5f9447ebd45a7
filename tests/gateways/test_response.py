"""This file tests that a response's head is exactly what the application asked for, or refused."""

from __future__ import annotations

import enum
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from penstock.gateways.response import (
    DEFAULT_CONTENT_TYPE,
    MAX_HEAD,
    BadResponse,
    encode_head,
    head_warning,
)
from tests.gateways.responses import parse

HOP_BY_HOP = ["Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"]
HOP_BY_HOP += ["TE", "Trailer", "Trailers", "Transfer-Encoding", "Upgrade"]
HTML = ("Content-Type", "text/html")


class TestHead:
    def test_headers_keep_their_order_case_and_repeats(self):
        headers = [HTML, ("Set-Cookie", "a=1"), ("x-a", "\t 1 "), ("Set-Cookie", "b=2"), ("X_b!", "")]
        head = encode_head("200 OK", headers).to_bytes()
        assert head == (
            b"Content-Type: text/html\r\nSet-Cookie: a=1\r\nx-a: \t 1 \r\nSet-Cookie: b=2\r\nX_b!: \r\n"
            b"Status: 200 OK\r\n\r\n"
        )

    def test_status_stands_after_location(self):
        head = encode_head("303 See Other", [HTML, ("Location", "/x")]).to_bytes(0)
        assert head.index(b"Location:") < head.index(b"Status:")
        assert head.endswith(b"\r\nStatus: 303 See Other\r\n\r\n")

    def test_status_can_be_put_first_for_an_authorizer(self):
        """What stands before it lighttpd takes for the headers of a permission, and drops."""
        head = encode_head("401", [HTML, ("Location", "/x")])
        head.put_status_first()
        assert head.to_bytes(3) == (
            b"Status: 401 Unauthorized\r\nContent-Type: text/html\r\nLocation: /x\r\nContent-Length: 3\r\n\r\n"
        )

    def test_native_strings_go_out_byte_for_byte(self):
        value = "caf\u00e9 \u00ff\u0080".encode().decode("latin-1")
        assert b"X: " + value.encode("latin-1") + b"\r\n" in encode_head("200 OK", [("X", value)]).to_bytes()

    @pytest.mark.parametrize(
        ("status", "line"),
        [
            ("200 OK", "200 OK"),
            ("404", "404 Not Found"),
            ("404 ", "404 Not Found"),
            ("404  ", "404 Not Found"),
            ("404 Gone Fishing", "404 Gone Fishing"),
            ("299", "299 Unknown"),
            ("999 X", "999 X"),
            ("200 \u00e9\t!", "200 \u00e9\t!"),
        ],
    )
    def test_a_status_always_has_a_reason(self, status, line):
        head = encode_head(status, [HTML])
        assert parse(head.to_bytes())[0] == line
        assert head.code == int(line[:3])

    @pytest.mark.parametrize(
        ("status", "allowed"), [("200 OK", True), ("204 X", False), ("304 X", False), ("205 X", True)]
    )
    def test_a_body_is_allowed_or_not_by_the_status(self, status, allowed):
        assert encode_head(status, []).body_allowed is allowed

    def test_a_content_type_is_added_only_where_a_body_may_be_and_none_is_given(self):
        added = ("Content-Type", DEFAULT_CONTENT_TYPE)
        assert parse(encode_head("200 OK", []).to_bytes())[1] == [added]
        assert parse(encode_head("200 OK", [("content-TYPE", "a/b")]).to_bytes())[1] == [("content-TYPE", "a/b")]
        assert parse(encode_head("304 Not Modified", [("ETag", '"1"')]).to_bytes())[1] == [("ETag", '"1"')]

    def test_a_status_or_name_seen_before_is_treated_as_the_first_time(self):
        first = encode_head("201 Made", [("X-Seen", "1"), ("Connection", "close")])
        second = encode_head("201 Made", [("X-Seen", "1"), ("Connection", "close")])
        assert first.to_bytes() == second.to_bytes()
        assert first.stripped == second.stripped == ("Connection",)

    def test_more_names_than_are_remembered_change_nothing(self):
        for number in range(3000):
            head = encode_head(f"200 Reason {number}", [HTML, (f"X-{number}", "1")])
            assert parse(head.to_bytes()) == (f"200 Reason {number}", [HTML, (f"X-{number}", "1")], b"")
        for _ in range(2):
            with pytest.raises(BadResponse):
                encode_head("200 OK", [("X-2999\n", "1")])


class TestContentLength:
    def test_a_declared_length_is_known_and_kept(self):
        head = encode_head("200 OK", [HTML, ("content-length", "12")])
        assert head.content_length == 12
        assert parse(head.to_bytes(99))[1] == [HTML, ("content-length", "12")]

    def test_a_length_that_the_caller_knows_is_added_if_there_is_none(self):
        head = encode_head("200 OK", [HTML])
        assert head.content_length is None
        assert parse(head.to_bytes(0))[1] == [HTML, ("Content-Length", "0")]
        assert parse(head.to_bytes())[1] == [HTML]

    def test_a_response_without_a_body_gets_no_length_of_its_body(self):
        assert parse(encode_head("304 Not Modified", []).to_bytes(5)) == ("304 Not Modified", [], b"")
        assert parse(encode_head("204 No Content", [("Content-Length", "0")]).to_bytes(0)) == (
            "204 No Content",
            [],
            b"",
        )

    def test_a_304_keeps_the_length_that_the_200_would_have(self):
        assert parse(encode_head("304 Not Modified", [("Content-Length", "9")]).to_bytes())[1] == [
            ("Content-Length", "9")
        ]

    @pytest.mark.parametrize("value", ["", "-1", "+1", " 1", "1 ", "1, 1", "1_0", "0x1", "\u00b2", "9" * 20, "abc"])
    def test_a_length_that_is_no_number_is_refused(self, value):
        with pytest.raises(BadResponse, match="Content-Length"):
            encode_head("200 OK", [("Content-Length", value)])

    @pytest.mark.parametrize("status", ["200 OK", "204 No Content"])
    def test_two_lengths_are_refused_even_if_they_agree(self, status):
        with pytest.raises(BadResponse, match=r"'Content-Length' is given twice"):
            encode_head(status, [("content-length", "1"), ("Content-Length", "1")])


class TestHopByHop:
    @pytest.mark.parametrize("name", HOP_BY_HOP)
    @pytest.mark.parametrize("spelling", [str, str.lower, str.upper])
    def test_they_are_taken_out_and_reported(self, name, spelling):
        head = encode_head("200 OK", [(spelling(name), "x"), HTML, (spelling(name), "y")])
        assert parse(head.to_bytes())[1] == [HTML]
        assert head.stripped == (spelling(name), spelling(name))

    def test_their_values_are_checked_all_the_same(self):
        with pytest.raises(BadResponse, match="Connection"):
            encode_head("200 OK", [("Connection", "close\r\nX: y")])

    def test_date_and_server_are_left_to_the_application(self):
        headers = [HTML, ("Date", "x"), ("Server", "me")]
        head = encode_head("200 OK", headers)
        assert parse(head.to_bytes())[1] == headers
        assert head.stripped == ()


class Header(str, enum.Enum):  # noqa: UP042 - a StrEnum prints as its value, this one does not
    NAME = "X-Enum"
    VALUE = "v"


class TestRefused:
    """Each of these is a way to make a web server see another response than the application wrote."""

    @pytest.mark.parametrize(
        ("header", "named"),
        [
            (("X", "a\r\nSet-Cookie: x"), "'X'"),
            (("X", "a\nSet-Cookie: x"), "'X'"),
            (("X", "a\r"), "'X'"),
            (("X", "a\r\n folded"), "'X'"),
            (("X\n", "a"), r"'X\\n'"),
            (("Content-Type", "text/html\n\n<script>"), "'Content-Type'"),
            (("Content-Type", "text/html\x00"), "'Content-Type'"),
            (("", "a"), "''"),
            (("X :", "a"), "'X :'"),
            (("X:", "a"), "'X:'"),
            ((" X", "a"), "' X'"),
            (("X\r\nY", "a"), r"'X\\r\\nY'"),
            (("X Y", "a"), "'X Y'"),
            (("Caf\u00e9", "a"), r"'Caf\\xe9'"),
            (("X", "\u20ac"), "'X'"),
            (("X", "\ud800"), "'X'"),
            (("X", "a" * 71_680), "'X'"),
            (("Status", "200 OK"), "'Status'"),
            (("STATUS", "200 OK"), "'STATUS'"),
            (("X", 1), "'X'"),
            (("X", None), "'X'"),
            (("X", b"a"), "'X'"),
            ((b"X", "a"), "b'X'"),
            ((None, "a"), "None"),
            ((["X"], "a"), r"\['X'\]"),
            (("X",), r"\('X',\)"),
            (("X", "a", "b"), r"\('X', 'a', 'b'\)"),
            ("Xa", "'Xa'"),
            (None, "None"),
        ],
        ids=lambda case: ascii(case)[:40],
    )
    def test_a_header_that_cannot_be_sent_is_refused_by_its_name(self, header, named):
        for _ in range(2):  # what has been refused once is not remembered as good
            with pytest.raises(BadResponse, match=named) as caught:
                encode_head("200 OK", [HTML, header])
            assert str(caught.value).isprintable()
            assert len(str(caught.value)) < 300

    @pytest.mark.parametrize("control", [chr(code) for code in [*range(9), *range(10, 32), 127]], ids=ascii)
    def test_each_control_character_but_tab_is_refused_in_values_names_and_reasons(self, control):
        for value in (control, f"a{control}", f"{control}a", f"\u00e9{control}\u00e9"):
            with pytest.raises(BadResponse, match="X-Value"):
                encode_head("200 OK", [("X-Value", value)])
            with pytest.raises(BadResponse, match="status"):
                encode_head(f"200 OK{value}", [])
        with pytest.raises(BadResponse, match="X-Name"):
            encode_head("200 OK", [(f"X-Name{control}", "a")])

    @pytest.mark.parametrize(
        "status",
        [
            "",
            "OK",
            "20 OK",
            "2000 OK",
            "200OK",
            "200\tOK",
            " 200 OK",
            "+20 OK",
            "\u00b2\u00b2\u00b2 OK",
            "200 OK\r\nX: y",
            "200\n",
            "200 OK\n",
            "200 \u20ac",
            "099 X",
            "000",
            "1e2 X",
            200,
            b"200 OK",
            None,
        ],
        ids=ascii,
    )
    def test_a_status_that_is_no_status_is_refused(self, status):
        with pytest.raises(BadResponse, match="status") as caught:
            encode_head(status, [])
        assert str(caught.value).isprintable()

    @pytest.mark.parametrize("status", ["100 Continue", "101 Switching Protocols", "103 Early Hints"])
    def test_an_interim_status_is_refused_with_the_reason(self, status):
        with pytest.raises(BadResponse, match=f"{status[:3]} announces another response"):
            encode_head(status, [])

    def test_the_message_never_shows_a_value(self):
        with pytest.raises(BadResponse) as caught:
            encode_head("200 OK", [("Set-Cookie", "secret\n")])
        assert "secret" not in str(caught.value)

    def test_a_bad_response_is_a_value_error(self):
        assert issubclass(BadResponse, ValueError)


def test_subclasses_of_str_go_out_as_what_they_hold():
    assert b"\r\nX-Enum: v\r\n" in encode_head("200 OK", [HTML, (Header.NAME, Header.VALUE)]).to_bytes()


def test_a_list_of_two_passes_for_a_pair():
    assert b"X: y\r\n" in encode_head("200 OK", [["X", "y"]]).to_bytes()  # type: ignore[list-item]


class TestSizes:
    def test_a_head_fills_one_record_at_most(self):
        room = MAX_HEAD - len(encode_head("200 OK", [HTML, ("X", "")]).fields)
        assert len(encode_head("200 OK", [HTML, ("X", "a" * room)]).fields) == MAX_HEAD
        with pytest.raises(BadResponse, match="'X'"):
            encode_head("200 OK", [HTML, ("X", "a" * (room + 1))])

    @pytest.mark.parametrize("headers", [[], [HTML], [("X", "a" * 3500)], [(f"X-H{n}", "v") for n in range(90)]])
    def test_a_head_that_every_server_takes_gets_no_warning(self, headers):
        assert head_warning(encode_head("200 OK", headers)) is None

    @pytest.mark.parametrize(
        ("headers", "words"),
        [
            ([("X", "a" * 5000)], ["nginx", "fastcgi_buffer_size"]),
            ([("X-Big", "a" * 9000)], ["nginx", "Apache", "X-Big"]),
            ([(f"X-{n}", "a" * 200) for n in range(50)], ["nginx", "HAProxy"]),
            ([(f"X-H{n}", "v") for n in range(200)], ["h2o", "HAProxy"]),
            ([("a", "")] * 101, ["h2o", "HAProxy"]),
        ],
    )
    def test_a_head_too_big_for_some_names_them(self, headers, words):
        warning = head_warning(encode_head("200 OK", headers))
        assert warning is not None
        for word in words:
            assert word in warning

    def test_the_warning_counts_the_status_line_too(self):
        empty = encode_head("200 OK", [HTML, ("X", "")])
        room = 4096 - len(empty.to_bytes())
        assert head_warning(encode_head("200 OK", [HTML, ("X", "a" * room)])) is None
        assert head_warning(encode_head("200 OK", [HTML, ("X", "a" * (room + 1))])) is not None


any_text = st.text(max_size=8)
plain_names = st.from_regex(re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,8}"), fullmatch=True)
names = st.one_of(plain_names, st.sampled_from([*HOP_BY_HOP, "Content-Type", "Content-Length", "status"]), any_text)
values = st.one_of(st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=8), st.just("7"), any_text)
statuses = st.one_of(st.integers(200, 999).map(str), st.sampled_from(["200 OK", "204 None", "304 Same"]), any_text)


class TestLaws:
    @given(statuses, st.lists(st.tuples(names, values), max_size=5), st.one_of(st.none(), st.integers(0, 10**6)))
    @example("200 OK", [("X", "a\r\nY: b")], None)
    def test_what_is_accepted_reads_back_as_what_was_given(self, status, headers, length):
        try:
            head = encode_head(status, headers)
        except BadResponse:
            return
        code, fields, body = parse(head.to_bytes(length))
        expected = [(name, value) for name, value in headers if name.lower() not in [hop.lower() for hop in HOP_BY_HOP]]
        given_names = [name.lower() for name, _ in headers]
        if head.code == 204:
            expected = [(name, value) for name, value in expected if name.lower() != "content-length"]
        if head.body_allowed and "content-type" not in given_names:
            expected.append(("Content-Type", DEFAULT_CONTENT_TYPE))
        if head.body_allowed and "content-length" not in given_names and length is not None:
            expected.append(("Content-Length", str(length)))
        assert fields == expected
        assert code.startswith(status.rstrip(" "))
        assert body == b""

    @given(statuses, st.lists(st.tuples(names, values), max_size=5))
    def test_nothing_but_bad_response_is_raised(self, status, headers):
        message = ""
        try:
            encode_head(status, headers)
        except BadResponse as refusal:
            message = str(refusal)
        assert message.isascii()
        assert message.isprintable()
