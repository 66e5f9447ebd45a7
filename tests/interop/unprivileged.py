"""This file is about the user that a web server becomes when root starts it, and what that user can reach."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.processes import ROOT

SOURCE = ROOT / "src"


@cache
def web_user() -> str | None:
    """The user that a web server started by root becomes; None when we are not root, and it stays what we are."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in ("www-data", "http", "apache", "nobody") if name in names)


def make_scratch() -> Path:
    """A folder that every user can look into, with a path that is short enough for unix sockets."""
    folder = Path(tempfile.mkdtemp(prefix="ps", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def reach(path: Path) -> None:
    """Give a folder, or a socket that is there, to the user of the web server."""
    if (user := web_user()) is not None:
        entry = pwd.getpwnam(user)
        os.chown(path, entry.pw_uid, entry.pw_gid)


@cache
def find_interpreter() -> str | None:
    """A Python that the user of the web server can run, and that can read this checkout's penstock.

    Ours may be one of root's own, below a home that nobody else may enter; the distribution's is for everybody.
    """
    program = "import penstock, sys; sys.exit(sys.version_info < (3, 11))"
    return next((one for one in (sys.executable, "/usr/bin/python3") if _runs(one, program, str(SOURCE))), None)


def can_import(interpreter: str, module: str, pythonpath: str) -> bool:
    """Whether a program of the web server's user finds this module."""
    return _runs(interpreter, f"import {module}", pythonpath)


def _runs(interpreter: str, program: str, pythonpath: str) -> bool:
    user = web_user()
    try:
        ended = subprocess.run(
            [interpreter, "-c", program],
            user=user,
            group=None if user is None else pwd.getpwnam(user).pw_gid,
            extra_groups=None if user is None else (),
            cwd="/",
            env={"PYTHONPATH": pythonpath},
            capture_output=True,
            check=False,
        )
    except OSError:
        return False
    return ended.returncode == 0
