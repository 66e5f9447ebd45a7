"""This file says what becomes of flup's sessions: they left flup in 2007, and keeping them is no server's job."""

from __future__ import annotations

from penstock.compat.flup.unsupported import refuse


class SessionMiddleware:
    """Cannot be made.

    Raises:
        NotImplementedError: always.
    """

    def __init__(self, *_: object, **__: object) -> None:
        refuse("flup's session middleware, gone from flup since 2007,", "use Beaker, or your framework's sessions")


class SessionService(SessionMiddleware):
    """As SessionMiddleware."""


class MemorySessionStore(SessionMiddleware):
    """As SessionMiddleware."""


class DiskSessionStore(SessionMiddleware):
    """As SessionMiddleware."""


class ShelveSessionStore(SessionMiddleware):
    """As SessionMiddleware."""
