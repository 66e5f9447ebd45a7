"""This file opens what a server listens on: unix sockets, TCP ports and inherited descriptors, all as `Listener`s.

A listener never blocks and its accepted TCP connections have TCP_NODELAY already (they inherit it from the listening
socket), so accepting is `listener.socket.accept()` and, for TCP, `listener.allows(peer)`; no further call is due.
"""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import stat
import struct
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, final

from penstock.server.address import (
    Address,
    AddressError,
    BindError,
    FdAddress,
    TcpAddress,
    UnixAddress,
    join_host,
    parse_address,
    shown,
)
from penstock.server.allow import AllowList, read_allow_list
from penstock.server.kinds import check_kind, check_words
from penstock.server.unixsocket import SocketFile, group_id, open_unix, user_id

__all__ = ["AddressError", "BindError", "Listener", "open_listeners"]

_SO_ATTACH_FILTER: Final = 26  # asm-generic/socket.h; the socket module has no name for it
_DROP_EVERYTHING: Final = struct.pack("HBBI", 6, 0, 0, 0)  # classic BPF: return 0 bytes of every packet


@final
class Listener:
    """One listening socket.

    Attributes:
        socket: non-blocking, close-on-exec.
        address: for logs: `unix:/run/app.sock`, `127.0.0.1:9000` with the real port, `unix:/run/app.sock (fd:0)`.
        others_accept: others accept here too, or will, so whoever stops closes at once and leaves the queue to them.
        file: what is ours of a unix socket's path; None if nothing is.
        is_unix: whether its peers are judged by the file's permissions instead of the allow-list.
        warnings: sentences for the log, told once at start.
    """

    __slots__ = ("_allow", "_pid", "address", "file", "is_unix", "others_accept", "socket", "warnings")

    def __init__(
        self,
        sock: socket.socket,
        address: str,
        *,
        allow: AllowList | None = None,
        file: SocketFile | None = None,
        drainable: bool = False,
        warnings: Sequence[str] = (),
    ) -> None:
        sock.setblocking(False)
        self.others_accept = False
        self.socket: Final = sock
        self.address: Final = address
        self.is_unix: Final = sock.family == socket.AF_UNIX
        self.warnings: Final = tuple(warnings)
        self._allow = allow
        self.file: Final = file
        self._pid = os.getpid() if drainable else -1

    @property
    def drainable(self) -> bool:
        """Whether newcomers could be kept away: we have opened it, for TCP."""
        return self._pid >= 0

    def allows(self, peer: object) -> bool:
        """Whether the peer may stay whose address `accept()` returned; ask before reading a byte."""
        if self._allow is None:  # so it is for every unix socket
            return True
        return isinstance(peer, tuple) and self._allow.allows(peer[0])

    def begin_drain(self) -> None:
        """Keep newcomers away, so that accepting until the queue is idle loses nobody; the socket stays open.

        Unix: the path is unlinked and the lock freed, a successor may bind at once. TCP on Linux, with CAP_NET_ADMIN:
        the kernel drops new handshakes, whose senders try again by themselves; without the right nothing changes.
        Does nothing in a forked child, nor to an inherited socket: others listen there too, or will.
        """
        if self.file is not None:
            self.file.remove()
        elif self._pid == os.getpid() and sys.platform == "linux":
            code = array.array("B", _DROP_EVERYTHING)
            program = struct.pack("HP", 1, code.buffer_info()[0])
            with suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)

    def let_go(self) -> None:
        """In a forked child: leave the path and its lock to the parent alone, so that they end with that."""
        if self.file is not None:
            self.file.remove()

    def close(self) -> None:
        """Stop listening, and remove the path if it is ours; again is harmless. A forked child only closes its copy."""
        if self.file is not None:
            self.file.remove()
        self.socket.close()


