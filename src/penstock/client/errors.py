"""This file holds the errors of the client, each a sentence that can be shown as it stands."""

from __future__ import annotations

from penstock.protocol.spec import ProtocolStatus


class ClientError(Exception):
    """The application could not be asked, or did not answer as it must. The message is a sentence for people."""


class BadAddress(ClientError):
    """The address is written wrong."""


class CannotConnect(ClientError):
    """Nobody answers at the address, or we may not talk to them."""


class ConnectionLost(ClientError):
    """The application closed the connection before it had answered."""


class TimedOut(ClientError):
    """No byte moved for as long as the client was told to wait."""


class BadAnswer(ClientError):
    """What came is no FastCGI, or no CGI response."""


class Refused(ClientError):
    """The application ended the request without a response; `protocol_status` says why."""

    def __init__(self, message: str, protocol_status: ProtocolStatus | int) -> None:
        super().__init__(message)
        self.protocol_status = protocol_status
