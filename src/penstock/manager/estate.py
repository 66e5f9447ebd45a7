"""This file is what a pool leaves to its successor in the next image of the supervisor.

The next image knows the generations, their workers, templates and slots as the one before did. So it can go on with
them, fork from their templates and count their requests until a generation of its own serves.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, final

from penstock.manager.handover import Handover
from penstock.manager.scoreboard import Scoreboard


@final
@dataclass(frozen=True, slots=True)
class Estate:
    """What a pool has left to its successor.

    Attributes:
        told: what `pack` has made.
        memory: descriptor of the scoreboard's memory.
        exchange: as Exchange takes it.
        pipes, stacks: as SlotFiles takes them.
        channels: of each generation the supervisor's end of its messages, and its gate or -1.
    """

    told: dict[str, Any]
    memory: int
    exchange: tuple[int, int]
    pipes: list[tuple[int, int]]
    stacks: list[int]
    channels: list[tuple[int, int]]

    @property
    def grace(self) -> float:
        """Seconds that running requests get to finish."""
        return float(self.told["grace"])

    @classmethod
    def unpack(cls, told: dict[str, Any], handover: Handover) -> Estate:
        """Take the descriptors out.

        Raises:
            KeyError, TypeError, ValueError: this makes no sense.
        """
        return cls(
            told,
            handover.fd(told["board"]),
            (handover.fd(told["exchange"][0]), handover.fd(told["exchange"][1])),
            [(handover.fd(ours), handover.fd(theirs)) for ours, theirs in told["pipes"]],
            [handover.fd(fd) for fd in told["stacks"]],
            [
                (handover.fd(each["events"]), each["gate"] if each["gate"] < 0 else handover.fd(each["gate"]))
                for each in told["generations"]
            ],
        )

    def board(self, slots: int, lanes: int) -> Scoreboard:
        """The scoreboard, with as many slots at least: the same one, or where it does not fit a new one.

        Then those who write to the old one look as if they did nothing.
        """
        slots = max(slots, self.told["slots"])
        if slots == self.told["slots"] and lanes <= self.told["lanes"]:
            try:
                return Scoreboard(slots, self.told["lanes"], self.memory)
            except ValueError:
                pass
        board = Scoreboard(slots, lanes)
        os.close(self.memory)
        return board