@final
class _Rules:
    """What holds for every address of one call."""

    __slots__ = ("above", "allow", "backlog", "gid", "insecure_public", "mode", "uid", "warnings")

    def __init__(
        self,
        mode: int,
        uid: int,
        gid: int,
        allow: AllowList | None,
        insecure_public: bool,
        backlog: int,
        warnings: Sequence[str],
        above: int,
    ) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.allow = allow
        self.insecure_public = insecure_public
        self.backlog = backlog
        self.warnings = warnings
        self.above = above

    def take_warnings(self) -> Sequence[str]:
        """The warnings about the allow-list: the first TCP listener gets them, the others nothing."""
        warnings, self.warnings = self.warnings, ()
        return warnings


def open_listeners(
    bind: Sequence[str],
    *,
    socket_mode: int = 0o660,
    socket_owner: str | None = None,
    socket_group: str | None = None,
    allow: Sequence[str] | None = None,
    environ: Mapping[str, str] | None = None,
    insecure_public: bool = False,
    backlog: int = 2048,
) -> list[Listener]:
    """Listen on every ADDR of `bind`: on all, or on none.

    A host name may stand for several addresses and becomes as many listeners. `fd:N` is taken over: the number is
    closed (0, 1 and 2 become /dev/null instead) and the socket lives on in its listener.

    Args:
        bind: ADDRs, see `penstock.server.address`; a single string counts as one.
        socket_mode: permission bits of unix sockets.
        socket_owner, socket_group: name or number that unix sockets are given to.
        allow: IP addresses and networks of the peers TCP listeners accept; None leaves it to the environment,
            an empty sequence refuses every one.
        environ: where FCGI_WEB_SERVER_ADDRS is looked up; os.environ by default.
        insecure_public: listen beyond loopback even without an allow-list.
        backlog: connections queued by the kernel, per listener. nginx answers 502 at once when a unix socket's queue is
            full, so stay above 1024.

    Raises:
        AddressError: something here is written wrong, or would open the server to everybody.
        BindError: this machine cannot listen there. Both carry one sentence with the cause and the mend.
    """
    check_words("bind", bind, "an address such as 'unix:/run/app.sock', or several in a list")
    check_kind("socket_mode", socket_mode, int, "a number such as 0o660")
    addresses = [parse_address(text) for text in ((bind,) if isinstance(bind, str) else bind)]
    if not 0 <= socket_mode <= 0o777:
        raise AddressError(f"the socket mode {socket_mode:#o} is not between 0 and 0o777; write it as in 0660")
    words = (allow,) if isinstance(allow, str) else allow
    check_words("allow", words or (), "an address or a network such as '10.0.0.0/8', or several in a list")
    allow_list, warnings = read_allow_list(words, os.environ if environ is None else environ)
    uid = -1 if socket_owner is None else user_id(str(socket_owner))
    gid = -1 if socket_group is None else group_id(str(socket_group))
    above = 1 + max((address.fd for address in addresses if isinstance(address, FdAddress)), default=2)
    rules = _Rules(socket_mode, uid, gid, allow_list, insecure_public, backlog, warnings, above)
    opened: list[Listener] = []
    try:
        for address in addresses:
            _open(address, rules, opened)
    except BaseException:
        for listener in opened:
            listener.close()
        raise
    return opened


def _open(address: Address, rules: _Rules, opened: list[Listener]) -> None:
    if isinstance(address, UnixAddress):
        path = os.path.abspath(address.path)  # the application may change the directory; unlinking must still find it
        sock, file, warnings = open_unix(path, mode=rules.mode, uid=rules.uid, gid=rules.gid, backlog=rules.backlog)
        opened.append(Listener(sock, f"unix:{shown(path)}", file=file, warnings=warnings))
    elif isinstance(address, TcpAddress):
        _open_tcp(address, rules, opened)
    else:
        opened.append(_inherit(address, rules))


