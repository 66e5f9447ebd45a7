"""This file tests how option values are read and written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli import values
from penstock.protocol.spec import Role


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("60s", 60), ("60", 60), ("1h30m", 5400), ("500ms", 0.5), ("1.5s", 1.5), ("2m", 120), (" 5S ", 5), ("1h1s", 3601)],
)
def test_a_duration_has_units_or_is_in_seconds(text, seconds):
    assert values.parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "s", "0", "0s", "-1", "1d", "1 m", "1e3", "nan", "inf", "\u0661s", "9999h", "1.s"]
)
def test_what_is_no_duration_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match=r"write it as in 60s|from 1ms to a year"):
        values.parse_duration(text)


@given(st.integers(min_value=1, max_value=10**9))
def test_a_duration_that_is_shown_can_be_read_again(thousandths):
    seconds = thousandths / 1000
    assert values.parse_duration(values.show_duration(seconds)) == pytest.approx(seconds)


@pytest.mark.parametrize(("seconds", "text"), [(60.0, "60s"), (30.0, "30s"), (5400.0, "1h30m"), (0.5, "500ms")])
def test_a_duration_is_shown_as_people_write_it(seconds, text):
    assert values.show_duration(seconds) == text


@pytest.mark.parametrize(
    ("text", "size"),
    [("0", 0), ("10", 10), ("1k", 1024), ("256K", 262144), ("1g", 1 << 30), ("2MiB", 2 << 20), ("3mb", 3 << 20)],
)
def test_a_size_has_units_of_1024_or_is_in_bytes(text, size):
    assert values.parse_size(text) == size


@pytest.mark.parametrize("text", ["", "k", "-1", "1.5g", "1 k", "1x", "1kk", "²", "1" * 16])
def test_what_is_no_size_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="write it as in 256k"):
        values.parse_size(text)


@given(st.integers(min_value=0, max_value=2**49))
def test_a_size_that_is_shown_can_be_read_again(size):
    assert values.parse_size(values.show_size(size)) == size


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("660", 0o660), ("0o600", 0o600), ("0777", 0o777)])
def test_a_mode_is_octal(text, mode):
    assert values.parse_mode(text) == mode


@pytest.mark.parametrize("text", ["", "66", "0680", "1660", "01777", "rw-", "0x1ff"])
def test_what_is_no_mode_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="as in 0660"):
        values.parse_mode(text)


@pytest.mark.parametrize(("text", "on"), [("1", True), ("ON", True), ("yes", True), ("0", False), ("Off", False)])
def test_a_switch_is_written_in_the_usual_words(text, on):
    assert values.parse_switch(text) is on


def test_a_switch_takes_no_other_word():
    with pytest.raises(ValueError, match="neither on nor off"):
        values.parse_switch("maybe")


def test_a_role_is_named_in_whatever_case_and_a_wrong_name_brings_the_list():
    assert values.parse_role("Authorizer") is Role.AUTHORIZER
    with pytest.raises(ValueError, match="responder, authorizer, filter"):
        values.parse_role("authoriser")


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (values.COUNT, "0"),
        (values.COUNT, "1_0"),
        (values.COUNT, "100000"),
        (values.ADDRESSES, "9000"),
        (values.PEERS, "10.0.0.1/8"),
        (values.PEERS, ""),
        (values.MOUNT, "app"),
        (values.MOUNT, "/a/../b"),
        (values.USER, ""),
        (values.choice("text", "json"), "xml"),
    ],
)
def test_a_wrong_value_of_any_kind_is_a_value_error_that_quotes_it(kind, text):
    with pytest.raises(ValueError, match=r".") as caught:
        kind.parse(text)
    assert text in str(caught.value)


@pytest.mark.parametrize("kind", [values.DURATION_OR_OFF, values.SIZE_OR_OFF, values.COUNT_OR_OFF])
def test_a_limit_may_be_off_and_is_shown_so(kind):
    assert kind.parse("off") == kind.parse("0") == kind.parse(" OFF ") == 0
    assert kind.show(0) == "off"
    assert kind.parse(kind.show(kind.parse("100"))) == 100


@pytest.mark.parametrize(("text", "number"), [("-20", -20), ("+5", 5), ("19", 19), ("0", 0)])
def test_a_niceness_is_from_minus_20_to_19(text, number):
    assert values.NICE.parse(text) == number


def test_an_assignment_keeps_what_is_right_of_its_first_sign():
    assert values.ASSIGNMENTS.parse("A=b=c,d") == "A=b=c,d"
    assert values.ASSIGNMENTS.parse("A=") == "A="
