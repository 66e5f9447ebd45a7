"""This file runs old programs as web servers do; the old top-level modules are found on PYTHONPATH, as aliases."""

from __future__ import annotations

import os
from pathlib import Path

from penstock.compat.aliases import PATH as OLD_NAMES
from tests.compat.jon.programs import Runner
from tests.processes import ROOT


class OldPrograms(Runner):
    """Runs programs that import an old name."""

    def script(self, text: str) -> Path:
        """Make a program."""
        path = self.folder / "program.fcgi"
        path.write_text(text)
        return path

    def environ(self, more=None):
        paths = (self.folder, OLD_NAMES, ROOT / "src")
        return {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.pathsep.join(map(str, paths)), **(more or {})}


def split(output: bytes) -> tuple[dict[str, str], bytes]:
    """Head and body of what a CGI program has written."""
    head, mark, body = output.partition(b"\r\n\r\n")
    assert mark, output
    return dict(line.split(": ", 1) for line in head.decode("latin-1").split("\r\n")), body