def _open_tcp(address: TcpAddress, rules: _Rules, opened: list[Listener]) -> None:
    written = join_host(address.host, address.port)
    try:
        # As bytes, because a str host makes the socket module import the whole idna codec.
        found = socket.getaddrinfo(
            address.host.encode("ascii"), address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        raise _cannot(
            written, f"the host {shown(address.host)} is not known here ({error.strerror})", "use one of this machine's"
        ) from None
    places = dict.fromkeys((family, where) for family, _, _, _, where in found)
    if not rules.insecure_public and rules.allow is None:
        for _, where in places:
            refuse_public(str(where[0]), written)
    missing: OSError | None = None
    before = len(opened)
    for family, where in places:
        try:
            sock = _bind_tcp(family, where, rules.backlog)
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
                raise _explained(written, address.port, error) from None
            missing = missing or error  # `localhost` names ::1 also where IPv6 is switched off: one address is enough
            continue
        opened.append(Listener(sock, _name(sock), allow=rules.allow, drainable=True, warnings=rules.take_warnings()))
        if address.port == 0:
            return  # the kernel would choose another port for each address of the name
    if missing is not None and len(opened) == before:
        raise _explained(written, address.port, missing)


def _bind_tcp(family: int, where: tuple[object, ...], backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a restart need not wait for TIME_WAIT to pass
        if family == socket.AF_INET6:
            # What is written is what is opened: [::] does not take IPv4's port as well.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind(where)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _inherit(address: FdAddress, rules: _Rules) -> Listener:
    number = address.fd
    written = f"fd:{number}"
    mend = "let the parent pass an open listening socket, or write another address"
    try:
        is_socket = stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError:
        raise _cannot(written, f"descriptor {number} is not open in this process", mend) from None
    if not is_socket:
        raise _cannot(written, f"descriptor {number} is no socket", mend)
    # Above every number that was passed: a copy that took a missing one's place would be served as that one.
    sock = socket.socket(fileno=fcntl.fcntl(number, fcntl.F_DUPFD_CLOEXEC, rules.above))
    try:
        if sock.type != socket.SOCK_STREAM or sock.family not in (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6):
            raise _cannot(written, f"descriptor {number} is neither a unix nor a TCP stream socket", mend)
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise _cannot(written, f"the socket on descriptor {number} is connected or idle, not listening", mend)
        name = f"{_name(sock)} ({written})"
        if sock.family == socket.AF_UNIX:
            listener = Listener(sock, name)
        else:
            if not rules.insecure_public and rules.allow is None:
                refuse_public(sock.getsockname()[0], name)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            listener = Listener(sock, name, allow=rules.allow, warnings=rules.take_warnings())
    except BaseException:
        sock.close()
        raise
    _vacate(number)
    return listener


def _vacate(number: int) -> None:
    """Give up the inherited number, so that closing the listener really stops listening and no child inherits it."""
    if number > 2:
        os.close(number)
        return
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    os.dup2(null, number)  # else the next file opened would become somebody's standard input or output
    os.close(null)


def refuse_public(host: str, written: str) -> None:
    """Refuse an address that others than this machine may reach.

    Raises:
        AddressError: it is one.
    """
    if host == "::1" or host.removeprefix("::ffff:").startswith("127."):
        return
    raise AddressError(
        f"refusing to listen on {written}: everyone who reaches it could send requests, as FastCGI has no password;"
        " name the web servers with --allow IP, or say --insecure-public if a firewall guards it"
    )


def _name(sock: socket.socket) -> str:
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return f"unix:{shown(os.fsdecode(name))}"
    return join_host(name[0], name[1])


def _cannot(written: str, cause: str, mend: str) -> BindError:
    return BindError(f"cannot listen on {written}: {cause}; {mend}")


def _explained(written: str, port: int, error: OSError) -> BindError:
    """Put an errno of socket, bind or listen into a sentence that helps."""
    if error.errno == errno.EADDRINUSE:
        return _cannot(written, "the port is in use by another server", "stop that one or choose another port")
    if error.errno == errno.EADDRNOTAVAIL:
        return _cannot(written, "this machine has no such address", "use one that it has, such as 127.0.0.1")
    if error.errno == errno.EAFNOSUPPORT:
        return _cannot(written, "this machine has no such address family", "use an IPv4 address")
    if error.errno in (errno.EACCES, errno.EPERM):
        cause = f"port {port} is for privileged users" if port < 1024 else "the system does not permit it"
        return _cannot(written, cause, "choose a port from 1024 up, or start as root")
    return _cannot(written, f"the system says {error.strerror!r}", "mend that or choose another address")
