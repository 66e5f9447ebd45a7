"""This file holds the one family of errors that the protocol and connection floors raise.

    ProtocolError
    +-- LocalProtocolError      our own caller asked for something illegal
    +-- RemoteProtocolError     the peer sent something illegal; the connection must be closed

Any other exception out of those floors, whatever the bytes were, is a bug of penstock.
"""

from __future__ import annotations

from penstock.protocol.spec import ProtocolStatus


class ProtocolError(Exception):
    """Something that FastCGI 1.0 forbids.

    Attributes:
        status: the END_REQUEST status that fits the fault, for callers that still can send one.
    """

    def __init__(self, message: str, status: ProtocolStatus = ProtocolStatus.REQUEST_COMPLETE) -> None:
        super().__init__(message)
        self.status = status


class LocalProtocolError(ProtocolError):
    """Our side tried an illegal move, such as output for a request that has ended."""


class RemoteProtocolError(ProtocolError):
    """The peer broke the protocol: nothing more on that connection can be trusted, close it."""
