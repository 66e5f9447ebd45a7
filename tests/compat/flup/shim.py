"""This file makes a folder for PYTHONPATH in which flup's own module names lead to the facade."""

from __future__ import annotations

from pathlib import Path

from tests.processes import ROOT

FACADE = ROOT / "src" / "penstock" / "compat" / "flup"
PACKAGES = ("server", "client", "middleware")
_FACTORY = "flup.server.paste_factory:run"


def make_shim(folder: Path) -> Path:
    """Make it in an empty folder."""
    top = folder / "flup"
    top.mkdir(parents=True)
    (top / "__init__.py").touch()
    for package in PACKAGES:
        inner = top / package
        inner.mkdir()
        (inner / "__init__.py").write_text(f"from penstock.compat.flup.{package} import *\n")
        for module in (FACADE / package).glob("[a-z]*.py"):
            (inner / module.name).write_text(
                "import sys\n"
                f"from penstock.compat.flup.{package} import {module.stem}\n"
                f"sys.modules[__name__] = {module.stem}\n"
            )
    metadata = folder / "flup-1.0.3.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: flup\nVersion: 1.0.3\n")
    points = [f"{name} = {_FACTORY}_{name}_thread\n" for name in ("fcgi", "scgi", "ajp")]
    points += [
        f"{name}_{kind} = {_FACTORY}_{name}_{kind}\n" for name in ("fcgi", "scgi", "ajp") for kind in ("thread", "fork")
    ]
    (metadata / "entry_points.txt").write_text("[paste.server_runner]\n" + "".join(points))
    return folder
