"""This file finds the application that APP names and turns every way of failing into one readable error.

APP is `module:attribute`, `module` (its `app` or `application`), a path such as `blog/app.py` or
`blog/app.py:attribute`, or a `.fcgi` script. The attribute may be dotted, and may be a call with literal arguments:
`blog:create_app("test")`.
No request ever reaches this file: only the person who starts the server says what is loaded.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import CodeType, FunctionType, ModuleType
from typing import Final, NoReturn

from penstock.server.hosting import Wish, set_host
from penstock.server.importhints import (
    attribute_hint,
    missing_file_hint,
    missing_module_hint,
    not_installed_hint,
    shadow_hint,
    trace_without,
)

Application = Callable[..., object] | Mapping[object, object]
"""A callable, or a mapping from roles to applications."""

OURS: Final = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
"""The folder of penstock, whose frames nobody wants to see who looks for a fault of the application."""

_DEFAULT_NAMES = ("app", "application")
_NOTHING = object()
_HAS_STAR_ARGS = 0x04  # inspect.CO_VARARGS; importing inspect costs more than all of this file
_old_names = ""


class AppError(Exception):
    """The application could not be loaded.

    Attributes:
        message: one sentence that says what failed.
        traceback: the traceback without importlib's frames and ours, or "" where it would tell nothing.
        hint: one sentence on how to mend it, or "".
    """

    def __init__(self, message: str, traceback: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.traceback = traceback
        self.hint = hint

    def report(self) -> str:
        """All of it as text for a terminal: the traceback first, so that the sentence that matters stands last."""
        return "\n".join(part.rstrip("\n") for part in (self.traceback, self.message, self.hint) if part)


def load(target: str) -> Application:
    """Import what `target` names and return the application.

    The folder of a path (of its outermost package, where it lies in one), or else the current folder, is put first on
    `sys.path`, as `python blog/app.py` and `python -m blog` would do.

    Raises:
        AppError: for every way in which this can fail, also when the application ends the process as it is imported.
    """
    place, _, attribute = (target, "", "") if os.path.exists(target) else target.partition(":")
    set_host(_NoHost(place))
    try:
        return _load(target, place, attribute)
    finally:
        set_host(None)


def _load(target: str, place: str, attribute: str) -> Application:
    if is_path(place):
        module = _load_path(place)
    elif not place or place.startswith("."):
        hint = "write module:attribute, such as blog:app, or the path of a file, such as blog/app.py"
        raise AppError(f"{target!r} names no module", hint=hint)
    else:
        put_first(os.getcwd())
        module = _import(place, place, attribute)
    if attribute:
        return _attribute(module, place, attribute)
    return default_of(module, place)


class _NoHost:
    """Stands for the host while an application is imported, which is no time to serve."""

    used = False

    def __init__(self, place: str) -> None:
        self._place = place

    def open(self, wish: Wish) -> NoReturn:  # noqa: ARG002
        hint = 'put that below: if __name__ == "__main__":'
        if not self._place.endswith(".py") and is_path(self._place):
            hint += "  (`penstock serve` runs scripts as they are, in a single process)"
        raise AppError(f"{self._place} begins to serve while it is loaded", hint=hint)


def use_old_names(folder: str) -> None:
    """From here on scripts find the modules of this folder too, behind their own: `flup` and other names of old."""
    global _old_names
    _old_names = folder


def has_old_name(module: str) -> bool:
    """Whether scripts find a module of this name."""
    return bool(_old_names) and os.path.isfile(os.path.join(_old_names, f"{module}.py"))


def put_script_first(path: str) -> None:
    """Put the folder of a script at the head of sys.path, as Python does: that of the file itself, not of a link."""
    if _old_names:
        put_first(_old_names)
    put_first(os.path.dirname(os.path.realpath(path)))


def is_path(place: str) -> bool:
    """Whether it names a file, and not a module."""
    return place.endswith((".py", ".fcgi")) or os.sep in place


def put_first(folder: str) -> None:
    """Put `folder` at the head of sys.path, once."""
    if not sys.path or sys.path[0] != folder:
        sys.path.insert(0, folder)


def _load_path(place: str) -> ModuleType:
    path = os.path.abspath(place)
    if not os.path.isfile(path):
        try:
            os.stat(path)
        except PermissionError as error:
            hint = "this user needs the right x on every folder that leads there"
            raise AppError(f"{place} cannot be reached: {error.strerror}", hint=hint) from error
        except OSError:
            pass
        what = "is a folder" if os.path.isdir(path) else "does not exist"
        raise AppError(f"{place} {what}", hint=missing_file_hint(place))
    folder, name = os.path.split(path)
    stem, suffix = os.path.splitext(name)
    if suffix != ".py" or "." in stem:
        put_script_first(path)
        return _run_source(place, path, name)
    names = [] if stem == "__init__" else [stem]
    while os.path.isfile(os.path.join(folder, "__init__.py")):
        folder, package = os.path.split(folder)
        names.insert(0, package)
    # Resolved, so that late imports come from the same release when a link such as `current/` is turned to another.
    put_first(os.path.realpath(folder))
    module = _import(".".join(names), place, "")
    loaded = getattr(module, "__file__", None)
    if loaded is None or os.path.realpath(loaded) != os.path.realpath(path):
        message = f"{place} cannot be imported: {module.__name__} is the name of {loaded or 'a part of Python'} too"
        raise AppError(message, hint="rename the file")
    return module


def _import(name: str, place: str, attribute: str) -> ModuleType:
    try:
        return import_module(name)
    except AppError:
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            message = f"there is no module {missing!r}, neither in {sys.path[0]} nor on the rest of Python's path"
            raise AppError(message, hint=missing_module_hint(name, attribute)) from error
        raise failed(f"{place} cannot be imported", error) from error
    except (Exception, SystemExit) as error:
        raise failed(f"{place} cannot be imported", error) from error


def _run_source(place: str, path: str, name: str) -> ModuleType:
    """Run a file that the import system has no name for, such as `dispatch.fcgi`.

    It is compiled afresh each time, since `dispatch.fcgi` and `dispatch.py` would share one cached file.
    """
    code = compile_source(place, path)
    # Not "__main__": what stands below `if __name__ == "__main__"` would start a server of its own. And the whole name,
    # for beside blog.fcgi there may well be the blog.py that it imports.
    module = ModuleType(name)
    module.__file__ = path
    sys.modules[name] = module
    try:
        exec(code, module.__dict__)
    except AppError:
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise failed(f"{place} cannot be run", error) from error
    return module


def compile_source(place: str, path: str) -> CodeType:
    """Compile a script.

    Raises:
        AppError: it cannot be read, or is no Python.
    """
    try:
        with open(path, "rb") as file:
            source = file.read()
    except OSError as error:
        raise AppError(f"{place} cannot be read: {error.strerror}") from error
    first = source.partition(b"\n")[0].strip()
    if first.startswith(b"#!") and b"python" not in first:
        raise AppError(f"{place} is not a Python script: its first line is {first.decode('latin-1')}")
    try:
        return compile(source, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        raise failed(f"{place} cannot be run", error) from error


def failed(what: str, error: BaseException) -> AppError:
    """The error of an application that was found, and whose own code then failed."""
    traceback = trace_without(error, OURS)
    if isinstance(error, SystemExit):
        hint = 'put what a script does on its own below: if __name__ == "__main__":'
        return AppError(f"{what}: it ended the process (SystemExit: {error.code})", traceback, hint)
    if isinstance(error, ModuleNotFoundError) and error.name and error.name.partition(".")[0] not in sys.modules:
        hint = shadow_hint(error) or not_installed_hint(error.name, error)
        return AppError(f"{what}: it imports {error.name!r}, which is not installed", traceback, hint)
    message = f"{what}: {type(error).__name__}: {error}".splitlines()[0]
    return AppError(message, traceback, shadow_hint(error))


def default_of(module: ModuleType, place: str, lack: str = "has neither 'app' nor 'application'") -> Application:
    """The `app` or `application` of a module.

    Args:
        lack: what is said of `place` where there is none.

    Raises:
        AppError: it has neither, or what it has is none.
    """
    for name in _DEFAULT_NAMES:
        value = _get(module, name, place)
        if value is not _NOTHING:
            return _checked(value, f"{place}:{name}")
    raise AppError(f"{place} {lack}", hint=attribute_hint(module, place, "app"))


def _attribute(module: ModuleType, place: str, attribute: str) -> Application:
    dotted, arguments, keywords = _parse(place, attribute)
    value: object = module
    for name in dotted:
        holder, value = value, _get(value, name, place)
        if value is _NOTHING:
            hint = attribute_hint(module, place, name) if holder is module else ""
            raise AppError(f"{place} has no attribute {'.'.join(dotted)!r}", hint=hint)
    what = f"{place}:{attribute}"
    if arguments is not None:
        if not callable(value):
            raise AppError(f"{what} cannot be called: {'.'.join(dotted)} is of type {type(value).__name__}")
        try:
            value = value(*arguments, **keywords)
        except (Exception, SystemExit) as error:
            raise failed(f"{what} failed", error) from error
    return _checked(value, what)


def _get(holder: object, name: str, place: str) -> object:
    """One attribute or _NOTHING. A module may make its own on demand (PEP 562), and fail at that in its own way."""
    try:
        return getattr(holder, name)
    except AttributeError:
        return _NOTHING
    except (Exception, SystemExit) as error:
        raise failed(f"{place}:{name} failed", error) from error


def _parse(place: str, attribute: str) -> tuple[list[str], list[object] | None, dict[str, object]]:
    """`a.b` -> (["a", "b"], None, {});  `a.b(1, x=2)` -> (["a", "b"], [1], {"x": 2})."""
    dotted, bracket, _ = attribute.partition("(")
    names = [name.strip() for name in dotted.split(".")]
    if all(name.isidentifier() for name in names):
        if not bracket:
            return names, None, {}
        import ast  # only the call form needs it, and it costs a few milliseconds

        try:
            call = ast.parse(attribute.strip(), mode="eval").body
            if isinstance(call, ast.Call) and ast.unparse(call.func) == ".".join(names):
                arguments: list[object] = [ast.literal_eval(node) for node in call.args]
                keywords: dict[str, object] = {k.arg: ast.literal_eval(k.value) for k in call.keywords if k.arg}
                if len(keywords) == len(call.keywords):  # else there is a **name among them
                    return names, arguments, keywords
        except (SyntaxError, ValueError):
            pass
    message = f"{attribute!r} in {place}:{attribute} is neither a name nor a call with plain values"
    raise AppError(message, hint='write it as blog:app, blog:site.app or blog:create_app("production")')


def _checked(value: object, what: str) -> Application:
    if isinstance(value, ModuleType):
        raise AppError(f"{what} is a module", hint=attribute_hint(value, value.__name__, "app"))
    if isinstance(value, Mapping):
        return value
    if not callable(value):
        raise AppError(f"{what} cannot be called: it is of type {type(value).__name__}")
    if isinstance(value, FunctionType):
        code = value.__code__
        if code.co_argcount == 0 and not code.co_flags & _HAS_STAR_ARGS:
            raise AppError(f"{what} takes no arguments, so it is no application", hint=f"did you mean {what}()?")
    return value
