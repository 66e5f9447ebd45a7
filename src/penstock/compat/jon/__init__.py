"""This room is jonpy on Python 3: `jon.cgi` and `jon.fcgi` for programs that were written for them, translated only.

Text is the one thing that had to change, for jonpy knew bytes alone: see _text.py for the rule.
"""

from __future__ import annotations

from typing import Final, NoReturn

__version__: Final = "0.14"
"""The jonpy that is meant; programs look at it."""

_ABSENT: Final = frozenset({"dbpool", "fakefile", "mime", "modpy", "session", "wsgi", "wt"})


def __getattr__(name: str) -> NoReturn:
    """Say what is missing, also to `from jon import wt`, instead of a bare "no attribute".

    Raises:
        ImportError: jonpy has a module of this name, and penstock has not.
        AttributeError: neither has one.
    """
    if name in _ABSENT:
        raise ImportError(f"penstock has jon.cgi and jon.fcgi of jonpy, and no jon.{name}", name=f"jon.{name}")
    raise AttributeError(f"jon has no {name!r}")
