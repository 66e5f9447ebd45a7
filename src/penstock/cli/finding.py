"""This file finds what APP on the command line names: an application, or a script that is to be run."""

from __future__ import annotations

from penstock.server.importer import Application, is_path, load, use_old_names
from penstock.server.script import Script, load_script


def find(app: str) -> Application | Script:
    """The application, imported; or the script, which has been compiled and not run.

    Raises:
        AppError: there is none, or it cannot be loaded.
    """
    script = load_script(app)
    place = app.partition(":")[0]
    if script is not None or (is_path(place) and not place.endswith(".py")):  # dispatch.fcgi:app too
        give_old_names()
    return load(app) if script is None else script


def give_old_names() -> None:
    """Let the scripts that this process loads, and those that it forks, find `flup` and other names of old."""
    # Imported only here, for an application that is a module needs none of them.
    from penstock.compat.aliases import find_old_names

    use_old_names(find_old_names())
