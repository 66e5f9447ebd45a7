"""This file holds the protocol's names as flup spells them, and records and pairs for programs that build them by hand.

penstock's own server uses none of this; scripts that talk to php-fpm do.
"""

# ruff: noqa: N803 - requestId, contentData and their kin are flup's names

from __future__ import annotations

import socket
from struct import Struct
from typing import Final

from penstock.protocol import records, spec
from penstock.protocol.errors import RemoteProtocolError
from penstock.protocol.params import encode

__all__ = [
    "DEBUG",
    "DEBUGLOG",
    "FCGI_ABORT_REQUEST",
    "FCGI_AUTHORIZER",
    "FCGI_BEGIN_REQUEST",
    "FCGI_CANT_MPX_CONN",
    "FCGI_DATA",
    "FCGI_END_REQUEST",
    "FCGI_FILTER",
    "FCGI_GET_VALUES",
    "FCGI_GET_VALUES_RESULT",
    "FCGI_HEADER_LEN",
    "FCGI_KEEP_CONN",
    "FCGI_LISTENSOCK_FILENO",
    "FCGI_MAXTYPE",
    "FCGI_MAX_CONNS",
    "FCGI_MAX_REQS",
    "FCGI_MPXS_CONNS",
    "FCGI_NULL_REQUEST_ID",
    "FCGI_OVERLOADED",
    "FCGI_PARAMS",
    "FCGI_REQUEST_COMPLETE",
    "FCGI_RESPONDER",
    "FCGI_STDERR",
    "FCGI_STDIN",
    "FCGI_STDOUT",
    "FCGI_UNKNOWN_ROLE",
    "FCGI_UNKNOWN_TYPE",
    "FCGI_VERSION_1",
    "FCGI_BeginRequestBody",
    "FCGI_BeginRequestBody_LEN",
    "FCGI_EndRequestBody",
    "FCGI_EndRequestBody_LEN",
    "FCGI_Header",
    "FCGI_UnknownTypeBody",
    "FCGI_UnknownTypeBody_LEN",
    "Record",
    "_debug",
    "decode_pair",
    "encode_pair",
]

FCGI_LISTENSOCK_FILENO: Final = spec.LISTENSOCK_FILENO
FCGI_HEADER_LEN: Final = spec.HEADER_LENGTH
FCGI_VERSION_1: Final = spec.VERSION

FCGI_BEGIN_REQUEST: Final = int(spec.RecordType.BEGIN_REQUEST)
FCGI_ABORT_REQUEST: Final = int(spec.RecordType.ABORT_REQUEST)
FCGI_END_REQUEST: Final = int(spec.RecordType.END_REQUEST)
FCGI_PARAMS: Final = int(spec.RecordType.PARAMS)
FCGI_STDIN: Final = int(spec.RecordType.STDIN)
FCGI_STDOUT: Final = int(spec.RecordType.STDOUT)
FCGI_STDERR: Final = int(spec.RecordType.STDERR)
FCGI_DATA: Final = int(spec.RecordType.DATA)
FCGI_GET_VALUES: Final = int(spec.RecordType.GET_VALUES)
FCGI_GET_VALUES_RESULT: Final = int(spec.RecordType.GET_VALUES_RESULT)
FCGI_UNKNOWN_TYPE: Final = int(spec.RecordType.UNKNOWN_TYPE)
FCGI_MAXTYPE: Final = spec.MAX_TYPE

FCGI_NULL_REQUEST_ID: Final = spec.NULL_REQUEST_ID
FCGI_KEEP_CONN: Final = spec.KEEP_CONN

FCGI_RESPONDER: Final = int(spec.Role.RESPONDER)
FCGI_AUTHORIZER: Final = int(spec.Role.AUTHORIZER)
FCGI_FILTER: Final = int(spec.Role.FILTER)

FCGI_REQUEST_COMPLETE: Final = int(spec.ProtocolStatus.REQUEST_COMPLETE)
FCGI_CANT_MPX_CONN: Final = int(spec.ProtocolStatus.CANT_MPX_CONN)
FCGI_OVERLOADED: Final = int(spec.ProtocolStatus.OVERLOADED)
FCGI_UNKNOWN_ROLE: Final = int(spec.ProtocolStatus.UNKNOWN_ROLE)

