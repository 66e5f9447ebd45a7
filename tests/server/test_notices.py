"""Tests of the server's notices: one line for each cause and second, whatever peers put into it."""

from __future__ import annotations

import pytest

from penstock.server import notices
from penstock.server.notices import Notices


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 50.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(notices, "time", made)
    return made


def lines(caplog) -> list[str]:
    return [record.getMessage() for record in caplog.records]


def test_a_cause_is_told_once_a_second_and_the_rest_is_counted(clock, caplog):
    told = Notices()
    for _ in range(5):
        told.warn("a peer left")
    told.warn("something else")
    assert lines(caplog) == ["a peer left", "something else"]
    clock.now += 1.0
    told.warn("a peer left")
    assert lines(caplog)[2:] == ["a peer left (4 more like this)"]
    clock.now += 1.0
    told.warn("a peer left")
    assert lines(caplog)[3:] == ["a peer left"]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a body of 5 bytes; 4 are allowed", "a body of 123456 bytes; 4 are allowed"),
        ("answered 400 [a1b2c3d4e5]: NUL", "answered 400 [f0e9d8c7b6]: NUL"),
        ("CONTENT_LENGTH is 'abc', not a number", "CONTENT_LENGTH is 'x y', not a number"),
        ('CONTENT_LENGTH is "a\'b", not a number', "CONTENT_LENGTH is 'c', not a number"),
        ("tcp: a connection from 2001:db8::beef was refused", "tcp: a connection from fe80::1 was refused"),
    ],
)
def test_what_a_peer_can_vary_makes_no_new_cause(clock, caplog, one, other):
    told = Notices()
    told.warn(one)
    told.warn(other)
    assert lines(caplog) == [one]


def test_two_causes_are_two(clock, caplog):
    told = Notices()
    told.warn("answered 400 [a1b2c3d4e5]: the body is longer than its CONTENT_LENGTH of 5")
    told.warn("answered 400 [a1b2c3d4e5]: the body has 4 bytes and its CONTENT_LENGTH says 5")
    assert len(lines(caplog)) == 2


def test_many_causes_are_not_kept_for_ever(clock, caplog):
    told = Notices()
    for number in range(600):
        told.warn(f"cause {'x' * number}")
    assert len(told._seen) <= 256
