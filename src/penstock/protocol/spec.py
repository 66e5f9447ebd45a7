"""This file holds the numbers of the FastCGI 1.0 specification, each with its section, and nothing else.

Inside Python the enums are the names to use; the hot paths bind the plain integers once, at import.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

VERSION: Final = 1
"""The one protocol version there is (section 3.3)."""

HEADER_LENGTH: Final = 8
"""Bytes in every record's header (section 3.3)."""

MAX_CONTENT: Final = 65535
"""Most content bytes one record can carry; its length field has 16 bits (section 3.3)."""

MAX_REQUEST_ID: Final = 65535
"""Highest request id; 0 is kept for management records (section 3.3)."""

NULL_REQUEST_ID: Final = 0
"""The request id of management records (section 3.3)."""

KEEP_CONN: Final = 1
"""BEGIN_REQUEST flag bit: the web server closes the connection, not the application (section 5.1)."""

LISTENSOCK_FILENO: Final = 0
"""The descriptor that holds the listening socket in a process a web server started (section 2.2)."""

WEB_SERVER_ADDRS: Final = "FCGI_WEB_SERVER_ADDRS"
"""Environment variable that lists the addresses allowed to connect over TCP (section 3.2)."""


class RecordType(IntEnum):
    """Every record type (section 8); 1 to 8 belong to a request, 9 to 11 to the connection."""

    BEGIN_REQUEST = 1
    ABORT_REQUEST = 2
    END_REQUEST = 3
    PARAMS = 4
    STDIN = 5
    STDOUT = 6
    STDERR = 7
    DATA = 8
    GET_VALUES = 9
    GET_VALUES_RESULT = 10
    UNKNOWN_TYPE = 11


MAX_TYPE: Final = 11
"""Highest record type the specification knows (FCGI_MAXTYPE, section 8)."""

MANAGEMENT_TYPES: Final = frozenset({RecordType.GET_VALUES, RecordType.GET_VALUES_RESULT, RecordType.UNKNOWN_TYPE})
"""The types that travel with request id 0 (section 4)."""


class Role(IntEnum):
    """What the web server asks the application to be (section 6)."""

    RESPONDER = 1
    AUTHORIZER = 2
    FILTER = 3


class ProtocolStatus(IntEnum):
    """How a request ended, as END_REQUEST says it (section 5.5)."""

    REQUEST_COMPLETE = 0
    CANT_MPX_CONN = 1
    OVERLOADED = 2
    UNKNOWN_ROLE = 3


MAX_CONNS: Final = "FCGI_MAX_CONNS"
"""GET_VALUES name: how many connections the application accepts at a time (section 4.1)."""

MAX_REQS: Final = "FCGI_MAX_REQS"
"""GET_VALUES name: how many requests it takes at a time, over all connections (section 4.1)."""

MPXS_CONNS: Final = "FCGI_MPXS_CONNS"
"""GET_VALUES name: "1" where one connection may carry several requests at a time (section 4.1)."""
