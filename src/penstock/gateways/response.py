"""This file turns a status and headers into the head of a CGI response, and refuses what a web server could misread.

Nothing is ever cleaned: a header that could smuggle a line in (CVE-2018-1000164, CVE-2026-0865 and others) is a fault
of the application, reported as such. The status line comes last, for HAProxy before 3.2 makes a 302 of any Location
that follows it; first it comes for an authorizer, whom HAProxy never asks (`ResponseHead.put_status_first`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final, final

MAX_HEAD: Final = 65_535
"""Most bytes of headers: more than one FastCGI record holds is more than nearly every web server takes."""

DEFAULT_CONTENT_TYPE: Final = "application/octet-stream"
"""Sent where the application named none: mod_fcgid would guess from the program's name, Caddy from the content.
RFC 9110 8.3 lets a recipient assume this one, and no browser runs it."""


class BadResponse(ValueError):
    """The application's status or headers cannot be sent; the message names the header and the fault, not its value."""


@final
class ResponseHead:
    """The head of a response, checked.

    Attributes:
        code: the status code, 200 to 999.
        body_allowed: False for 204 and 304, whose body must not be sent; HEAD is for the caller to know.
        content_length: the number of body bytes that the application declared, None when it did not.
        stripped: names of hop-by-hop headers that were taken out (RFC 9110 7.6.1), for one line in the log.
        fields: the header lines, each ended by CRLF; the status is among them only where it was put first.
    """

    __slots__ = ("_status", "body_allowed", "code", "content_length", "fields", "stripped")

    def __init__(self, status: _Status, fields: str, content_length: int | None, stripped: tuple[str, ...]) -> None:
        self.code = status.code
        self.body_allowed = status.body_allowed
        self.content_length = content_length
        self.stripped = stripped
        self.fields = fields
        self._status = status.line

    def to_bytes(self, content_length: int | None = None) -> bytes:
        """Return the head as it goes out, blank line included.

        Args:
            content_length: the length of the body in bytes, where the caller knows it. It is sent when the application
                declared none and the response may have a body.
        """
        if content_length is not None and self.content_length is None and self.body_allowed:
            return f"{self.fields}Content-Length: {content_length}\r\n{self._status}".encode("latin-1")
        return (self.fields + self._status).encode("latin-1")

    def put_status_first(self) -> None:
        """Have the status before all headers; to be called once.

        As long as lighttpd 1.4 has not seen the status of an authorizer it takes the answer for a permission, whose
        headers it drops: a denial would lose its Location, WWW-Authenticate and Content-Type.
        """
        self.fields = self._status.removesuffix("\r\n") + self.fields
        self._status = "\r\n"


@final
class _Status:
    """A status that has been checked."""

    __slots__ = ("body_allowed", "code", "line")

    def __init__(self, code: int, reason: str) -> None:
        self.code = code
        self.body_allowed = code not in (204, 304)
        self.line = f"Status: {code} {reason}\r\n\r\n"


# What a name asks for beyond being copied.
_PLAIN: Final = 0
_CONTENT_TYPE: Final = 1
_CONTENT_LENGTH: Final = 2
_HOP_BY_HOP: Final = 3

_SPECIAL: Final = {
    "content-type": _CONTENT_TYPE,
    "content-length": _CONTENT_LENGTH,
    # RFC 2616 13.5.1, which PEP 3333 refers to, with the spellings that are seen: nginx, mod_proxy_fcgi and h2o chunk a
    # body twice after a Transfer-Encoding.
    "connection": _HOP_BY_HOP,
    "keep-alive": _HOP_BY_HOP,
    "proxy-authenticate": _HOP_BY_HOP,
    "proxy-authorization": _HOP_BY_HOP,
    "proxy-connection": _HOP_BY_HOP,
    "te": _HOP_BY_HOP,
    "trailer": _HOP_BY_HOP,
    "trailers": _HOP_BY_HOP,
    "transfer-encoding": _HOP_BY_HOP,
    "upgrade": _HOP_BY_HOP,
}

# An application uses few names and statuses and repeats them for ever, so each is checked once. The bounds are for the
# application that makes names of what clients send; past them everything still works, only slower.
_MAX_REMEMBERED: Final = 1024
_MAX_REMEMBERED_SIZE: Final = 64
_names: Final[dict[str, int]] = {}
_statuses: Final[dict[str, _Status]] = {}

