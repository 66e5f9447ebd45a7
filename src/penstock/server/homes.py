"""This file finds out who started this process, and with that where its requests are: one entry, four homes.

    a web server, spawn-fcgi, supervisor     fd 0 is a listening socket       FASTCGI    serve what comes in there
    systemd                                  LISTEN_FDS says how many         SYSTEMD    serve what comes in there
    a web server, for a single request       the environment has the request  CGI        answer it and end
    somebody at a terminal, or anything else                                  SHELL      show how GET / is answered

It is imported before a plain CGI request can be answered, so what one home alone needs is imported in its function.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from enum import Enum
from io import FileIO
from typing import TYPE_CHECKING, Final, NamedTuple

from penstock.gateways.request import Gateway
from penstock.server.notices import log

if TYPE_CHECKING:
    from penstock.server.listen import Listener

LISTEN_FDS_START: Final = 3
"""The first descriptor that systemd passes (sd_listen_fds(3))."""

_LINGER: Final = 2.0
_LINGER_BYTES: Final = 64 * 1024 * 1024


class Home(Enum):
    """Who started this process, by what was handed over."""

    FASTCGI = "a listening socket on fd 0"
    SYSTEMD = "listening sockets from LISTEN_FDS"
    CGI = "one request of plain CGI"
    SHELL = "no request and no socket"

    @property
    def once(self) -> bool:
        """Whether there is nothing to listen to, and the process ends after one request."""
        return self in (Home.CGI, Home.SHELL)


class PassedSocket(NamedTuple):
    """A socket that systemd passes: its descriptor, and its FileDescriptorName= ("" where there is none)."""

    fd: int
    name: str


def find_home(environ: Mapping[str, str], fd: int = 0) -> Home:
    """Tell who started this process; nothing is taken or changed.

    Args:
        environ: the environment as `os.environ` has it.
        fd: the descriptor that is standard input (FCGI_LISTENSOCK_FILENO, FastCGI 1.0 section 2.2).
    """
    if _is_listening(fd):
        return Home.FASTCGI
    if passed_sockets(environ):
        return Home.SYSTEMD
    # Somebody who tries a CGI program at a terminal, REQUEST_METHOD=GET ./app.py, wants to read the answer.
    if ("GATEWAY_INTERFACE" in environ or "REQUEST_METHOD" in environ) and not os.isatty(fd):
        return Home.CGI
    return Home.SHELL


def passed_sockets(environ: Mapping[str, str]) -> list[PassedSocket]:
    """Return what systemd passes to this very process, in the order of the unit (sd_listen_fds_with_names(3))."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    count = environ.get("LISTEN_FDS", "")
    if not (count.isascii() and count.isdigit() and len(count) < 6):
        return []
    given = environ.get("LISTEN_FDNAMES")
    names = [] if given is None else given.split(":")
    return [
        PassedSocket(LISTEN_FDS_START + place, names[place] if place < len(names) else "")
        for place in range(int(count))
    ]


def _is_listening(fd: int) -> bool:
    """Whether it is a listening socket: not connected, and accepting; an idle TCP socket is not connected either."""
    if not _is_socket(fd):
        return False
    import socket

    sock = socket.socket(fileno=fd)
    try:
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        sock.getpeername()
    except OSError as error:
        return error.errno == errno.ENOTCONN
    finally:
        sock.detach()
    return False


def _is_socket(fd: int) -> bool:
    try:
        return stat.S_ISSOCK(os.fstat(fd).st_mode)
    except OSError:
        return False


# Standard descriptors


def settle_descriptors() -> bool:
    """Make descriptors 0, 1 and 2 and sys.stdout and sys.stderr safe to use; call it before anything is opened.

    The specification starts an application with 1 and 2 closed (section 2.2): the next socket would become standard
    output, and every print() of the application would go out through it.

    Returns:
        Whether standard output is a place for one line per request: not when it is closed, or /dev/null, or a web
        server's error log.
    """
    made = set()
    for number in (0, 1, 2):
        # With StandardInput=socket, systemd's default makes the listening socket standard output and error as well.
        if not _is_open(number) or (number and _is_listening(number)):
            _put_null(number)
            made.add(number)
    heard = sys.__stdout__ is not None and not _is_null(1) and not _is_error_log(1)
    for number, name in ((1, "stdout"), (2, "stderr")):
        if getattr(sys, name) is None:
            # A number that was closed when Python started and is open now may be a file of the application's own.
            place: int | str = number if number in made else os.devnull
            stream = open(  # noqa: SIM115 - for as long as the process lives
                place, "w", 1, "utf-8", "backslashreplace", closefd=number not in made
            )
            setattr(sys, name, stream)
    return heard


def _is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def _is_null(fd: int) -> bool:
    here = os.fstat(fd)
    return stat.S_ISCHR(here.st_mode) and here.st_rdev == os.stat(os.devnull).st_rdev


def _is_error_log(fd: int) -> bool:
    """Whether what a web server handed over is standard error as well.

    mod_fcgid gives a program Apache's ErrorLog as both, beside the access log of Apache's own.
    """
    return _is_listening(0) and os.path.sameopenfile(fd, 2) and not os.isatty(fd)


