"""This file says in one sentence what a program asks of flup that penstock has no place for."""

from __future__ import annotations

from typing import NoReturn


def refuse(what: str, mend: str) -> NoReturn:
    """Raise the error for a name that exists to be imported, and cannot be used.

    Args:
        what: the name and what it was for.
        mend: what to do instead.

    Raises:
        NotImplementedError: always.
    """
    raise NotImplementedError(f"{what} is not offered by penstock; {mend}")
