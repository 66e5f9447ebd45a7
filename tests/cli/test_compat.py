"""This file tests `penstock compat`, whose one line goes into the configuration of web servers."""

from __future__ import annotations

from pathlib import Path

from penstock.cli.main import main
from penstock.compat.aliases import PATH
from tests.processes import PENSTOCK


def test_it_prints_the_folder_and_nothing_else(processes, tmp_path):
    process = processes.start(*PENSTOCK, "compat", "path", cwd=tmp_path)
    assert process.wait() == 0
    assert process.stdout == [PATH]
    assert process.stderr == []
    folder = Path(process.stdout[0])
    assert folder.is_absolute()
    assert (folder / "flup.py").is_file()


def test_another_word_is_wrong_usage(capsys):
    assert main(["compat", "paths"]) == 2
    assert "'paths' is not 'path'" in capsys.readouterr().err


def test_its_help_is_ready_to_be_copied_into_a_configuration(capsys):
    assert main(["compat", "--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert f'FcgidInitialEnv PYTHONPATH "{PATH}"' in shown
    assert f'"bin-environment" => ( "PYTHONPATH" => "{PATH}" )' in shown