_is_token: Final = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+").fullmatch  # RFC 9110 5.6.2
_find_control: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]").search
_find_not_latin1: Final = re.compile(r"[^\x00-\xff]").search
_parse_status: Final = re.compile(r"([0-9]{3})(?: (.*))?", re.DOTALL).fullmatch


def encode_head(status: str, headers: Sequence[tuple[str, str]]) -> ResponseHead:
    """Check a status and headers and make them the head of a CGI response (RFC 3875 6.3).

    Args:
        status: "404 Not Found", or "404" alone, which gets its standard reason.
        headers: names and values in latin-1 native strings (PEP 3333), in the order in which they are to be sent.
            Content-Type is added where a body is allowed and there is none; the Content-Length of a 204 is left out
            (RFC 9110 8.6); hop-by-hop headers are left out and reported.

    Raises:
        BadResponse: anything is not as HTTP allows it, or Content-Length stands there twice.
    """
    checked = _statuses.get(status) if type(status) is str else None
    if checked is None:
        checked = _check_status(status)
    lines: list[str] = []
    stripped: tuple[str, ...] = ()
    length: int | None = None
    untyped = checked.body_allowed
    for header in headers:
        name, value = header if type(header) is tuple and len(header) == 2 else _as_pair(header)
        if type(name) is not str or type(value) is not str:
            name, value = _as_text(name, value)
        kind = _names.get(name, -1)
        if kind < 0:
            kind = _check_name(name)
        if not (value.isprintable() and value.isascii()):
            _check_value(name, value)
        if kind:
            if kind == _CONTENT_TYPE:
                untyped = False
            elif kind == _CONTENT_LENGTH:
                if length is not None:
                    raise BadResponse(f"header {name!a} is given twice")
                length = _check_length(name, value)
                if checked.code == 204:
                    continue
            else:
                stripped += (name,)
                continue
        lines.append(f"{name}: {value}\r\n")
    if untyped:
        lines.append(f"Content-Type: {DEFAULT_CONTENT_TYPE}\r\n")
    fields = "".join(lines)
    if len(fields) > MAX_HEAD:
        raise BadResponse(_too_big(fields, lines))
    return ResponseHead(checked, fields, length, stripped)


def _check_status(status: str) -> _Status:
    if type(status) is not str:
        raise BadResponse(f"the status is {type(status).__name__}, not str")
    parsed = _parse_status(status)
    if parsed is None:
        raise BadResponse(f"the status {status[:40]!a} is not three digits, a space and a reason")
    code = int(parsed[1])
    reason: str = parsed[2] or ""
    if code < 200:
        kind = "announces another response" if code >= 100 else "does not exist"
        raise BadResponse(f"the status {code:03} {kind}; a final status is 200 to 999")
    if _find_control(reason) or _find_not_latin1(reason):
        raise BadResponse(f"the reason of the status {status[:40]!a} holds a control character or is not latin-1")
    if not reason.strip():
        reason = _standard_reason(code)
    checked = _Status(code, reason)
    if len(_statuses) < _MAX_REMEMBERED and len(status) <= _MAX_REMEMBERED_SIZE:
        _statuses[status] = checked
    return checked


def _standard_reason(code: int) -> str:
    """A reason is never left out: h2o would print "404 OK"."""
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return "Unknown"


def _as_pair(header: object) -> tuple[str, str]:
    """Let a pair that is not a plain tuple pass (a list, a named tuple), but no string that happens to be two long."""
    if isinstance(header, tuple | list) and len(header) == 2:
        return header[0], header[1]
    raise BadResponse(f"the headers hold a {type(header).__name__} {ascii(header)[:40]}, not a tuple (name, value)")


def _as_text(name: object, value: object) -> tuple[str, str]:
    """Let subclasses of str pass, as what they hold: a member of an Enum would print as something else."""
    if not isinstance(name, str):
        raise BadResponse(f"header {ascii(name)[:64]}: the name is {type(name).__name__}, not str")
    if not isinstance(value, str):
        raise BadResponse(f"header {name[:64]!a}: the value is {type(value).__name__}, not str")
    return str.__str__(name), str.__str__(value)


