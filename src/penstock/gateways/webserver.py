"""This file is CGI as a web server speaks it: an HTTP request becomes parameters, a CGI response a head and a body.

The client, the development front and tests stand on it; the application's half is in environ.py and response.py.
"""

from __future__ import annotations

import re
import string
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, NamedTuple, final
from urllib.parse import quote, unquote_to_bytes

from penstock.protocol.spec import ProtocolStatus

Header = tuple[str, str]

MAX_HEAD: Final = 65536
"""Bytes of head accepted: as many as lighttpd takes, which takes the most."""

_SPECIAL: Final = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
# Proxy would become HTTP_PROXY, which CGI programs obey (CVE-2016-1000110); Transfer-Encoding speaks of a body that is
# not chunked any more.
_LEFT_OUT: Final = frozenset({"proxy", "transfer-encoding"})

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch
_find_control: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_find_end: Final = re.compile(rb"(?:\A|\n)\r?\n").search
_parse_status: Final = re.compile(r"([1-9][0-9]{2})(?:[ \t]+(.*))?").fullmatch


def cgi_params(
    method: str,
    url: str,
    headers: Iterable[Header] = (),
    *,
    content_length: int | None = None,
    server: tuple[str, int] = ("127.0.0.1", 0),
    remote: tuple[str, int] = ("127.0.0.1", 0),
) -> dict[str, str]:
    """The parameters that a good web server would send for an HTTP request to an application at its root.

    Args:
        method: the HTTP method, as it stands in the request.
        url: a path with its query, or a whole `http://` or `https://` URL; what a URL may not hold is percent-encoded.
        headers: names and values. Repeats are joined (RFC 9110 5.3). Left out are names with an underscore, which no
            application could tell from the hyphen, Proxy and Transfer-Encoding.
        content_length: bytes of the body; None if it is not known, and then a Content-Length header counts.
        server: address and port that the request came to; port 0 stands for the URL's.
        remote: address and port that it came from; port 0 leaves REMOTE_PORT out.

    Returns:
        Names and values in native strings (PEP 3333): each character one byte.

    Raises:
        ValueError: the method, or a header's name or value, cannot stand in an HTTP request.
    """
    if not _is_token(method):
        raise ValueError(f"{method!a} is no HTTP method")
    scheme, host, target = _split_url(url)
    path, mark, query = target.partition("?")
    fields = _collect(headers)
    host = fields.setdefault("HTTP_HOST", host)
    name, port = _split_host(host, "443" if scheme == "https" else "80")
    params = {
        "GATEWAY_INTERFACE": "CGI/1.1",
        "SERVER_SOFTWARE": "penstock",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REQUEST_METHOD": method,
        "REQUEST_SCHEME": scheme,
        "REQUEST_URI": path + mark + query,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
        "QUERY_STRING": query,
        "SERVER_NAME": name,
        "SERVER_ADDR": server[0],
        "SERVER_PORT": str(server[1]) if server[1] else port,
        "REMOTE_ADDR": remote[0],
    }
    if remote[1]:
        params["REMOTE_PORT"] = str(remote[1])
    if scheme == "https":
        params["HTTPS"] = "on"
    params.update(fields)
    if content_length is not None:
        params["CONTENT_LENGTH"] = str(content_length)
    return params


def _split_url(url: str) -> tuple[str, str, str]:
    """Scheme, host with port, and raw path with query."""
    url = quote(url.partition("#")[0], safe=string.punctuation)
    scheme, mark, rest = url.partition("://")
    if mark and scheme.lower() in ("http", "https"):
        host = re.split(r"[/?]", rest, maxsplit=1)[0]
        rest = rest[len(host) :]
        host = host.rpartition("@")[2]
    else:
        scheme, host, rest = "http", "", url
    return scheme.lower(), host or "localhost", rest if rest.startswith("/") else f"/{rest}"


def _split_host(host: str, port: str) -> tuple[str, str]:
    """The host without its port, and its port, or else the one given."""
    name, colon, digits = host.rpartition(":")
    return (name, digits) if colon and digits.isdigit() else (host, port)


