"""This file reads penstock.toml: settings for all pools at the top, a table `[pool.NAME]` for each application.

tomllib, of the standard library, does the reading. It does not tell the lines of keys, and neither does tomlkit; so
`find_lines` asks it what the file holds up to each line. That is done only when there is a mistake to report.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
import tomllib
from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import Any, Final, NamedTuple

from penstock.cli import values
from penstock.cli.manager_settings import SUPERVISOR_SETTINGS, WORKER_SETTINGS
from penstock.cli.settings import SETTINGS
from penstock.cli.values import Kind
from penstock.server.address import shown

DEFAULT_FILE: Final = "penstock.toml"

Path = tuple[str, ...]

_POOL_KINDS: Final[dict[str, Kind]] = {
    "app": values.APP,
    **{row.name: row.kind for row in (*SETTINGS, *WORKER_SETTINGS)},
}
_SUPERVISOR_KINDS: Final = {row.name: row.kind for row in SUPERVISOR_SETTINGS if row.name != "config"}
_POOL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_TYPE_NAMES: Final = {str: "a text", bool: "true or false", int: "a number", float: "a number", list: "a list"}


class Mistake(NamedTuple):
    """Something that is wrong: the `Place` or the flag where it is written, and a sentence about it."""

    where: object
    sentence: str

    def __str__(self) -> str:
        return f"{self.where}: {self.sentence}"


class Mistakes(Exception):
    """Settings that cannot be used; `lines` has one for each mistake, those in a file in its order."""

    def __init__(self, mistakes: list[Mistake]) -> None:
        ordered = sorted(mistakes, key=lambda mistake: getattr(mistake.where, "line", sys.maxsize))
        self.lines = list(dict.fromkeys(map(str, ordered)))  # one at the top of a file is found in each of its pools
        super().__init__("\n".join(self.lines))


class Written(NamedTuple):
    """A value that somebody has written, and where; `str(where)` names the place for a message."""

    value: Any
    where: object


Layer = dict[str, Written]
"""Settings from one source, by name."""


class Place:
    """A key of a file. Its line is looked for when it is asked for."""

    def __init__(self, file: ConfigFile, path: Path) -> None:
        self._file = file
        self._path = path

    @property
    def line(self) -> int:
        return self._file.lines.get(self._path, 1)

    def __str__(self) -> str:
        table, key = self._path[:2], self._path[2:]
        if self._path[0] != "pool":
            named = ".".join(self._path)
        else:
            named = " ".join(filter(None, (f"[{'.'.join(table)}]", ".".join(key))))
        return f"{self._file.name}:{self.line}: {shown(named)}"


class ConfigFile:
    """What a file says.

    Attributes:
        name: the file as somebody wrote it.
        top: the settings at the top: the supervisor's, and those for all pools.
        pools: the settings of each `[pool.NAME]`, by name and in their order.
        mistakes: all that is wrong.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self._text = text.replace("\r\n", "\n")
        self.top: Layer = {}
        self.pools: dict[str, Layer] = {}
        self.mistakes: list[Mistake] = []
        try:
            document = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            self.mistakes.append(Mistake(name, f"this is no TOML: {error}"))
            return
        pools = document.pop("pool", {})
        self.top = self._layer(document, (), _POOL_KINDS | _SUPERVISOR_KINDS)
        if not isinstance(pools, dict):
            self._wrong(("pool",), "pools are tables with a name; write [pool.blog]")
            return
        for pool, table in pools.items():
            path = ("pool", pool)
            if not isinstance(table, dict):
                self._wrong(path, f"a pool has a name; write [pool.blog], and {shown(pool)} below it")
            elif not _POOL_NAME.fullmatch(pool):
                self._wrong(path, "a pool's name has letters, digits, dots, - and _, and at most 64 of them")
            else:
                self.pools[pool] = self._layer(table, path, _POOL_KINDS)

    @cached_property
    def lines(self) -> dict[Path, int]:
        """The line where each key is written, from 1 on."""
        return find_lines(self._text)

    def _layer(self, table: Mapping[str, Any], path: Path, kinds: Mapping[str, Kind]) -> Layer:
        layer = {}
        for key, value in table.items():
            place = Place(self, (*path, key))
            if key not in kinds:
                self._wrong((*path, key), _stranger(key, kinds))
                continue
            try:
                layer[key] = Written(_read(kinds[key], value), place)
            except ValueError as error:
                self._wrong((*path, key), str(error))
        return layer

    def _wrong(self, path: Path, sentence: str) -> None:
        self.mistakes.append(Mistake(Place(self, path), sentence))


def read(path: str) -> ConfigFile:
    """Read a file; what is wrong in it stands in its `mistakes`.

    Raises:
        Mistakes: it cannot be read at all.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return ConfigFile(shown(path), file.read())
    except OSError as error:
        raise Mistakes([Mistake(shown(path), f"it cannot be read: {os.strerror(error.errno or 0)}")]) from None
    except UnicodeDecodeError as error:
        raise Mistakes([Mistake(shown(path), f"this is no TOML: byte {error.start + 1} is not UTF-8")]) from None


def find_lines(text: str) -> dict[Path, int]:
    """The line on which each key of a TOML document begins, by the key's path.

    A key begins on the first line after those that made a whole document without it.
    """
    lines = text.split("\n")
    found: dict[Path, int] = {}
    begin = 1
    for number in range(1, len(lines) + 1):
        try:
            document = tomllib.loads("\n".join(lines[:number]))
        except tomllib.TOMLDecodeError:
            continue  # amid a value of several lines
        for path in _paths(document):
            found.setdefault(path, begin)
        begin = number + 1
    return found


def _paths(table: Mapping[str, Any], above: Path = ()) -> Iterator[Path]:
    for key, value in table.items():
        yield (*above, key)
        if isinstance(value, dict):
            yield from _paths(value, (*above, key))


def _stranger(key: str, kinds: Mapping[str, Kind]) -> str:
    if key in _SUPERVISOR_KINDS:
        return "there is one for all pools; write it at the top of the file, before the first table"
    near = difflib.get_close_matches(key, [*kinds, "pool"], 1)
    return "there is no such setting" + (f"; did you mean {near[0]}?" if near else "; penstock serve --help has them")


def _read(kind: Kind, value: object) -> object:
    """Turn a value of TOML into that of a setting."""
    if kind is values.SWITCH:
        if not isinstance(value, bool):
            raise ValueError(f"{_type(value)} does not fit; write true or false")
        return value
    if kind is values.ASSIGNMENTS:
        if not isinstance(value, dict):
            raise ValueError(f'{_type(value)} does not fit; write a table, as in env = {{ NAME = "value" }}')
        return tuple(kind.parse(f"{name}={_text(name, item)}") for name, item in value.items())
    if not kind.many:
        return _one(kind, value)
    if isinstance(value, str) and kind.separator:
        value = [word.strip() for word in value.split(kind.separator)]
    return tuple(_one(kind, item) for item in (value if isinstance(value, list) else [value]))


def _one(kind: Kind, value: object) -> object:
    if isinstance(value, str) or (isinstance(value, kind.toml) and not isinstance(value, bool)):
        return kind.parse(str(value))
    fitting = "a number or a text in quotes" if kind.toml else "a text in quotes"
    raise ValueError(f"{_type(value)} does not fit; write {fitting}")


def _text(name: str, value: object) -> str:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{shown(name)}: {_type(value)} is no variable's value; write a text in quotes")


def _type(value: object) -> str:
    return "a table" if isinstance(value, dict) else _TYPE_NAMES.get(type(value), "a date or time")
