"""This file reads what people write as an option's value, and writes values the way people do; both ways for each kind.

Every `parse` raises ValueError with one sentence that says what is wrong and how to write it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from penstock.gateways.environ import mount_point
from penstock.manager.plan import Workers
from penstock.protocol.spec import Role
from penstock.server.address import parse_address
from penstock.server.allow import build_allow_list


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to write a value.

    Attributes:
        metavar: stands for the value in help texts; "" for a switch, which has none.
        parse: text -> value.
        show: value -> text that `parse` would take.
        many: the value is a sequence; the option may be repeated.
        separator: of a kind that is `many`, what stands between several values in one text; "" where none can.
        toml: the types a value may have in a file beside text, which goes to `parse` in the same words.
    """

    metavar: str
    parse: Callable[[str], object]
    show: Callable[[Any], str] = str
    many: bool = False
    separator: str = ","
    toml: tuple[type, ...] = ()


_DURATION_UNITS: Final = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_match_duration: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|h|m|s))+", re.ASCII).fullmatch
_find_durations: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)", re.ASCII).findall
_match_number: Final = re.compile(r"\d+(?:\.\d+)?", re.ASCII).fullmatch
_LONGEST: Final = 366 * 24 * 3600.0

_SIZE_UNITS: Final = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_match_size: Final = re.compile(r"(\d{1,15})([kmgt]?)(?:i?b)?", re.ASCII).fullmatch

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})


def parse_duration(text: str) -> float:
    """Seconds of `60s`, `1h30m`, `500ms`, `1.5s`, or of a bare number of seconds."""
    word = text.strip().lower()
    if _match_number(word):
        seconds = float(word)
    elif _match_duration(word):
        seconds = sum(float(number) * _DURATION_UNITS[unit] for number, unit in _find_durations(word))
    else:
        raise ValueError(f"{text!r} is no duration; write it as in 60s, 1h30m or 500ms")
    # Zero would switch a timer off, which is not what someone who writes 0 expects of all of them.
    if not 0 < seconds <= _LONGEST:
        raise ValueError(f"{text!r} is too {'long' if seconds else 'short'}; a duration is from 1ms to a year")
    return seconds


def show_duration(seconds: float) -> str:
    """60.0 -> "60s", 5400.0 -> "1h30m", 0.5 -> "500ms"."""
    thousandths = round(seconds * 1000)
    if thousandths % 1000:
        return f"{thousandths}ms"
    whole = thousandths // 1000
    if whole <= 120:
        return f"{whole}s"
    parts = ((whole // 3600, "h"), (whole // 60 % 60, "m"), (whole % 60, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def parse_size(text: str) -> int:
    """Bytes of `1g`, `256k`, `10MiB` (units of 1024), or of a bare number of bytes."""
    found = _match_size(text.strip().lower())
    if found is None:
        raise ValueError(f"{text!r} is no size; write it as in 256k, 10m or 1g")
    return int(found[1]) * _SIZE_UNITS[found[2]]


def show_size(size: int) -> str:
    """1073741824 -> "1g"; with the largest unit that leaves no rest."""
    for unit, factor in reversed(_SIZE_UNITS.items()):
        if size >= factor and size % factor == 0:
            return f"{size // factor}{unit}"
    return str(size)


def parse_mode(text: str) -> int:
    """Permission bits of `0660`, `660` or `0o660`."""
    digits = text.strip().lower().removeprefix("0o")
    if re.fullmatch(r"0?[0-7]{3}", digits) is None:
        raise ValueError(f"{text!r} is no mode; write three octal digits, as in 0660")
    return int(digits, 8)


def parse_switch(text: str) -> bool:
    """True of 1, true, yes, on; False of 0, false, no, off."""
    word = text.strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError(f"{text!r} is neither on nor off; write on, off, true, false, yes, no, 1 or 0")
    return word in _TRUE


def parse_role(text: str) -> Role:
    """A role by its name, in whatever case."""
    names = {role.name.lower(): role for role in Role}
    role = names.get(text.strip().lower())
    if role is None:
        raise ValueError(f"{text!r} is no role; there are {', '.join(names)}")
    return role


def _count(digits: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        word = text.strip()
        if not (word.isascii() and word.isdigit() and len(word) <= digits and int(word) > 0):
            raise ValueError(f"{text!r} is no number from 1 to {'9' * digits}")
        return int(word)

    return parse


def _parse_address(text: str) -> str:
    parse_address(text)
    return text


def _parse_peer(text: str) -> str:
    build_allow_list([text])
    return text


def _parse_mount(text: str) -> str:
    mount_point(text)
    return text


def _parse_text(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("a name is missing")
    return text


def _parse_nice(text: str) -> int:
    found = re.fullmatch(r"[+-]?\d{1,2}", text.strip(), re.ASCII)
    if found is None or not -20 <= int(found[0]) <= 19:
        raise ValueError(f"{text!r} is no niceness; write a number from -20 to 19")
    return int(found[0])


def _parse_assignment(text: str) -> str:
    name, sign, _ = text.partition("=")
    if not (sign and name) or "\0" in text:
        raise ValueError(f"{text!r} sets no variable; write it as in NAME=VALUE")
    return text


def choice(*words: str) -> Kind:
    """One of a few words."""

    def parse(text: str) -> str:
        word = text.strip().lower()
        if word not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return word

    return Kind("|".join(words), parse)


def _or_off(kind: Kind) -> Kind:
    """The same kind with `off`, which is 0, for what has no limit unless somebody sets one."""

    def parse(text: str) -> object:
        return 0 if text.strip().lower() in ("off", "0") else kind.parse(text)

    return replace(kind, parse=parse, show=lambda value: kind.show(value) if value else "off")


COUNT: Final = Kind("N", _count(5), toml=(int,))
COUNT_OR_OFF: Final = _or_off(Kind("N", _count(9), toml=(int,)))
NICE: Final = Kind("N", _parse_nice, toml=(int,))
WORKERS: Final = Kind("N|MIN..MAX", Workers.parse, toml=(int,))
DURATION: Final = Kind("TIME", parse_duration, show_duration, toml=(int, float))
DURATION_OR_OFF: Final = _or_off(DURATION)
SIZE: Final = Kind("SIZE", parse_size, show_size, toml=(int,))
SIZE_OR_OFF: Final = _or_off(SIZE)
# In a file too the octal digits are text: the number 440 would be 0670.
MODE: Final = Kind("MODE", parse_mode, lambda mode: f"{mode:04o}")
SWITCH: Final = Kind("", parse_switch, lambda on: "on" if on else "off")
ADDRESS: Final = Kind("ADDR", _parse_address)
ADDRESSES: Final = replace(ADDRESS, many=True)
PEERS: Final = Kind("IP", _parse_peer, many=True)
ROLE: Final = Kind("ROLE", parse_role, lambda role: role.name.lower())
ROLES: Final = replace(ROLE, many=True)
MOUNT: Final = Kind("PATH", _parse_mount)
USER: Final = Kind("USER", _parse_text, toml=(int,))
GROUP: Final = Kind("GROUP", _parse_text, toml=(int,))
HTTP: Final = Kind("HOST:PORT", _parse_address)
APP: Final = Kind("APP", _parse_text)
FILE: Final = Kind("FILE", _parse_text)
FILES: Final = replace(FILE, many=True)
DIRECTORY: Final = Kind("DIR", _parse_text)
# A value may hold commas, so each assignment is an option of its own.
ASSIGNMENTS: Final = Kind("NAME=VALUE", _parse_assignment, many=True, separator="")
