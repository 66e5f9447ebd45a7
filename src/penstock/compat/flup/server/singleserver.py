"""This file is flup's server with a single thread, as far as programs see it."""

# ruff: noqa: N803 - flup's names

from __future__ import annotations

from penstock.compat.flup.loop import Loop

__all__ = ["SingleServer"]


class SingleServer(Loop):
    """Runs a WSGIServer's requests one after another.

    Args:
        jobClass, jobArgs, kw: part of flup's signature and not used.
    """

    def __init__(self, jobClass: object = None, jobArgs: object = (), **kw: object) -> None:  # noqa: ARG002
        Loop.__init__(self)
