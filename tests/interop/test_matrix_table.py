"""This file holds how the matrix judges: what fails a cell, and what the table shows of it."""

from __future__ import annotations

import pytest

from tests.interop import matrix_table
from tests.interop.matrix_case import Case
from tests.interop.matrix_site import Variant
from tests.interop.matrix_table import Difference, cell, judge

ROOT = Variant("", "unix", "wsgi")
SUB = Variant("/app", "tcp", "asgi")
CASE = Case("case", lambda _site: {}, {"status": 200, "path": "{mount}/x"})
LOUD = Difference(servers=("loud",), cases=("case",), facts={"status": 500}, reason="is loud")
RARE = Difference(servers=("rare",), cases=("case",), facts={"status": 500}, reason="at times", sometimes=True)
DEEP = Difference(servers=("deep",), cases=("case",), facts={"path": "{mount}//x"}, reason="is deep", only=("sub",))


@pytest.fixture(autouse=True)
def differences(monkeypatch):
    monkeypatch.setattr(matrix_table, "DIFFERENCES", [LOUD, RARE, DEEP])


def test_a_web_server_that_does_as_it_ought_to_shows_no_difference():
    assert judge(CASE, "plain", ROOT, {"status": 200, "path": "/x"}) == []
    assert judge(CASE, "plain", SUB, {"status": 200, "path": "/app/x"}) == []


def test_a_difference_that_is_not_in_the_table_fails():
    with pytest.raises(AssertionError, match=r"plain \(sub-tcp-asgi\), case:\n  status: 500, not 200"):
        judge(CASE, "plain", SUB, {"status": 500, "path": "/app/x"})


def test_a_difference_of_the_table_passes_and_is_returned():
    assert judge(CASE, "loud", ROOT, {"status": 500, "path": "/x"}) == [LOUD]


def test_a_difference_of_the_table_that_no_longer_shows_fails():
    with pytest.raises(AssertionError, match="status: 200, not 500 as in differences.toml"):
        judge(CASE, "loud", ROOT, {"status": 200, "path": "/x"})


def test_one_difference_excuses_no_other():
    with pytest.raises(AssertionError, match="path: '/y', not '/x'"):
        judge(CASE, "loud", ROOT, {"status": 500, "path": "/y"})


def test_a_difference_by_chance_may_show_or_not():
    assert judge(CASE, "rare", ROOT, {"status": 500, "path": "/x"}) == [RARE]
    assert judge(CASE, "rare", ROOT, {"status": 200, "path": "/x"}) == []
    with pytest.raises(AssertionError):
        judge(CASE, "rare", ROOT, {"status": 502, "path": "/x"})


def test_a_difference_may_hold_for_some_variants_alone():
    assert judge(CASE, "deep", SUB, {"status": 200, "path": "/app//x"}) == [DEEP]
    assert judge(CASE, "deep", ROOT, {"status": 200, "path": "/x"}) == []


@pytest.mark.parametrize(
    ("outcomes", "text"),
    [
        ([], ""),
        ([[], []], "ok"),
        ([[], [LOUD]], "(1)"),
        ([[DEEP, LOUD], [LOUD]], "(1)(2)"),
        ([[LOUD], "FAIL", []], "FAIL"),
        (["missing"], "missing"),
    ],
)
def test_a_cell_shows_the_worst_and_else_the_reasons(outcomes, text):
    assert cell(outcomes, []) == text


def test_a_reason_has_one_number_in_the_whole_table():
    notes = ["something else"]
    assert cell([[LOUD]], notes) == cell([[LOUD]], notes) == "(2)"
    assert notes == ["something else", "is loud"]