def _check_name(name: str) -> int:
    """Return the kind of a name that is seen for the first time."""
    if not _is_token(name):
        raise BadResponse(f"header {name[:64]!a}: the name is not a token (RFC 9110 5.1)")
    lower = name.lower()
    if lower == "status":
        raise BadResponse(f"header {name!a}: the status is not a header; give it as the status")
    kind = _SPECIAL.get(lower, _PLAIN)
    if len(_names) < _MAX_REMEMBERED and len(name) <= _MAX_REMEMBERED_SIZE:
        _names[name] = kind
    return kind


def _check_value(name: str, value: str) -> None:
    """Look closely at a value that is not plain ASCII text; bytes from 0x80 on are allowed, TAB is."""
    control = _find_control(value)
    if control:
        raise BadResponse(f"header {name[:64]!a}: control character {control[0]!a} at {control.start()} in the value")
    foreign = _find_not_latin1(value)
    if foreign:
        raise BadResponse(f"header {name[:64]!a}: {foreign[0]!a} at {foreign.start()} in the value is not latin-1")


def _check_length(name: str, value: str) -> int:
    if len(value) > 19 or not (value.isascii() and value.isdigit()):
        raise BadResponse(f"header {name!a}: the value is not a number of 1 to 19 digits")
    return int(value)


def _too_big(fields: str, lines: Sequence[str]) -> str:
    name = max(lines, key=len).partition(":")[0]
    return f"the headers have {len(fields)} bytes where {MAX_HEAD} are allowed; the longest is {name[:64]!a}"


def head_warning(head: ResponseHead) -> str | None:
    """Say which web servers would refuse this head as they come out of the box; None when all of them take it."""
    size = len(head.fields) + len(head._status)
    if size <= 500:  # room for fewer than 100 headers
        return None
    faults: list[str] = []
    if size > 4096:
        faults.append(f"it has {size} bytes (nginx takes 4096, raise fastcgi_buffer_size; HAProxy takes 16384)")
    lines = head.fields.split("\r\n")
    longest = max(lines, key=len)
    if len(longest) > 8190:
        faults.append(f"{longest.partition(':')[0][:64]} has {len(longest)} bytes (Apache takes 8190 a line)")
    if len(lines) > 100:
        faults.append(f"it has {len(lines)} lines (h2o takes 100, HAProxy 101)")
    return "the head of the response is too big for some web servers: " + "; ".join(faults) if faults else None


_SORRY: Final = {
    400: "The request could not be understood.",
    413: "The request is larger than this server accepts.",
    431: "The headers of the request are larger than this server accepts.",
    500: "The application failed to answer this request.",
    503: "The application is busy. Please try again in a moment.",
    507: "The server has no room left to take this request.",
}

_HTML: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#x27;", "\0": "\ufffd"})


def body_size(page: bytes) -> int:
    """Bytes of the body in a whole CGI response such as `error_page` makes."""
    return len(page) - page.index(b"\r\n\r\n") - 4


def error_page(
    status: int,
    request_id: str | None = None,
    detail: str = "",
    retry_after: int | None = None,
    *,
    head_only: bool = False,
) -> bytes:
    """Return a whole CGI response, head and a small page, for a request that the application does not answer.

    Args:
        status: the status code, 200 to 999.
        request_id: shown, so that a visitor can quote it and an administrator find it in the log.
        detail: one more line of text for the visitor; never a traceback.
        retry_after: seconds after which to try again (RFC 9110 10.2.3), sent with 503.
        head_only: leave the page out, as the answer to HEAD must; Content-Length still tells its size.
    """
    reason = _standard_reason(status)
    lines = [_SORRY.get(status, ""), detail, f"Request {request_id}" if request_id else ""]
    text = "\n".join(f"<p>{line.translate(_HTML)}</p>" for line in lines if line)
    page = (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{status} {reason}</title></head>\n<body><h1>{status} {reason}</h1>\n{text}\n</body></html>\n"
    ).encode("utf-8", "backslashreplace")
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(page)))]
    if retry_after is not None:
        headers.append(("Retry-After", str(retry_after)))
    head = encode_head(f"{status} {reason}", headers)
    head.put_status_first()  # the page may be for an authorizer, and it has no Location
    return head.to_bytes() + (b"" if head_only else page)
