"""This file says what one setting is: a row that becomes a flag, an environment variable and a key of a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from penstock.cli import values
from penstock.cli.values import Kind
from penstock.server.serving import serve

_FROM_SERVE: Final = object()


@dataclass(frozen=True, slots=True)
class Setting:
    """One row.

    Attributes:
        name: the keyword of `penstock.serve`; flag, environment variable and key of a file are made of it.
        kind: how its value is written.
        group: the heading under which help texts show it.
        help: half a line for `--help`.
        doc: what else there is to know, for the documentation.
        unset: what holds when nobody says anything and the default itself does not tell.
        own_default: the default of a setting that `penstock.serve` does not have.
    """

    name: str
    kind: Kind
    group: str
    help: str
    doc: str = ""
    unset: str = ""
    own_default: object = _FROM_SERVE

    @property
    def flag(self) -> str:
        """As in --io-timeout."""
        return "--" + self.name.replace("_", "-")

    @property
    def negative_flag(self) -> str:
        """What switches a switch off; "" for other kinds."""
        return "--no-" + self.name.replace("_", "-") if self.kind is values.SWITCH else ""

    @property
    def env(self) -> str:
        """As in PENSTOCK_IO_TIMEOUT."""
        return "PENSTOCK_" + self.name.upper()

    @property
    def default(self) -> object:
        """The default, which is written once: in the signature of `serve`."""
        if self.own_default is not _FROM_SERVE:
            return self.own_default
        return (serve.__kwdefaults__ or {})[self.name]

    @property
    def usage(self) -> str:
        """The flag with its value as help texts show it; of a switch, the one that changes something."""
        if self.kind is values.SWITCH:
            return self.negative_flag if self.default else self.flag
        return f"{self.flag} {self.kind.metavar}"

    @property
    def shown_default(self) -> str:
        """The default as one would write it; "" where none is worth a word."""
        if self.unset:
            return self.unset
        default = self.default
        if self.kind is values.SWITCH or default is None:
            return ""
        if isinstance(default, Sequence) and self.kind.many:
            return ",".join(self.kind.show(item) for item in default)
        return self.kind.show(default)


def markdown(settings: Sequence[Setting]) -> str:
    """The reference of these settings as a table for docs/cli.md."""
    lines = ["| option | environment | default | |", "|---|---|---|---|"]
    for row in settings:
        usage = row.usage.replace("|", r"\|")
        change = f"={row.kind.show(not row.default)}" if row.kind is values.SWITCH else ""
        default = row.unset or (row.shown_default and f"`{row.shown_default}`")
        many = "May be given several times." if row.kind.many else ""
        about = " ".join(filter(None, (row.help, row.doc, many)))
        lines.append(f"| `{usage}` | `{row.env}{change}` | {default} | {about} |")
    return "\n".join(lines)
