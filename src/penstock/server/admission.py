"""This file judges a request at the door: its parameters, and a body's length as it arrives."""

from __future__ import annotations

from typing import ClassVar, Final

from penstock.gateways.environ import BadRequest, Params, content_length, merge_columns, normalise, require_method
from penstock.protocol.spec import Role
from penstock.server.options import ServerOptions

_ROLE_NAMES: Final = {role: role.name for role in Role}


class BodyTooLarge(BadRequest):
    """The body passes `max_body`."""

    status: ClassVar[int] = 413


class NoRoom(BadRequest):
    """The body cannot be kept: the disk is full, or no temporary file can be made."""

    status: ClassVar[int] = 507


class WrongLength(BadRequest):
    """The body is not as long as CONTENT_LENGTH says: what follows on this connection cannot be trusted."""


class BrokenOff(BadRequest):
    """The rest of the body is not read any more."""


class Stalled(BadRequest):
    """The web server did not send the rest of a request."""

    status: ClassVar[int] = 408


def read_params(role: Role, names: list[str], values: list[str], options: ServerOptions) -> Params:
    """The parameters as an application gets them.

    Raises:
        BadRequest: there is something in them that no application can be given.
    """
    params = merge_columns(names, values)
    normalise(params, options.mount)
    params["FCGI_ROLE"] = _ROLE_NAMES[role]
    return params


def expected_length(role: Role, params: Params, options: ServerOptions) -> int | None:
    """The length that the body must have, in bytes; None when it may have any.

    Raises:
        BadRequest: the request cannot be answered by an application.
    """
    if role is Role.AUTHORIZER:
        return None
    require_method(params)
    expected = content_length(params)
    if expected is None:
        if params.get("CONTENT_LENGTH"):
            params["CONTENT_LENGTH"] = ""  # Caddy's -1: PEP 3333 knows numbers and nothing, and frameworks count on it
    elif expected > options.max_body:
        raise BodyTooLarge(f"a body of {expected} bytes; {options.max_body} are allowed")
    return expected


def check_size(received: int, expected: int | None, most: int) -> None:
    """Hold what has arrived of a stream against what was announced and what is allowed, in bytes.

    Raises:
        BadRequest: it is more.
    """
    if expected is not None and received > expected:
        raise WrongLength(f"the body is longer than its CONTENT_LENGTH of {expected}")
    if received > most:
        raise BodyTooLarge(f"more than the {most} bytes of body that are allowed")


def check_end(received: int, expected: int | None) -> None:
    """Hold a stream that has ended against what was announced, in bytes.

    Raises:
        WrongLength: it is less.
    """
    if expected is not None and received != expected:
        raise WrongLength(f"the body has {received} bytes and its CONTENT_LENGTH says {expected}")
