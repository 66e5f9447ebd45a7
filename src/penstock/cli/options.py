"""This file makes click options of rows of the settings table, and turns what was written into keywords for `serve`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from penstock.cli.setting import Setting
from penstock.cli.values import SWITCH, Kind

if TYPE_CHECKING:
    _ParamType = click.ParamType[Any]
else:
    _ParamType = click.ParamType  # older ones are not generic


class KindType(_ParamType):
    """A kind of value as click knows types; click asks it for text from the command line and the environment alike."""

    def __init__(self, kind: Kind) -> None:
        self.name = kind.metavar or "switch"
        self._kind = kind

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value  # a default
        if not self._kind.many:
            return _parse(self._kind, value, param, ctx)
        words = value.split(self._kind.separator) if self._kind.separator else [value]
        return tuple(_parse(self._kind, word.strip(), param, ctx) for word in words)

    def split_envvar_value(self, rv: str) -> list[str]:
        return [rv]  # `convert` cuts at the commas; click would cut at spaces, which paths may have


class SwitchType(click.types.BoolParamType):
    """A switch; only its environment variable, or a file, holds text."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return _parse(SWITCH, value, param, ctx) if isinstance(value, str) else value


def _parse(kind: Kind, text: str, param: click.Parameter | None, ctx: click.Context | None) -> object:
    try:
        return kind.parse(text)
    except ValueError as error:
        raise click.UsageError(f"{_written_at(param, ctx)}: {error}", ctx) from None


def _written_at(param: click.Parameter | None, ctx: click.Context | None) -> str:
    """The flag or the environment variable that a value came from."""
    if param is None:
        return "value"
    if ctx is not None and param.name and ctx.get_parameter_source(param.name) is ParameterSource.ENVIRONMENT:
        return str(param.envvar)
    return max(param.opts, key=len)


class SettingOption(click.Option):
    """An option that was made of a row, or that is grouped and explained like one."""

    def __init__(self, declarations: Sequence[str], group: str, usage: str, **more: Any) -> None:
        super().__init__(declarations, **more)
        self.group = group
        self._usage = usage

    def get_help_record(self, _ctx: click.Context) -> tuple[str, str]:
        return self._usage, self.help or ""


def option(setting: Setting) -> SettingOption:
    """The option of one row."""
    kind = setting.kind
    shown = f" [{setting.shown_default}]" if setting.shown_default else ""
    names = f"{setting.flag}/{setting.negative_flag}" if kind is SWITCH else setting.flag
    return SettingOption(
        [setting.name, names],
        setting.group,
        setting.usage,
        type=SwitchType() if kind is SWITCH else KindType(kind),
        multiple=kind.many,
        default=setting.default,
        envvar=setting.env,
        help=setting.help + shown,
    )


def collect(settings: Iterable[Setting], given: dict[str, Any]) -> dict[str, Any]:
    """What click has gathered, as keywords for `serve`: lists are flattened, and an absent one is the default."""
    keywords = {}
    for setting in settings:
        value = given[setting.name]
        if setting.kind.many:
            parts = (part if isinstance(part, tuple) else (part,) for part in value)
            value = tuple(item for part in parts for item in part) or setting.default
        keywords[setting.name] = value
    return keywords


def written_at(setting: Setting) -> str:
    """The flag or the environment variable by which the command that runs was told a setting; "" if it was not."""
    source = click.get_current_context().get_parameter_source(setting.name)
    if source is ParameterSource.COMMANDLINE:
        return setting.flag
    return setting.env if source is ParameterSource.ENVIRONMENT else ""


class GroupedCommand(click.Command):
    """A command whose help shows its options under the headings of their groups."""

    def __init__(self, name: str, *, notes: Sequence[str] = (), **more: Any) -> None:
        super().__init__(name, **more)
        self._notes = notes

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        groups: dict[str, list[tuple[str, str]]] = {}
        for param in self.params:
            if isinstance(param, SettingOption):
                groups.setdefault(param.group, []).append(param.get_help_record(ctx))
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records, col_max=32)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        for note in self._notes:
            formatter.write_paragraph()
            formatter.write_text(note)
