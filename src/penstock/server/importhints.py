"""This file guesses, once an application could not be loaded, what its owner meant and what would mend it.

Nothing here runs on the way to a working application: it may look at files, and may import what it likes inside
functions.
Every function returns one sentence, or "" where a guess would be worse than none.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from traceback import TracebackException

_USUAL_ATTRIBUTES = ("app", "application", "create_app", "make_app", "wsgi", "api")
_LEFT_PYTHON = ("cgi", "cgitb")
_OLD_NAMES = ("fastcgi", "fcgi", "fcgisgi", "flipflop", "flup", "gevent_fastcgi", "jon")
_USUAL_FILES = ("app.py", "wsgi.py", "main.py", "application.py")


def trace_without(error: BaseException, folder: str) -> str:
    """The traceback of `error` as text, without the frames of the import system and of the files below `folder`."""
    import traceback

    shown = traceback.TracebackException.from_exception(error)
    _cut(shown, (folder, "<frozen ", os.path.join(os.path.dirname(os.__file__), "importlib", "")))
    # Without a frame (a syntax error in the file itself) the bare error with its source line says it all.
    return "".join(shown.format() if shown.stack else shown.format_exception_only())


def _cut(shown: TracebackException, dropped: tuple[str, ...]) -> None:
    shown.stack[:] = [frame for frame in shown.stack if not frame.filename.startswith(dropped)]
    for linked in (shown.__cause__, shown.__context__, *(shown.exceptions or ())):
        if linked is not None:
            _cut(linked, dropped)


def missing_file_hint(place: str) -> str:
    """For a path at which no file is: the file beside it, or inside it, that was meant."""
    if os.path.isdir(place):
        inside = [name for name in _USUAL_FILES if os.path.isfile(os.path.join(place, name))]
        return (
            f"did you mean {os.path.join(place, inside[0])}?" if inside else "name the file with the application in it"
        )
    if os.path.isfile(place + ".py"):
        return f"did you mean {place}.py?"
    folder, name = os.path.split(place)
    if not os.path.isdir(folder or os.curdir):
        return f"there is no folder {folder}"
    try:
        near = _closest(name, (entry for entry in os.listdir(folder or os.curdir) if entry.endswith((".py", ".fcgi"))))
    except OSError:
        return ""
    return f"did you mean {os.path.join(folder, near)}?" if near else ""


def missing_module_hint(name: str, attribute: str) -> str:
    """For a module that is nowhere on sys.path: the nearest name in the same folder or package."""
    tail = f":{attribute}" if attribute else ""
    parent, _, last = name.rpartition(".")
    folders = [sys.path[0]]
    if parent in sys.modules:
        if hasattr(sys.modules[parent], last):
            return f"did you mean {parent}:{last}?"
        folders = list(getattr(sys.modules[parent], "__path__", []))
    elif parent:
        return missing_module_hint(parent, attribute) if parent.partition(".")[0] not in sys.modules else ""
    found = sorted({module for folder in folders for module in _modules_in(folder)})
    prefix = f"{parent}." if parent else ""
    near = _closest(last, found)
    if near:
        return f"did you mean {prefix}{near}{tail}?"
    if os.path.exists(os.path.join(sys.path[0], "src", *name.split("."))) or os.path.isfile(
        os.path.join(sys.path[0], "src", *name.split(".")) + ".py"
    ):
        return f"it lies below src/: install the project, or write the path (src/{name.replace('.', '/')}...)"
    return f"modules here: {', '.join(prefix + module for module in found[:8])}" if found else ""


def _modules_in(folder: str) -> Iterable[str]:
    try:
        entries = os.listdir(folder)
    except OSError:
        return
    for entry in entries:
        stem, suffix = os.path.splitext(entry)
        if stem.isidentifier() and (suffix == ".py" or os.path.isfile(os.path.join(folder, entry, "__init__.py"))):
            yield stem


def attribute_hint(module: ModuleType, place: str, wanted: str) -> str:
    """For a module without the attribute: the callable of it that was meant, or the list of what there is."""
    own = os.path.join(sys.path[0], f"{module.__name__}.py")
    actual = getattr(module, "__file__", None)
    if os.path.isfile(own) and (actual is None or not os.path.samefile(own, actual)):
        return f"{module.__name__} was loaded from {actual or 'Python itself'}, not from {own}: rename your file"
    names = {name: value for name, value in vars(module).items() if callable(value) and not name.startswith("_")}
    usual = (name for name in _USUAL_ATTRIBUTES if name in names)
    near = _closest(wanted, names) or next(usual, "") or _only_object(names)
    if near:
        value = names[near]
        factory = isinstance(value, FunctionType) and value.__code__.co_argcount == 0
        return f"did you mean {place}:{near}{'()' if factory else ''}?"
    inside = [name for folder in getattr(module, "__path__", []) for name in _modules_in(folder)]
    near = next((name for name in ("app", "wsgi", "application", "main") if name in inside), "")
    if near:
        return f"did you mean {place}.{near}:app?" if near != "wsgi" else f"did you mean {place}.wsgi:application?"
    return f"what can be called there: {', '.join(sorted(names)[:8])}" if names else "nothing there can be called"


def _only_object(names: dict[str, object]) -> str:
    """The one callable that is neither function nor class: the application objects of most frameworks are like that."""
    python = ("builtins", "functools", "typing")
    objects = [
        name
        for name, value in names.items()
        if not isinstance(value, type | FunctionType) and type(value).__module__ not in python
    ]
    return objects[0] if len(objects) == 1 else ""


def not_installed_hint(missing: str, error: BaseException) -> str:
    """For an import of the application's own that found nothing: where to install it, or how to reach it."""
    top = missing.partition(".")[0]
    if top in _LEFT_PYTHON:
        return f"from 3.13 on Python has no {top}: {sys.executable} -m pip install 'penstock[legacy]' brings it back"
    if top in _OLD_NAMES:
        return f"penstock has it as penstock.compat.{top}; scripts that end in .fcgi may keep the old name"
    folder = _folder_of_last_frame(error)
    if folder and top in _modules_in(folder) and folder not in sys.path:
        return f"{top} lies in {folder}, which is not on Python's path: import it relative to its package"
    active = os.environ.get("VIRTUAL_ENV", "")
    if active and os.path.realpath(active) != os.path.realpath(sys.prefix):
        return f"penstock runs from {sys.prefix}, but the active environment is {active}: install penstock there too"
    return f"install it where penstock runs: {sys.executable} -m pip install ..."


