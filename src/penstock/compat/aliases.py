"""This file makes the old names lead here: `flup.server.fcgi` is then penstock.compat.flup.server.fcgi itself.

Both names give one and the same module, so a class has one identity whichever way a program came to it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Final

import penstock.compat

PATH: Final = f"{next(iter(penstock.compat.__path__))}/path"
"""The folder for PYTHONPATH: a small module for each of the old names, which calls `become`."""

NAMES: Final = frozenset({"fastcgi", "fcgi", "fcgisgi", "flipflop", "flup", "gevent_fastcgi", "jon"})
"""Modules of these names stand in PATH and, to be what they are, in penstock.compat."""

_INSIDE: Final = {"django.core.servers.fastcgi": "penstock.compat.django_fastcgi"}
"""Modules that are missing in packages which themselves are there."""

_LEFT_PYTHON: Final = frozenset({"cgi", "cgitb"})
"""Modules of the standard library up to Python 3.12, which old scripts need."""


def become(name: str) -> None:
    """Put the module of this name in penstock.compat in the place of the one that is being imported.

    Args:
        name: `__name__` of a module in PATH.
    """
    if not any(isinstance(finder, _Inner) for finder in sys.meta_path):
        # First, or the files of penstock.compat.flup would be loaded again, as modules of another name.
        sys.meta_path.insert(0, _Inner())
    sys.modules[name] = import_module(f"penstock.compat.{name}")


def find_old_names() -> str:
    """Make this process find old names where nothing that is installed has them.

    Returns:
        PATH, for `sys.path`.
    """
    if Missing not in sys.meta_path:
        sys.meta_path.append(Missing)
    return PATH


class Missing:
    """Finds what nobody else has found; the last of `sys.meta_path`, so what is installed comes first."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG004 - so finders are called
        target: ModuleType | None = None,  # noqa: ARG004
    ) -> ModuleSpec | None:
        """Return where a module is, or None.

        Raises:
            ModuleNotFoundError: it is `cgi` or `cgitb`, which can be installed.
        """
        if name in _INSIDE:
            return ModuleSpec(name, _Alias(_INSIDE[name]))
        if name in _LEFT_PYTHON:
            raise ModuleNotFoundError(
                f"Python has no module {name} any more, from 3.13 on; pip install 'penstock[legacy]' brings it back",
                name=name,
            )
        return None


class _Inner:
    """Finds the modules below the old names that stand for ours."""

    @staticmethod
    def find_spec(
        name: str,
        path: Sequence[str] | None = None,  # noqa: ARG004
        target: ModuleType | None = None,  # noqa: ARG004
    ) -> ModuleSpec | None:
        top, dot, rest = name.partition(".")
        home = f"penstock.compat.{top}"
        if not dot or top not in NAMES or getattr(sys.modules.get(top), "__name__", "") != home:
            return None
        if find_spec(f"{home}.{rest}") is None:
            raise ModuleNotFoundError(
                f"penstock has no {name}; what it has of {top} is listed in its docs/compat", name=name
            )
        return ModuleSpec(name, _Alias(f"{home}.{rest}"))


class _Alias(Loader):
    """Loads a module that has another name already."""

    def __init__(self, real: str) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python to make one, which goes no further than `exec_module`."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the real one in its place; import takes whatever is there at the end."""
        sys.modules[module.__name__] = import_module(self._real)
