"""This file cuts a byte stream into whole records and builds records (sections 3.3, 5 and 8)."""

from __future__ import annotations

from struct import Struct
from typing import Final

from penstock.protocol.errors import LocalProtocolError, RemoteProtocolError
from penstock.protocol.spec import HEADER_LENGTH, MAX_CONTENT, VERSION, ProtocolStatus, RecordType

Buffer = bytes | bytearray | memoryview
"""What may be given as content to send."""

Record = tuple[int, int, bytes]
"""A whole record: its type (any byte, known or not), its request id, its content without the padding."""

STREAM_SLICE: Final = 65528
"""Most content we put into one stream record: the largest multiple of 8, so it needs no padding (section 3.3)."""

_HEADER: Final = Struct(">BBHHBx")
_BEGIN: Final = Struct(">HB5x")
_END: Final = Struct(">IB3x")
_ENDING: Final = Struct(">BBHHBxBBHHBxIB3x")
_UNKNOWN: Final = Struct(">B7x")

_STDOUT: Final = int(RecordType.STDOUT)
_END_REQUEST: Final = int(RecordType.END_REQUEST)


class RecordReader:
    """Whole records off the front of a stream of bytes; what is left waits for the next bytes.

    What is left becomes an array that grows if the next read does not complete it: a peer that drips single bytes makes
    us neither copy them over and over nor keep each as an object.
    """

    __slots__ = ("_need", "_rest")

    def __init__(self) -> None:
        self._rest: bytes | bytearray = b""
        self._need = HEADER_LENGTH

    @property
    def pending(self) -> int:
        """Bytes received that do not make a whole record yet."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[Record]:
        """Take bytes as they came from the socket and return every record that is now whole.

        Raises:
            RemoteProtocolError: a record of another protocol version (section 3.3); feed nothing more after that.
        """
        rest = self._rest
        if rest:
            if len(rest) + len(data) < self._need:
                if isinstance(rest, bytearray):
                    rest += data
                else:
                    self._rest = bytearray(rest) + data
                return []
            data = b"".join((rest, data))
        records: list[Record] = []
        append = records.append
        unpack_from = _HEADER.unpack_from
        end = len(data)
        position = 0
        need = HEADER_LENGTH
        while end - position >= HEADER_LENGTH:
            version, kind, request_id, length, padding = unpack_from(data, position)
            if version != VERSION:
                raise RemoteProtocolError(_not_fastcgi(version))
            start = position + HEADER_LENGTH
            stop = start + length
            if stop + padding > end:
                need = HEADER_LENGTH + length + padding
                break
            append((kind, request_id, data[start:stop]))
            position = stop + padding
        self._need = need
        self._rest = data[position:]
        return records


class SpentReader(RecordReader):
    """What a connection reads with after a protocol error: where the next record begins is anyone's guess."""

    __slots__ = ()

    def feed(self, data: bytes) -> list[Record]:
        """Refuse.

        Raises:
            LocalProtocolError: always.
        """
        raise LocalProtocolError(f"{len(data)} bytes were fed to a connection that has broken the protocol before")


def _not_fastcgi(version: int) -> str:
    # The classic mistake has a capital letter, of GET or POST, where the version stands.
    http = "; it looks like HTTP: with nginx, use fastcgi_pass and not proxy_pass" if chr(version).isupper() else ""
    return f"a record of version {version}; this is no FastCGI {VERSION} peer{http}"


def record(kind: int, request_id: int, content: Buffer = b"", padding: int = 0) -> bytes:
    """One record.

    Args:
        content: at most 65,535 bytes.
        padding: 0 to 255 bytes of zeros behind it.

    Raises:
        LocalProtocolError: content or padding do not fit.
    """
    if len(content) > MAX_CONTENT or not 0 <= padding <= 255:
        raise LocalProtocolError(f"{len(content)} bytes and {padding} of padding do not fit one record")
    return b"".join((_HEADER.pack(VERSION, kind, request_id, len(content), padding), content, bytes(padding)))