def _collect(headers: Iterable[Header]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for name, value in headers:
        if not _is_token(name):
            raise ValueError(f"{name!a} is no name of a header")
        if _find_control(value):
            raise ValueError(f"header {name}: a value may hold no control character")
        lower = name.lower()
        if "_" in name or lower in _LEFT_OUT:
            continue
        key = _SPECIAL.get(lower) or "HTTP_" + name.upper().replace("-", "_")
        glue = "; " if key == "HTTP_COOKIE" else ", "
        before = f"{fields[key]}{glue}" if key in fields else ""
        fields[key] = before + _native(value.strip())
    return fields


def _native(text: str) -> str:
    """Latin-1 text as it stands; anything beyond as its UTF-8 bytes."""
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("latin-1")
    return text


class MalformedHead(ValueError):
    """An application's answer does not begin with the head of a CGI response (RFC 3875 6.2)."""


class Head(NamedTuple):
    """The head of a response, as an HTTP client is to see it.

    Attributes:
        status: the status code, 100 to 999.
        reason: the reason phrase; the standard one if the application gave none.
        headers: names and values in their order, repeats kept, without `Status`.
    """

    status: int
    reason: str
    headers: list[Header]


class Response(NamedTuple):
    """A whole answer of an application.

    Attributes:
        head: status, reason and headers.
        body: all of the body.
        stderr: what the application wrote for the web server's error log.
        app_status: the exit code that a CGI program would have had (section 5.5).
        protocol_status: whether the application took the request at all (section 5.5).
    """

    head: Head
    body: bytes
    stderr: bytes = b""
    app_status: int = 0
    protocol_status: ProtocolStatus | int = ProtocolStatus.REQUEST_COMPLETE

    @property
    def status(self) -> int:
        """The status code."""
        return self.head.status

    @property
    def reason(self) -> str:
        """The reason phrase."""
        return self.head.reason

    @property
    def headers(self) -> list[Header]:
        """Names and values in their order, repeats kept."""
        return self.head.headers

    def get(self, name: str, default: str | None = None) -> str | None:
        """The value of the first header of this name, in whatever case."""
        lower = name.lower()
        return next((value for key, value in self.headers if key.lower() == lower), default)


@final
class ResponseReader:
    """Takes what an application writes and splits it into head and body.

    Attributes:
        head: the head, as soon as it is whole.
    """

    __slots__ = ("_begun", "head")

    def __init__(self) -> None:
        self.head: Head | None = None
        self._begun = bytearray()

    def feed(self, content: bytes) -> bytes:
        """Take output and return what of it belongs to the body.

        Raises:
            MalformedHead: it is no CGI response.
        """
        if self.head is not None:
            return content
        begun = self._begun
        known = max(0, len(begun) - 3)
        begun += content
        end = _find_end(begun, known)
        if end is None:
            if len(begun) > MAX_HEAD:
                raise MalformedHead(f"the head of the response has no end within {MAX_HEAD} bytes")
            return b""
        if not end.start():
            raise MalformedHead("the response has no header at all")
        self.head = parse_head(bytes(begun[: end.start()]))
        body = bytes(begun[end.end() :])
        begun.clear()
        return body

    def finish(self) -> Head:
        """Say that no more output comes, and return the head.

        Raises:
            MalformedHead: it is not whole.
        """
        if self.head is None:
            begun = bytes(self._begun[:60])
            raise MalformedHead(
                f"the response ended inside its head: {begun!r}" if begun else "the application sent an empty response"
            )
        return self.head


def parse_head(block: bytes) -> Head:
    """Read a head without its blank line: `Status` may stand anywhere, lines may end in CRLF or LF.

    Without a status, a head with a Location is a 302 and any other a 200 (RFC 3875 6.2).

    Raises:
        MalformedHead: a line is no header, or the status no status.
    """
    headers: list[Header] = []
    status = ""
    located = False
    for line in block.decode("latin-1").split("\n"):
        name, colon, value = line.removesuffix("\r").partition(":")
        value = value.strip(" \t")
        if not (colon and _is_token(name)) or _find_control(value):
            raise MalformedHead(f"the head of the response holds the line {line[:60]!r}, which is no header")
        lower = name.lower()
        if lower == "status":
            status = value
            continue
        located = located or lower == "location"
        headers.append((name, value))
    parsed = _parse_status(status or ("302" if located else "200"))
    if parsed is None:
        raise MalformedHead(f"the head of the response says Status: {status[:60]!r}")
    code = int(parsed[1])
    return Head(code, parsed[2] or _standard_reason(code), headers)


def _standard_reason(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown"
