"""This file says what a connection needs of the server that it belongs to."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Protocol, TypeVar

from penstock.server.timers import Timers

ChannelType = TypeVar("ChannelType", contravariant=True)


class Hub(Protocol[ChannelType]):
    """What a channel needs of the server that it belongs to."""

    timers: Timers
    io_timeout: float
    shared: bool
    crowded: bool

    def receive(self, channel: ChannelType) -> None:
        """The channel can be read."""

    def watch(self, fd: int, on_ready: Callable[[], None]) -> None:
        """Call `on_ready` when the descriptor can be read."""

    def rearm(self, fd: int) -> None:
        """Do so again; needed after each call."""

    def unwatch(self, fd: int) -> None:
        """Do so no more."""

    def discard(self, channel: ChannelType) -> None:
        """The channel is gone."""

    def give_away(self, sock: socket.socket) -> bool:
        """Leave an idle connection to others, if there are any who take it."""

    def stalled(self, channel: ChannelType) -> None:
        """A deadline has passed; called inside the channel, with `reading` held."""
