"""This file is flup.server.ajp_fork, which cannot be used here; see `BaseAJPServer`."""

from __future__ import annotations

from penstock.compat.flup.server.ajp_base import BaseAJPServer

__all__ = ["WSGIServer"]


class WSGIServer(BaseAJPServer):
    """Cannot be made: see `BaseAJPServer`."""
