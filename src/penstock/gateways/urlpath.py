"""This file reads, cleans and compares URL paths; it knows no parameters and no web servers.

All strings are native ones (PEP 3333): one character for each byte, latin-1.
"""

from __future__ import annotations

from urllib.parse import unquote_to_bytes


def unquote(text: str) -> str:
    """Undo percent-encoding, byte for byte (`urllib` alone would take the str for UTF-8)."""
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1") if "%" in text else text


def readings(raw: str) -> list[str]:
    """Return what web servers make of a raw path, the usual reading first.

    The second one is there only for a path with encoded slashes: it keeps them, as Apache does with
    `AllowEncodedSlashes NoDecode`.
    """
    found = [unquote(raw)]
    if "%2F" in raw or "%2f" in raw:
        found.append(unquote(raw.replace("%2F", "%252F").replace("%2f", "%252f")))
    return found


def path_of_url(url: str) -> str:
    """Return the path of `scheme://authority/path`; "" when it has none or is no URL."""
    _, slash, rest = url.partition("://")[2].partition("/")
    return slash + rest


def clean(path: str) -> str:
    """Resolve `.` and `..` and merge slashes in a decoded path, as nginx, Apache and lighttpd do before they match it.

    A path that starts with `//` would turn into a link to another host, were it used as a prefix of links.
    """
    if "//" not in path and "/." not in path:
        return path
    segments = path.split("/")
    kept: list[str] = []
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment not in ("", "."):
            kept.append(segment)
    ends_in_directory = bool(kept) and segments[-1] in ("", ".", "..")
    return "/" + "/".join(kept) + ("/" if ends_in_directory else "")


def lies_under(path: str, top: str) -> bool:
    """Tell whether `path` is `top` or stands below it at a slash; below "" stands every absolute path."""
    return path == top or path.startswith(top + "/")


def shared_tail(path: str, other: str) -> int:
    """Return where in `path` the longest ending starts that begins at a slash and also ends `other`; -1 for none."""
    low, high = 0, min(len(path), len(other))
    while low < high:  # how many characters agree: halving keeps it from being quadratic on hostile slashes
        middle = (low + high + 1) // 2
        if other.endswith(path[len(path) - middle :]):
            low = middle
        else:
            high = middle - 1
    return path.find("/", len(path) - low)
