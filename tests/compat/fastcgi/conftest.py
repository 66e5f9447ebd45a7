"""This file lends the tests here the runner of programs of the tests of `fcgi`."""

from __future__ import annotations

from tests.compat.fcgi.conftest import programs

__all__ = ["programs"]
