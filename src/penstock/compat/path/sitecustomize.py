"""This file is run when a Python program starts that has this folder on PYTHONPATH; it only says where to look.

Any program may start with that PYTHONPATH, and any Python: so nothing is imported here, no syntax is newer than Python
2, and the sitecustomize that would have run without this one runs all the same.
"""

# ruff: noqa: UP031, UP036 - for older Pythons

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))


class _Last:
    """Looks for what nobody else has found."""

    @staticmethod
    def find_spec(name, path=None, target=None):  # type: ignore[no-untyped-def]
        if name == "penstock":
            # The Python that a script names in its first line may be another than that which has penstock installed.
            if sys.version_info < (3, 11):
                raise ImportError("penstock needs Python 3.11 or newer, and this is %d.%d" % sys.version_info[:2])
            from importlib.util import spec_from_file_location

            folder = os.path.dirname(os.path.dirname(_HERE))
            file = os.path.join(folder, "__init__.py")
            return spec_from_file_location(name, file, submodule_search_locations=[folder])
        if name in ("cgi", "cgitb", "django.core.servers.fastcgi"):
            from penstock.compat.aliases import Missing

            return Missing.find_spec(name, path, target)
        return None


def _run_the_next():  # type: ignore[no-untyped-def]
    before = [os.path.abspath(folder) for folder in sys.path]
    sys.path[:] = [folder for folder in sys.path if os.path.abspath(folder) != _HERE]
    ours = sys.modules.pop("sitecustomize")
    try:
        __import__("sitecustomize")
    except ImportError:
        # Its own failures are for `site` to report.
        if "sitecustomize" not in str(sys.exc_info()[1]):
            raise
        sys.modules["sitecustomize"] = ours
    finally:
        # Where it was: the other one may have changed the rest.
        sys.path.insert(before.index(_HERE) if _HERE in before else 0, _HERE)


if sys.version_info >= (3, 4):
    sys.meta_path.append(_Last)
_run_the_next()  # type: ignore[no-untyped-call]
