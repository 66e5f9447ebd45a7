"""This file tests that numbers of workers are read as they are meant, or refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.manager.plan import ONE, PoolPlan, WorkerLimits, Workers


@pytest.mark.parametrize(
    ("text", "least", "most"), [("4", 4, 4), ("2..16", 2, 16), ("0..4", 0, 4), (" 3 ", 3, 3), ("1..1", 1, 1)]
)
def test_a_number_and_a_range_of_workers(text, least, most):
    workers = Workers.parse(text)
    assert workers.fixed == (least == most)
    assert workers == (least, most)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no number of workers"),
        ("-1", "no number of workers"),
        ("1..", "no number of workers"),
        ("1...3", "no number of workers"),
        ("many", "no number of workers"),
        ("123456", "no number of workers"),
        ("\u0664", "no number of workers"),  # a digit, but not one of ours
        ("4..2", "swap them"),
        ("0", "cannot serve anything"),
        ("0..0", "cannot serve anything"),
    ],
)
def test_what_is_no_number_of_workers_is_refused(text, told):
    with pytest.raises(ValueError, match=told):
        Workers.parse(text)


@given(st.integers(0, 9999), st.integers(1, 9999))
def test_what_is_shown_is_read_back(least, more):
    workers = Workers(least, least + more)
    assert Workers.parse(str(workers)) == workers


def test_the_grace_is_that_of_the_server():
    assert PoolPlan("main", "app:app").grace == 30.0
    assert PoolPlan("main", "app:app", serving={"graceful_timeout": 5}).grace == 5.0


def test_by_default_there_is_one_worker_without_limits():
    plan = PoolPlan("main", "app:app")
    assert plan.workers is ONE
    limits = WorkerLimits()
    assert plan.limits == limits
    assert (limits.request_timeout, limits.max_requests, limits.max_memory, limits.max_lifetime) == (0, 0, 0, 0)