def header(kind: int, request_id: int, length: int) -> bytes:
    """The header of an unpadded record, for content that is sent beside it without a copy."""
    return _HEADER.pack(VERSION, kind, request_id, length, 0)


def stream(kind: int, request_id: int, content: Buffer) -> bytes:
    """Content of any length as records of one stream; nothing for no content, because an empty record ends a stream."""
    size = len(content)
    if size <= STREAM_SLICE:
        return b"".join((_HEADER.pack(VERSION, kind, request_id, size, 0), content)) if size else b""
    view = memoryview(content)
    pieces: list[Buffer] = []
    for start in range(0, size, STREAM_SLICE):
        piece = view[start : start + STREAM_SLICE]
        pieces += (_HEADER.pack(VERSION, kind, request_id, len(piece), 0), piece)
    return b"".join(pieces)


def begin_request(request_id: int, role: int, flags: int) -> bytes:
    """BEGIN_REQUEST (section 5.1)."""
    return record(RecordType.BEGIN_REQUEST, request_id, _BEGIN.pack(role, flags))


def parse_begin_request(content: bytes) -> tuple[int, int]:
    """Role and flags of a BEGIN_REQUEST (section 5.1).

    Raises:
        RemoteProtocolError: the content is not 8 bytes.
    """
    if len(content) != _BEGIN.size:
        raise RemoteProtocolError(f"BEGIN_REQUEST with {len(content)} bytes of content; it has {_BEGIN.size}")
    role, flags = _BEGIN.unpack(content)
    return role, flags


def end_request(request_id: int, app_status: int = 0, status: int = ProtocolStatus.REQUEST_COMPLETE) -> bytes:
    """END_REQUEST (section 5.5); `app_status` is the exit code a CGI program would have had (unsigned, 32 bits)."""
    return _HEADER.pack(VERSION, _END_REQUEST, request_id, _END.size, 0) + _END.pack(app_status & 0xFFFFFFFF, status)


def parse_end_request(content: bytes) -> tuple[int, int]:
    """Application status and protocol status of an END_REQUEST (section 5.5).

    Raises:
        RemoteProtocolError: the content is not 8 bytes.
    """
    if len(content) != _END.size:
        raise RemoteProtocolError(f"END_REQUEST with {len(content)} bytes of content; it has {_END.size}")
    app_status, status = _END.unpack(content)
    return app_status, status


def response(request_id: int, content: Buffer, app_status: int = 0) -> bytes:
    """The last content of STDOUT, its end and END_REQUEST (sections 5.3 and 5.5), ready for one write."""
    size = len(content)
    if not 0 < size <= STREAM_SLICE or app_status:
        end = _HEADER.pack(VERSION, _STDOUT, request_id, 0, 0) + end_request(request_id, app_status)
        return stream(_STDOUT, request_id, content) + end
    # Nearly every response: one join, one call of pack.
    return b"".join(
        (
            _HEADER.pack(VERSION, _STDOUT, request_id, size, 0),
            content,
            _ENDING.pack(VERSION, _STDOUT, request_id, 0, 0, VERSION, _END_REQUEST, request_id, 8, 0, 0, 0),
        )
    )


def unknown_type(kind: int) -> bytes:
    """UNKNOWN_TYPE, the answer to a management record we do not know (section 4.2)."""
    return record(RecordType.UNKNOWN_TYPE, 0, _UNKNOWN.pack(kind))


def parse_unknown_type(content: bytes) -> int:
    """The type that an UNKNOWN_TYPE record is about (section 4.2).

    Raises:
        RemoteProtocolError: the content is not 8 bytes.
    """
    if len(content) != _UNKNOWN.size:
        raise RemoteProtocolError(f"UNKNOWN_TYPE with {len(content)} bytes of content; it has {_UNKNOWN.size}")
    (kind,) = _UNKNOWN.unpack(content)
    return int(kind)