def _put_null(fd: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null == fd:
        os.set_inheritable(fd, True)
        return
    os.dup2(null, fd)
    os.close(null)


# Listening sockets that were handed over


def inherited_listeners(
    home: Home,
    environ: MutableMapping[str, str],
    *,
    allow: Sequence[str] | None = None,
    insecure_public: bool = False,
) -> list[Listener]:
    """Take the listening sockets that this process was started with: of FASTCGI and SYSTEMD, all of them or none.

    Whoever opened a port to the world is trusted to know; the log warns of it where no list says who may connect.

    Args:
        home: from `find_home`.
        environ: LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES are removed, so that no child takes them for its own;
            FCGI_WEB_SERVER_ADDRS is obeyed.
        allow: as for `open_listeners`.
        insecure_public: no warning.

    Raises:
        AddressError: a word of `allow` is no address.
        BindError: what was passed is no listening stream socket.
    """
    from penstock.server.listen import BindError, open_listeners

    passed = passed_sockets(environ) if home is Home.SYSTEMD else []
    if passed:
        for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"):
            environ.pop(name, None)
    for number, _ in passed:
        # All are looked at before one is taken, for a socket that moves takes the next number that is free.
        if not _is_open(number):
            raise BindError(
                f"cannot listen on fd:{number}: LISTEN_FDS says {len(passed)} and descriptor {number} is not open;"
                " see to it that nothing between systemd and this program closes it"
            )
    binds = ["fd:0"] if home is Home.FASTCGI else [f"fd:{fd}" for fd, _ in passed]
    listeners = open_listeners(binds, allow=allow, environ=environ, insecure_public=True)
    for number, name in passed:
        log.debug("fd:%d is called %r by systemd", number, name)
    if not insecure_public:
        warn_of_strangers(listeners, allow, environ)
    return listeners


def warn_of_strangers(listeners: Sequence[Listener], allow: Sequence[str] | None, environ: Mapping[str, str]) -> None:
    """Write to the log which of the listeners are open to everybody.

    Args:
        allow: who may connect; None leaves it to `environ`.
        environ: where FCGI_WEB_SERVER_ADDRS may be.
    """
    if allow is not None or "FCGI_WEB_SERVER_ADDRS" in environ:
        return
    for listener in listeners:
        if not listener.is_unix and not _is_loopback(listener.socket.getsockname()[0]):
            log.warning(
                "everyone who reaches %s can send requests, as FastCGI has no password;"
                " name the web servers with --allow IP or FCGI_WEB_SERVER_ADDRS",
                listener.address,
            )


def _is_loopback(host: str) -> bool:
    return host == "::1" or host.removeprefix("::ffff:").startswith("127.")


# Where one request is all there is


def answer_once(
    home: Home,
    app: object,
    gateway: Gateway,
    environ: MutableMapping[str, str],
    *,
    mount: str | None = None,
    max_body: int | None = None,
) -> int:
    """Answer the one request of CGI, or show GET / in SHELL; `settle_descriptors` comes first.

    Args:
        home: from `find_home`, with `once`.
        app: the application; only its name is looked for.
        gateway: runs the application.
        environ: `os.environ`; HTTP_PROXY is removed from it in CGI, where it is the client's.
        mount, max_body: as for `run_cgi`.

    Returns:
        The exit status of the process.
    """
    if home is Home.CGI:
        return _answer_cgi(gateway, environ, mount, max_body)
    if environ.get("LISTEN_PID") and environ.get("LISTEN_FDS"):
        log.warning(
            "the sockets of LISTEN_FDS are for process %s, and this is %d: the program between them should use exec",
            environ["LISTEN_PID"],
            os.getpid(),
        )
    from penstock.server.shell import name_of, run_shell

    try:
        return run_shell(gateway, name_of(app), sys.stdout)
    except BrokenPipeError:  # `| head` has seen enough
        _put_null(1)
        return 1


def _answer_cgi(gateway: Gateway, environ: MutableMapping[str, str], mount: str | None, max_body: int | None) -> int:
    from penstock.gateways.cgi import run_cgi

    # The client's Proxy header, which libraries and child processes would obey (CVE-2016-1000110).
    environ.pop("HTTP_PROXY", None)
    with _take(0, "rb") as stdin, _take(1, "wb") as stdout:
        # The response has descriptors of its own: what the application or its children print goes to the error log, and
        # what they read from standard input is not the body.
        _put_null(0)
        os.dup2(2, 1)
        status = run_cgi(gateway, environ, stdin, stdout, mount, max_body=max_body)
        stdout.close()
        if _is_socket(stdin.fileno()):
            _drain(stdin.fileno())
    return status


def _take(number: int, mode: str) -> FileIO:
    fd = os.dup(number)
    os.set_blocking(fd, True)
    return FileIO(fd, mode)


def _drain(fd: int) -> None:
    """Read what the application left of the body: closing a socket with unread input makes the peer lose the response.

    Apache's mod_cgid has the body and the response on one socket.
    """
    import socket
    import time

    until = time.monotonic() + _LINGER
    left = _LINGER_BYTES
    sock = socket.socket(fileno=os.dup(fd))
    try:
        sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        sock.shutdown(socket.SHUT_WR)
        while left > 0 and (seconds := until - time.monotonic()) > 0:
            sock.settimeout(seconds)
            chunk = sock.recv(65536)
            if not chunk:
                break
            left -= len(chunk)
    except OSError:
        return  # nothing waits there, or the peer has left
    finally:
        sock.close()
