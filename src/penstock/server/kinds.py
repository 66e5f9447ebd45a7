"""This file says in one sentence that an argument of a public function is of the wrong kind."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

Kind: TypeAlias = type | tuple[type, ...]
"""What isinstance() takes."""


def check_kind(name: str, value: object, kind: Kind, what: str) -> None:
    """Let an argument pass that is of the right kind.

    Args:
        name: of the argument.
        kind: what it has to be an instance of.
        what: the same for people.

    Raises:
        TypeError: it is not.
    """
    if not isinstance(value, kind):
        raise TypeError(f"{name} is {what}, not {value!a}")


def check_words(name: str, value: object, what: str) -> None:
    """The same of an argument that is a text, or several in a list."""
    for word in value if isinstance(value, Collection) and not isinstance(value, str) else (value,):
        check_kind(name, word, str, what)
