"""This file reads how many connections wait in the queue of a listening socket, which only Linux tells.

For TCP it stands in struct tcp_info, as in `ss -lt`. For unix sockets no getsockopt() has it; sock_diag(7) does, over a
netlink socket. That is opened for each question: all of it takes some 30 microseconds, and there is nothing to keep
open, to inherit or to close.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final, NamedTuple

_TCP_INFO_QUEUE: Final = struct.Struct("=II")
_TCP_INFO_QUEUE_AT: Final = 24  # tcpi_unacked, tcpi_sacked: of a listening socket its queue and the limit of it
_TCP_LISTEN: Final = 10

_NETLINK_SOCK_DIAG: Final = 4
_SOCK_DIAG_BY_FAMILY: Final = 20
_NLM_F_REQUEST: Final = 1
_UDIAG_SHOW_RQLEN: Final = 0x10
_UNIX_DIAG_RQLEN: Final = 4
_ANY: Final = 0xFFFFFFFF

_HEADER: Final = struct.Struct("=IHHII")  # struct nlmsghdr: length, type, flags, sequence, port
_QUESTION: Final = struct.Struct("=BBHIIIII")  # struct unix_diag_req
_ANSWER: Final = struct.Struct("=BBBBIII")  # struct unix_diag_msg: family, type, state, pad, inode, cookie
_ATTRIBUTE: Final = struct.Struct("=HH")  # struct nlattr: length, type
_QUEUE: Final = struct.Struct("=II")  # struct unix_diag_rqlen


class QueueLength(NamedTuple):
    """Connections that wait to be accepted, and how many may."""

    pending: int
    limit: int


def queue_length(sock: socket.socket) -> QueueLength | None:
    """Return the queue of a listening socket; it never blocks.

    Returns:
        None where it cannot be known: on other systems, for a socket that does not listen or belongs to another network
        namespace, and where netlink is closed to us (RestrictAddressFamilies= of systemd).
    """
    try:
        if sock.family == socket.AF_UNIX:
            return _unix_queue(sock)
        return _tcp_queue(sock)
    except (OSError, AttributeError, struct.error):  # AttributeError: the system has no such constant
        return None


def _tcp_queue(sock: socket.socket) -> QueueLength | None:
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_QUEUE_AT + _TCP_INFO_QUEUE.size)
    if info[0] != _TCP_LISTEN:
        return None
    return QueueLength(*_TCP_INFO_QUEUE.unpack_from(info, _TCP_INFO_QUEUE_AT))


def _unix_queue(sock: socket.socket) -> QueueLength | None:
    if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        return None
    inode = os.fstat(sock.fileno()).st_ino
    question = _QUESTION.pack(socket.AF_UNIX, 0, 0, _ANY, inode, _UDIAG_SHOW_RQLEN, _ANY, _ANY)
    header = _HEADER.pack(_HEADER.size + len(question), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, _NETLINK_SOCK_DIAG) as netlink:
        netlink.sendto(header + question, (0, 0))
        # The kernel has answered before sendto() returns.
        answer = netlink.recv(4096)
    return _read_answer(answer, inode)


def _read_answer(answer: bytes, inode: int) -> QueueLength | None:
    length, kind, _, _, _ = _HEADER.unpack_from(answer)
    if kind != _SOCK_DIAG_BY_FAMILY or _ANSWER.unpack_from(answer, _HEADER.size)[4] != inode:
        return None  # an NLMSG_ERROR: the kernel has no unix_diag, or the socket is not of this network namespace
    at = _HEADER.size + _ANSWER.size
    while at + _ATTRIBUTE.size <= min(length, len(answer)):
        size, name = _ATTRIBUTE.unpack_from(answer, at)
        if name == _UNIX_DIAG_RQLEN:
            return QueueLength(*_QUEUE.unpack_from(answer, at + _ATTRIBUTE.size))
        if size < _ATTRIBUTE.size:
            raise OSError(errno.EPROTO, "an attribute without a length")
        at += (size + 3) & ~3
    return None