FCGI_MAX_CONNS: Final = spec.MAX_CONNS
FCGI_MAX_REQS: Final = spec.MAX_REQS
FCGI_MPXS_CONNS: Final = spec.MPXS_CONNS

# Formats for the struct module, as flup writes them.
FCGI_Header: Final = "!BBHHBx"
FCGI_BeginRequestBody: Final = "!HB5x"
FCGI_EndRequestBody: Final = "!LB3x"
FCGI_UnknownTypeBody: Final = "!B7x"
FCGI_BeginRequestBody_LEN: Final = 8
FCGI_EndRequestBody_LEN: Final = 8
FCGI_UnknownTypeBody_LEN: Final = 8

DEBUG = 0
"""Programs set this to have records written to DEBUGLOG; penstock shows them with --log-level debug instead."""
DEBUGLOG = "/tmp/fcgi.log"

_HEADER: Final = Struct(FCGI_Header)
_LONG: Final = Struct("!L")


def _debug(level: int, msg: str) -> None:
    """Nothing: see DEBUG."""


def encode_pair(name: bytes, value: bytes) -> bytes:
    """One name and value as they stand in a stream of pairs."""
    return encode([(name, value)])


def decode_pair(s: bytes, pos: int = 0) -> tuple[int, tuple[bytes, bytes]]:
    """Read the pair that stands at `pos`.

    Returns:
        Where the next one begins, and the name and value.

    Raises:
        RemoteProtocolError: the pair is longer than what is there.
    """
    lengths = []
    for _ in range(2):
        if pos < len(s) and s[pos] < 128:
            lengths.append(s[pos])
            pos += 1
        elif pos + 4 <= len(s):
            lengths.append(_LONG.unpack_from(s, pos)[0] & 0x7FFFFFFF)
            pos += 4
        else:
            raise RemoteProtocolError(f"a name-value pair is cut off inside its lengths at byte {pos}")
    middle = pos + lengths[0]
    end = middle + lengths[1]
    if end > len(s):
        raise RemoteProtocolError(f"a name-value pair claims {end - len(s)} bytes more than there are")
    return end, (s[pos:middle], s[middle:end])


class Record:
    """One record, to be filled by hand or from a socket.

    Attributes:
        version, type, requestId, contentLength, paddingLength: the fields of its header.
        contentData: its content.
    """

    def __init__(self, type: int = FCGI_UNKNOWN_TYPE, requestId: int = FCGI_NULL_REQUEST_ID) -> None:
        self.version: int = FCGI_VERSION_1
        self.type = type
        self.requestId = requestId
        self.contentLength = 0
        self.paddingLength = 0
        self.contentData = b""

    @staticmethod
    def _recvall(sock: socket.socket, length: int) -> tuple[bytes, int]:
        """So many bytes of a blocking socket, fewer only at its end; and how many they are."""
        pieces = []
        left = length
        while left and (piece := sock.recv(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces), length - left

    def read(self, sock: socket.socket) -> None:
        """Fill this record from a blocking socket.

        Raises:
            EOFError: the connection ended before the record did.
        """
        header, length = self._recvall(sock, FCGI_HEADER_LEN)
        if length < FCGI_HEADER_LEN:
            raise EOFError("the connection ended before a record")
        self.version, self.type, self.requestId, self.contentLength, self.paddingLength = _HEADER.unpack(header)
        rest, length = self._recvall(sock, self.contentLength + self.paddingLength)
        if length < self.contentLength + self.paddingLength:
            raise EOFError("the connection ended inside a record")
        self.contentData = rest[: self.contentLength]

    def write(self, sock: socket.socket) -> None:
        """Send this record through a blocking socket, padded to a multiple of 8.

        Raises:
            LocalProtocolError: the content does not fit a record.
            OSError: the peer is gone.
        """
        self.paddingLength = -self.contentLength & 7
        content = self.contentData[: self.contentLength]
        sock.sendall(records.record(self.type, self.requestId, content, self.paddingLength))
