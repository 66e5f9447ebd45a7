"""This file reads ADDR, the way every command spells a place to listen at, and names what can go wrong with one.

    unix:/run/app.sock      a unix socket; the path may be relative to the current directory
    127.0.0.1:9000          TCP over IPv4, or a host name and a port; port 0 lets the kernel choose
    [::1]:9000              TCP over IPv6
    fd:3                    a listening socket that the parent process opened

Reading is pure: nothing is looked up, opened or created here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

FORMS: Final = "unix:/run/app.sock, 127.0.0.1:9000, [::1]:9000 or fd:3"
"""The forms of ADDR as help texts and messages quote them."""


class AddressError(ValueError):
    """ADDR, or an option about it, is written wrong: the mend is on the command line (exit code 2)."""


class BindError(Exception):
    """ADDR is written right and this machine cannot listen there: the mend is outside (exit code 4)."""


@final
class UnixAddress:
    """`unix:PATH`. Attribute `path` is as written, so it may be relative."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


@final
class TcpAddress:
    """`HOST:PORT`. `host` is without brackets and not resolved; `port` is 0 to 65535."""

    __slots__ = ("host", "port")

    def __init__(self, host: str, port: int) -> None:
        self.host = host
        self.port = port


@final
class FdAddress:
    """`fd:N`. Attribute `fd` is the number; whether it is open is not known yet."""

    __slots__ = ("fd",)

    def __init__(self, fd: int) -> None:
        self.fd = fd


Address = UnixAddress | TcpAddress | FdAddress


def parse_address(text: str) -> Address:
    """Read one ADDR.

    Raises:
        AddressError: in one sentence what is wrong, and what was probably meant.
    """
    if not text:
        raise AddressError(f"the address is empty; write {FORMS}")
    scheme, colon, rest = text.partition(":")
    parser = _SCHEMES.get(scheme)
    if colon and parser is not None:
        return parser(text, rest)
    return _tcp(text)


def shown(text: str) -> str:
    """Return `text` fit for a terminal or a log line: escaped when it holds anything unprintable."""
    return text if text.isprintable() else ascii(text)


def join_host(host: str, port: int) -> str:
    """Return `host:port`, with the brackets that an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _wrong(text: str, cause: str, mend: str) -> AddressError:
    return AddressError(f"{shown(text)!r} is no address to listen at: {cause}; {mend}")


def _meant(guess: str) -> str:
    return f"did you mean {shown(guess)}?"


def _unix(text: str, rest: str) -> UnixAddress:
    if not rest:
        raise _wrong(text, "the path is missing", "write it after the colon, as in unix:/run/app.sock")
    if "\0" in rest:
        raise _wrong(text, "a path cannot hold a NUL byte", "leave it out")
    if rest.startswith("@"):
        # An abstract socket has neither mode nor owner: everyone on the machine could send requests.
        raise _wrong(text, "abstract sockets have no permissions and are not offered", "write unix:/run/app.sock")
    if rest.endswith("/"):
        raise _wrong(text, "the path ends like a directory", f"name a file in it, as in unix:{shown(rest)}app.sock")
    if rest.startswith("//"):
        rest = "/" + rest.lstrip("/")  # the URL spelling unix:///run/app.sock
    return UnixAddress(rest)


def _fd(text: str, rest: str) -> FdAddress:
    if not (rest.isascii() and rest.isdigit() and len(rest) < 10):
        raise _wrong(text, "after fd: stands the number of an open descriptor", "write it as in fd:3")
    return FdAddress(int(rest))


def _systemd(text: str, _rest: str) -> Address:
    raise _wrong(text, "sockets of systemd are not taken by name yet", "write fd:3 for the first one it passes")


_SCHEMES: Final[dict[str, Callable[[str, str], Address]]] = {
    "unix": _unix,
    "fd": _fd,
    "systemd": _systemd,
}
"""Every word that may stand before the first colon; whatever is not here is a host."""


def _tcp(text: str) -> TcpAddress:
    _refuse_other_spellings(text)
    if text.startswith("["):
        host, bracket, tail = text[1:].partition("]")
        if not bracket or not tail.startswith(":"):
            raise _wrong(text, "after [ an IPv6 address, ] and :port are due", "write it as in [::1]:9000")
        if ":" not in host:
            raise _wrong(text, "brackets are for IPv6 addresses", _meant(f"{host}{tail}"))
        return TcpAddress(host, _port(text, tail[1:]))
    host, _, port = text.rpartition(":")
    if ":" in host:
        raise _wrong(text, "an IPv6 address stands in brackets", _meant(f"[{host}]:{port}"))
    if host in ("", "*"):
        raise _wrong(
            text,
            "the host is missing",
            f"write 127.0.0.1:{shown(port)} for this machine only, or 0.0.0.0:{shown(port)} with --allow",
        )
    if not host.isascii() or not host.isprintable() or " " in host or "/" in host:
        raise _wrong(text, "a host is an IP address or an ASCII name", f"write {FORMS}")
    return TcpAddress(host, _port(text, port))


def _refuse_other_spellings(text: str) -> None:
    """Catch what other programs call an address, with the guess that helps."""
    if text.isascii() and text.isdigit():
        raise _wrong(text, "a port alone does not say who may connect", _meant(f"127.0.0.1:{text}"))
    for prefix in ("unix@", "unix/:", "unix/"):  # HAProxy; Perl; Caddy
        if text.startswith(prefix):
            raise _wrong(text, "a unix socket is written unix:PATH", _meant(f"unix:{text.removeprefix(prefix)}"))
    for prefix in ("tcp://", "fcgi://", "fastcgi://", "http://", "tcp:", "tcp/"):
        if text.startswith(prefix):
            guess = text.removeprefix(prefix).partition("/")[0]
            raise _wrong(text, "a TCP address is written HOST:PORT", _meant(guess))
    if text[0] in "/.~" or text.endswith((".sock", ".socket")):
        raise _wrong(text, "a path needs its scheme", _meant(f"unix:{text}"))
    if ":" not in text:
        raise _wrong(text, "the port is missing", _meant(f"{text}:9000"))


def _port(text: str, port: str) -> int:
    if not port:
        raise _wrong(text, "the port is missing", f"write {FORMS}")
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) <= 65535):
        raise _wrong(text, "a port is a number from 0 to 65535", f"write {FORMS}")
    return int(port)
