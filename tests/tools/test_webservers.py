"""This file holds tools/webservers.sh to what the tests ask for, and runs it with a table of its own and no apt."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import WEB_SERVERS
from tests.processes import ROOT

SCRIPT = ROOT / "tools" / "webservers.sh"
TABLE = re.compile(r"^servers='\n(.*?)'", re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path: Path):
    """Runs the script with web servers of which the first alone is there; `apt.sh` has all packages but `none`."""
    script = tmp_path / SCRIPT.name
    table = "servers='\nhere sh here\nmodule /nowhere/module.so module\nmissing no-such-program none\n'"
    script.write_text(TABLE.sub(table, SCRIPT.read_text()))
    apt = tmp_path / "apt.sh"
    apt.write_text('#!/bin/sh\necho "install $*"\ncase " $* " in *" none "*) exit 1 ;; esac\n')
    for file in (script, apt):
        file.chmod(0o755)

    def run(*names: str) -> tuple[list[str], list[str]]:
        """The lines that it prints, on standard output and error; it always ends with 0."""
        ended = subprocess.run([script, *names], capture_output=True, text=True, check=False)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.splitlines(), ended.stderr.splitlines()

    return run


def test_it_knows_each_web_server_of_the_tests():
    table = TABLE.search(SCRIPT.read_text())
    assert table
    assert sorted(line.split()[0].replace("-", "_") for line in table[1].splitlines()) == sorted(WEB_SERVERS)


def test_what_is_there_is_not_installed(run):
    assert run("here") == ([], [])


def test_what_is_missing_is_installed_by_its_name(run):
    assert run("module", "here") == (["install module"], [])


def test_a_package_that_is_nowhere_does_not_keep_the_others_away(run):
    installed, said = run()
    if os.geteuid() == 0:
        assert installed == ["install module none", "install module", "install none"]
        assert said == ["penstock: going on without none"]
    else:
        assert installed == ["install module none"], "who may not install is told once"
        assert said == ["penstock: going on without module", "penstock: going on without none"]
