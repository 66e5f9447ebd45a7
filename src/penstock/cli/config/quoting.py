"""This file writes a value into each configuration language: escaped where that can be, else refused in a sentence.

Each function takes any text without control characters (`site.py` keeps those out) and returns the word as the file has
to hold it. `tests/cli/config/test_programs.py` has the programs read it.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_match_plain = re.compile(r"[A-Za-z0-9_./:=@+-]+", re.ASCII).fullmatch

Quote = Callable[[Any], str]


class Refused(ValueError):
    """A value that cannot be written there; the message says why and what to do."""


def _refuse(text: str, what: Iterable[str], language: str, why: str = "cannot be written in") -> None:
    for word in what:
        if word in text:
            raise Refused(f"{text!r} holds {word!r}, which {why} {language}; choose another name")


def nginx(text: str) -> str:
    """A double-quoted word. There is no way to write a `$` where variables are replaced."""
    _refuse(text, "$", "nginx's configuration")
    return _backslashed(text)


def apache(text: str) -> str:
    """A double-quoted word; `${NAME}` would be replaced even there."""
    _refuse(text, ("${",), "Apache's configuration")
    return _backslashed(text)


def apache_directory(text: str) -> str:
    """The word of a <Directory> section, which is a pattern."""
    _refuse(text, "*?[]", "a <Directory> of Apache")
    return apache(text)


def apache_url(text: str) -> str:
    """The URL of a ProxyPass with a unix socket, which is cut at the bar and then parsed."""
    path = text.partition("|fcgi://")[0]
    _refuse(path, "|?#%", "a ProxyPass of Apache")
    return apache(text)


def apache_wrapper(words: Sequence[str]) -> str:
    """A command line for FcgidWrapper, which cuts it at white space and knows no quotes."""
    for word in words:
        _refuse(word, " \"'\\", "FcgidWrapper")
    return apache(" ".join(words))


def apache_script(text: str) -> str:
    """The path of a script in a comment: mod_fcgid cuts it up as a shell does, and says nothing."""
    _refuse(text, " \"'\\", "a command line", "mod_fcgid takes apart in")
    return text


def apache_rule(text: str) -> str:
    """A file name in a RewriteRule, whose right side has a syntax of its own."""
    _refuse(text, " $%\\\"'?#&:", "a RewriteRule")
    return text


def lighttpd(text: str) -> str:
    """A double-quoted word; only the quote itself can be escaped."""
    _refuse(text, "\\", "lighttpd's configuration")
    return '"' + text.replace('"', '\\"') + '"'


def lighttpd_command(words: Sequence[str]) -> str:
    """A command line for bin-path, which is cut at white space and knows no quotes."""
    for word in words:
        _refuse(word, " ", "bin-path of lighttpd")
    return lighttpd(" ".join(words))


def caddy(text: str) -> str:
    """A word in backticks, where everything else stands for itself; placeholders are replaced even there."""
    _refuse(text, "`{}", "a Caddyfile")
    return f"`{text}`"


def caddy_address(text: str) -> str:
    """The address of a unix socket, which ends at a colon."""
    _refuse(text, ":", "an address of Caddy")
    return caddy(text)


def haproxy(text: str) -> str:
    """A single-quoted word, as in a shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def haproxy_address(text: str) -> str:
    """The address of a server, where environment variables are replaced even in such a word."""
    _refuse(text, "$", "an address of HAProxy")
    return haproxy(text)


def h2o(text: str) -> str:
    """A double-quoted scalar of YAML, which takes JSON's escapes."""
    return json.dumps(text, ensure_ascii=False)


def openbsd(text: str) -> str:
    """A double-quoted word."""
    _refuse(text, '"\\', "httpd.conf")
    return f'"{text}"'


def openbsd_chroot(text: str) -> str:
    """A path as httpd sees it from within its chroot; one that lies elsewhere is left as it is."""
    return openbsd(text.removeprefix("/var/www"))


def systemd(text: str) -> str:
    """A word of ExecStart=: C's escapes in quotes, `%` and `$` doubled."""
    if _match_plain(text):
        return text
    return _backslashed(text.replace("%", "%%").replace("$", "$$"))


def systemd_line(text: str) -> str:
    """The whole rest of a line, such as ListenStream=, where quotes are no quotes."""
    if text.endswith("\\") or text != text.strip():
        raise Refused(f"{text!r} ends in a backslash or a space, which a unit cannot hold; choose another name")
    return text.replace("%", "%%")


def supervisor(text: str) -> str:
    """A word of command=, which is read as a shell's words after `%` was replaced and comments were cut off."""
    return shlex.quote(supervisor_line(text))


def supervisor_line(text: str) -> str:
    """The whole rest of a line; what follows white space (of any kind) and one of `;#` would be a comment."""
    _refuse(text, re.findall(r"\s[;#]", text), "supervisord.conf")
    return text.replace("%", "%%")


def shell(text: str) -> str:
    """A word of a shell."""
    return shlex.quote(text)


def _backslashed(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
