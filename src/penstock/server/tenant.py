"""This file says what a channel tells the requests that are open on it."""

from __future__ import annotations

from typing import Protocol


class Tenant(Protocol):
    """A request that is open on a channel."""

    def starve(self) -> None:
        """No more input comes; what is complete may still be answered."""

    def cut(self) -> None:
        """Nobody takes the answer any more."""

    def forget(self) -> None:
        """The channel is gone, so a request that no handler has seen never will be."""
