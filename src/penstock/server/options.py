"""This file holds what a server may be told about connections and requests, as data with its defaults."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from penstock.connection.limits import DEFAULT_LIMITS, Limits
from penstock.protocol.spec import Role

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server treats its peers.

    Attributes:
        threads: handlers that may run at a time.
        mount: the path prefix the application lives under; None leaves it to the web server's SCRIPT_NAME.
        roles: the roles that are served; any other is answered UNKNOWN_ROLE.
        max_body: bytes of request body accepted; more is a 413.
        body_memory: bytes of one request body kept in memory; a longer one goes to an unlinked temporary file.
        stream_body: hand the body to the handler while it arrives, instead of receiving it first.
        io_timeout: seconds a peer may stall in the middle of a request or of reading a response.
        graceful_timeout: seconds that running requests get to finish once a stop was asked for.
        limits: what one connection may make us hold.

    Raises:
        ValueError: a number makes no sense.
    """

    threads: int = 1
    mount: str | None = None
    roles: frozenset[Role] = field(default_factory=lambda: frozenset({Role.RESPONDER}))
    max_body: int = GIB
    body_memory: int = MIB
    stream_body: bool = False
    io_timeout: float = 60.0
    graceful_timeout: float = 30.0
    limits: Limits = DEFAULT_LIMITS

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise ValueError(f"{self.threads} threads cannot serve anything; say 1 or more")
        for role in self.roles:
            if not isinstance(role, Role):
                raise ValueError(f"a role is a member of penstock.Role, such as Role.RESPONDER; {role!a} is none")
        if self.max_body < 0 or self.body_memory < 0:
            raise ValueError("a body cannot be limited to less than 0 bytes")
        if not (self.io_timeout > 0 and self.graceful_timeout > 0):
            raise ValueError("a timeout is more than 0 seconds")

    def with_roles(self, roles: frozenset[Role]) -> ServerOptions:
        """The same for an application that says itself which roles it serves."""
        return replace(self, roles=roles)
