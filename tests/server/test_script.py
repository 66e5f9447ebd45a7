"""This file tests what is found out about a script before it runs; tests/compat/scripts has whole ones."""

from __future__ import annotations

import os
import signal

import pytest

from penstock.server.importer import AppError
from penstock.server.importhints import not_installed_hint
from penstock.server.script import Stopped, load_script


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a file in a fresh current folder."""
    monkeypatch.chdir(tmp_path)

    def write(name, text=""):
        (tmp_path / name).write_text(text)
        return name

    return write


@pytest.mark.parametrize("target", ["blog:app", "blog", "blog.py", "./blog.py", "missing.fcgi", "site.fcgi:app", "."])
def test_what_can_be_imported_and_what_is_not_there_is_no_script(target, write):
    write("blog.py")
    write("site.fcgi")
    assert load_script(target) is None


@pytest.mark.parametrize("target", ["site.fcgi", "./site.cgi", "./site"])
def test_a_file_that_cannot_be_imported_is_a_script_and_is_not_run_yet(target, write):
    write(os.path.basename(target), "raise LookupError")
    script = load_script(target)
    assert script is not None
    assert script.place == target


def test_a_script_in_another_language_is_refused(write):
    with pytest.raises(AppError, match="is not a Python script: its first line is #!/usr/bin/perl"):
        load_script(write("site.fcgi", "#!/usr/bin/perl\n"))


def test_a_mistake_in_its_syntax_is_found_before_it_runs(write):
    with pytest.raises(AppError, match=r"site.fcgi cannot be run: SyntaxError: invalid syntax") as caught:
        load_script(write("site.fcgi", "raise LookupError\nx =\n"))
    assert "line 2" in caught.value.traceback


def test_a_stop_signal_is_noticed_whoever_handles_it():
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with Stopped() as stopped:
            assert not stopped()
            signal.raise_signal(signal.SIGUSR1)
            assert stopped()
            assert stopped()
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_another_signal_is_no_stop():
    before = signal.signal(signal.SIGUSR2, lambda *_: None)
    try:
        with Stopped() as stopped:
            signal.raise_signal(signal.SIGUSR2)
            assert not stopped()
    finally:
        signal.signal(signal.SIGUSR2, before)


@pytest.mark.parametrize(
    ("module", "hint"),
    [
        ("cgi", "pip install 'penstock[legacy]'"),
        ("cgitb", "pip install 'penstock[legacy]'"),
        ("flup.server.fcgi", "penstock has it as penstock.compat.flup"),
        ("jon", "scripts that end in .fcgi"),
    ],
)
def test_for_old_names_that_a_module_imports_there_is_a_hint(module, hint):
    assert hint in not_installed_hint(module, ModuleNotFoundError())
