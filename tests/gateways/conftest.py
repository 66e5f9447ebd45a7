"""This file holds the fixtures of the gateways' tests."""

from __future__ import annotations

import pytest

from penstock.gateways import wsgi


@pytest.fixture(autouse=True)
def nothing_warned_before(monkeypatch):
    """What the WSGI gateway says once is said in each test that asks for it."""
    monkeypatch.setattr(wsgi, "_warned", set())
