"""This file holds the bounds a connection keeps, as data; each is checked before anything is allocated for it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """How much one connection may ask us to hold.

    Attributes:
        params: bytes of PARAMS that one connection may have undecoded at a time; real web servers stay under 64 KiB.
        pairs: name-value pairs in one request.
        requests: requests open at a time on one connection; 1 means that we do not multiplex.
    """

    params: int = 1024 * 1024
    pairs: int = 10_000
    requests: int = 100


DEFAULT_LIMITS: Final = Limits()
