"""This file holds what a server may be told about connections and requests, as data with its defaults."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from penstock.connection.limits import DEFAULT_LIMITS, Limits
from penstock.gateways.environ import mount_point
from penstock.protocol.spec import MAX_CONNS, MAX_REQS, MPXS_CONNS, Role
from penstock.server.kinds import Kind, check_kind

if TYPE_CHECKING:
    from penstock.connection.application import ApplicationConnection

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB

_WHOLE: Final[tuple[Kind, str]] = (int, "a whole number such as 4")
_BYTES: Final[tuple[Kind, str]] = (int, "a whole number of bytes such as 1048576")
_SECONDS: Final[tuple[Kind, str]] = ((int, float), "a number of seconds such as 60.0")
_KINDS: Final[Mapping[str, tuple[Kind, str]]] = {
    "threads": _WHOLE,
    "max_body": _BYTES,
    "body_memory": _BYTES,
    "stream_body": (bool, "True or False"),
    "io_timeout": _SECONDS,
    "graceful_timeout": _SECONDS,
    "max_queue_age": _SECONDS,
}
_ROLES: Final = "a collection of penstock.Role members, such as {Role.RESPONDER}"

MANY: Final = 10_000
"""As many as one could want."""

PROTOCOLS: Final = ("fastcgi", "scgi")


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
        max_queue_age: seconds that a request may have waited when it is begun; an older one is a 503. 0: any time.
        limits: what one connection may make us hold.
        protocol: what is spoken with web servers, one of PROTOCOLS.
        values: answers to GET_VALUES (section 4.1), over the server's own.
        tether: ties the server to a supervisor.

    Raises:
        ValueError: a number makes no sense.
        TypeError: something is of the wrong kind.
    """

    threads: int = 1
    mount: str | None = None
    roles: frozenset[Role] = field(default_factory=lambda: frozenset({Role.RESPONDER}))
    max_body: int = GIB
    body_memory: int = MIB
    stream_body: bool = False
    io_timeout: float = 60.0
    graceful_timeout: float = 30.0
    max_queue_age: float = 0.0
    limits: Limits = DEFAULT_LIMITS
    protocol: str = "fastcgi"
    values: Mapping[str, str] = field(default_factory=dict)
    tether: Any = None

    def __post_init__(self) -> None:
        for name, (kind, what) in _KINDS.items():
            check_kind(name, getattr(self, name), kind, what)
        if self.protocol not in PROTOCOLS:
            raise ValueError(f"there is no protocol {self.protocol!a}; use {' or '.join(PROTOCOLS)}")
        if self.threads < 1:
            raise ValueError(f"{self.threads} threads cannot serve anything; say 1 or more")
        for role in self.roles:
            if not isinstance(role, Role):
                raise ValueError(f"a role is a member of penstock.Role, such as Role.RESPONDER; {role!a} is none")
        if self.max_body < 0 or self.body_memory < 0:
            raise ValueError("a body cannot be limited to less than 0 bytes")
        if not (self.io_timeout > 0 and self.graceful_timeout > 0):
            raise ValueError("a timeout is more than 0 seconds")

    @classmethod
    def of(
        cls, *, mount: str | None = None, roles: Collection[Role] = (Role.RESPONDER,), **options: Any
    ) -> ServerOptions:
        """The options as `penstock.serve` takes them, with the mount as somebody typed it and any collection of roles.

        Raises:
            ValueError, TypeError: something is written wrong.
        """
        if mount is not None:
            check_kind("mount", mount, str, "a path such as '/app'")
            mount = mount_point(mount)
        # A text is a collection too, of letters.
        check_kind("roles", roles, (tuple, list, set, frozenset, Mapping), _ROLES)
        return cls(mount=mount, roles=frozenset(roles), **options)

    @property
    def connection(self) -> type[ApplicationConnection]:
        """What speaks the protocol on a connection."""
        # Late, for a request of plain CGI needs neither.
        if self.protocol == "scgi":
            from penstock.connection.scgi import ScgiConnection

            return ScgiConnection
        from penstock.connection.application import ApplicationConnection

        return ApplicationConnection

    def answers(self, most_requests: int, *, multiplexed: bool) -> dict[str, str]:
        """What GET_VALUES is told (section 4.1), as it is true of this transport: idle connections cost no thread.

        Args:
            most_requests: handlers that run at a time.
            multiplexed: requests of one connection run side by side.
        """
        many = multiplexed and self.limits.requests > 1
        return {MAX_CONNS: str(MANY), MAX_REQS: str(most_requests), MPXS_CONNS: str(int(many)), **self.values}

    def with_roles(self, roles: frozenset[Role]) -> ServerOptions:
        """The same for an application that says itself which roles it serves."""
        return replace(self, roles=roles)
