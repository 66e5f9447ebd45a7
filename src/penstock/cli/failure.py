"""This file holds the exit codes, which are a part of the interface, and the error that ends a command with one."""

from __future__ import annotations

from typing import Final

import click

DONE: Final = 0
"""Done; also after a stop signal."""
USAGE: Final = 2
"""The command line, or a setting, is wrong."""
APP: Final = 3
"""The application cannot be loaded."""
BIND: Final = 4
"""The address cannot be bound."""
TARGET: Final = 5
"""The target did not answer."""


class Failure(click.ClickException):
    """Ends the command with this exit code and this message, which may have several lines."""

    def __init__(self, exit_code: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = exit_code  # type: ignore[misc] # click has it on the class, and reads it here
