"""This file tests that an old name and ours are one module, in a program with the folder of old names on its path."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from importlib.metadata import Distribution
from pathlib import Path

import pytest

from penstock.compat.aliases import NAMES, PATH, Missing
from tests.processes import PATIENCE, ROOT

HERE = Path(PATH)


def run(code: str, *more: str, path: str = PATH) -> str:
    """What a program prints."""
    env = {"PYTHONPATH": os.pathsep.join((path, *more, str(ROOT / "src"))), "PYTHONDONTWRITEBYTECODE": "1"}
    argv = [sys.executable, "-W", "error", "-c", code]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def modules() -> list[str]:
    """Every module that has an old name: "flup.server.fcgi" and so on."""
    compat = HERE.parent
    files = [path for name in NAMES for path in (compat / f"{name}.py", *(compat / name).rglob("*.py"))]
    names = {".".join(path.relative_to(compat).with_suffix("").parts) for path in files if path.exists()}
    return sorted(name.removesuffix(".__init__") for name in names)


def test_the_folder_has_a_module_for_each_name_and_nothing_else_that_could_be_imported():
    assert {path.stem for path in HERE.glob("*.py")} == NAMES | {"sitecustomize"}


def test_every_module_is_the_same_by_both_names():
    # In another process, and each alone, for what is imported first differs then.
    names = modules()
    assert "flup.server.paste_factory" in names
    assert "jon.fcgi" in names
    code = "import sys, importlib\nfor name in {names!r}:\n    old = importlib.import_module(name)\n"
    code += "    assert old is importlib.import_module('penstock.compat.' + name), name\n"
    code += "    assert old.__name__ == 'penstock.compat.' + name == old.__spec__.name, name\nprint('all')"
    assert run(code.format(names=names)) == "all"
    assert run(code.format(names=names[::-1])) == "all"


@pytest.mark.parametrize(
    "statement",
    [
        "import flup.server.fcgi as m; from flup.server import fcgi; assert m is fcgi",
        "from flup.server.fcgi import WSGIServer; from flup.client.fcgi_app import FCGIApp",
        "from penstock.compat.flup.server.fcgi import WSGIServer; import flup.server.fcgi as m",
        "import jon.cgi as cgi, jon.fcgi as fcgi; import penstock.compat.jon.fcgi as m; assert m is fcgi",
        "from jon import cgi, fcgi; assert fcgi.cgi is cgi",
        "from fcgi import WSGIServer; import fcgi; fcgi.isFCGI, fcgi.Accept",
        "from fastcgi import *; fastcgi, FcgiHandler, os, sys",
        "import flup.server.fcgi; flup.server.fcgi.WSGIServer",
        "import importlib; importlib.import_module('.server.fcgi_fork', 'flup')",
        "__import__('flup.server.scgi').server.scgi.WSGIServer",
    ],
)
def test_programs_may_write_their_imports_as_they_like(statement):
    assert run(f"{statement}\nprint('done')") == "done"


def test_an_instance_of_the_one_is_an_instance_of_the_other():
    assert (
        run(
            "import flup.server.fcgi, penstock.compat.flup.server.fcgi as ours\n"
            "print(isinstance(ours.WSGIServer(len), flup.server.fcgi.WSGIServer))"
        )
        == "True"
    )


@pytest.mark.parametrize("module", ["flup.publisher", "jon.wt", "fcgi.more"])
def test_what_penstock_does_not_have_is_a_sentence(module):
    said = run(f"try:\n    import {module}\nexcept ModuleNotFoundError as error:\n    print(error.name, error)")
    assert (
        said
        == f"{module} penstock has no {module}; what it has of {module[:4].rstrip('.')} is listed in its docs/compat"
    )


def test_the_order_of_the_path_says_whose_module_it_is(tmp_path):
    (tmp_path / "flup").mkdir()
    (tmp_path / "flup" / "__init__.py").touch()
    (tmp_path / "flup" / "server.py").touch()
    code = f"import flup.server; print(flup.server.__name__, flup.__file__.startswith({str(tmp_path)!r}))"
    assert run(code, str(tmp_path)) == "penstock.compat.flup.server False"
    assert run(code, PATH, path=str(tmp_path)) == "flup.server True"


def test_a_really_installed_one_wins_over_a_folder_that_comes_after_it(tmp_path):
    (tmp_path / "jon").mkdir()
    (tmp_path / "jon" / "__init__.py").touch()
    code = f"import sys; sys.path.append({PATH!r}); import jon, flup; print(jon.__name__, flup.__name__)"
    assert run(code, path=str(tmp_path)) == "jon penstock.compat.flup"


def test_djangos_module_is_there_beside_a_django_that_has_lost_it():
    pytest.importorskip("django")
    assert (
        run(
            "import django.core.servers.fastcgi as old; from django.core.servers.fastcgi import runfastcgi\n"
            "import django.core.servers.basehttp\nprint(old.__name__)"
        )
        == "penstock.compat.django_fastcgi"
    )


def test_pastes_entry_points_lead_to_our_factory():
    (distribution,) = Distribution.discover(name="flup", path=[PATH])
    points = {point.name: point for point in distribution.entry_points if point.group == "paste.server_runner"}
    kinds = {f"{protocol}{kind}" for protocol in ("fcgi", "scgi", "ajp") for kind in ("", "_thread", "_fork")}
    assert set(points) == kinds
    factory = importlib.import_module("penstock.compat.flup.server.paste_factory")
    for name, point in points.items():
        module, _, function = point.value.partition(":")
        assert module == "flup.server.paste_factory"
        default = "" if "_" in name else "_thread"
        assert function == f"run_{name}{default}"
        assert callable(getattr(factory, function))


def test_paste_itself_finds_them():
    pytest.importorskip("paste.deploy")
    code = "import warnings\nwarnings.simplefilter('ignore')\nfrom paste.deploy import loadserver\n"
    code += "for name in ('fcgi', 'scgi_fork'):\n    loadserver(f'egg:flup#{name}')\nprint('found')"
    assert run(code) == "found"


@pytest.mark.parametrize("name", ["cgi", "cgitb"])
def test_a_module_that_python_has_lost_is_named_with_what_brings_it_back(name):
    with pytest.raises(ModuleNotFoundError, match=rf"no module {name} .* pip install 'penstock\[legacy\]'"):
        Missing.find_spec(name)
    assert Missing.find_spec("another") is None
