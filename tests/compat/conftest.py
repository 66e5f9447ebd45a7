"""This file lends the tests of old names the listening sockets that a web server hands to a program."""

from __future__ import annotations

from tests.homes.conftest import tcp, unix

__all__ = ["tcp", "unix"]