def _folder_of_last_frame(error: BaseException) -> str:
    folder, step = "", error.__traceback__
    while step is not None:
        filename = step.tb_frame.f_code.co_filename
        if os.path.isfile(filename):
            folder = os.path.dirname(os.path.abspath(filename))
        step = step.tb_next
    return folder


def shadow_hint(error: BaseException) -> str:
    """For a fault inside a module that has its name from the standard library or from something installed."""
    if isinstance(error, ImportError):
        name = error.name or ""
    elif isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        name = error.obj.__name__
    else:
        return ""
    from importlib.machinery import PathFinder

    top = name.partition(".")[0]
    here = sys.path[0]
    if not top or top not in _modules_in(here):
        return ""
    if top in sys.stdlib_module_names:
        whose = "of the standard library"
    elif PathFinder.find_spec(top, [entry for entry in sys.path if entry not in ("", here)]) is not None:
        whose = "that is installed"
    else:
        return ""
    mine = os.path.join(here, top)
    mine = mine if os.path.isdir(mine) else f"{mine}.py"
    return f"{mine} hides the module {top} {whose}: rename it"


def _closest(wanted: str, names: Iterable[str]) -> str:
    import difflib

    near = difflib.get_close_matches(wanted, list(names), 1)
    return near[0] if near else ""
