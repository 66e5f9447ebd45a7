"""This file lends the tests here the fixtures of the tests of `fcgi`: a runner of programs, and sockets."""

from __future__ import annotations

from tests.compat.fcgi.conftest import programs, tcp, unix

__all__ = ["programs", "tcp", "unix"]
