"""This file tests `penstock` as a whole: help, version, what is said of a wrong word, and what a command loads."""

from __future__ import annotations

import sys

import pytest

from penstock import __version__
from penstock.cli.main import COMMANDS, main
from tests.processes import PENSTOCK

# Costly, and of no use to a process that serves WSGI: each would be carried for months.
HEAVY = {"asyncio", "uvicorn", "watchfiles", "rich", "http.client", "email", "ssl", "ctypes", "multiprocessing"}
MODULES = """\
import sys
def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join(sys.modules).encode()]
"""


def test_the_version_is_the_package_s(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"penstock {__version__}\n"


def test_the_help_fits_one_screen_and_names_every_command(capsys):
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("\n") <= 24
    assert max(map(len, shown.splitlines())) <= 80
    for entry in COMMANDS.values():
        assert entry.usage in shown


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_a_help_of_its_own(command, capsys):
    assert main([command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: penstock {COMMANDS[command].usage.split()[0]} ")
    assert "Exit codes: 0 " in shown


def test_without_a_command_the_help_goes_to_standard_error_and_the_exit_code_is_2(capsys):
    assert main([]) == 2
    said = capsys.readouterr()
    assert "serve APP" in said.err
    assert said.out == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sevre"], "penstock: there is no command 'sevre'; did you mean serve?"),
        (["zzz"], "penstock: there is no command 'zzz'; there are " + ", ".join(COMMANDS)),
        (["serve"], "penstock serve: there is no APP, and no penstock.toml here; "),
        (["serve", "a:b", "extra"], "penstock serve: Got unexpected extra argument"),
        (["serve", "a:b", "--thread", "2"], "penstock serve: No such option"),
        (["--verbose"], "penstock: No such option"),
    ],
)
def test_a_wrong_word_is_answered_with_a_sentence_and_2(arguments, message, capsys):
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.err.startswith(message)
    assert "--help says more" in said.err
    assert said.out == ""


def test_it_runs_as_a_module_too(processes):
    process = processes.start(sys.executable, "-m", "penstock", "--version")
    assert process.wait() == 0
    assert process.stdout == [f"penstock {__version__}"]


def test_serve_carries_nothing_that_serving_does_not_need(serve, penstock, blog):
    (blog / "modules.py").write_text(MODULES)
    _, address = serve(app="modules")
    loaded = set(penstock("request", address, "/").stdout.decode().split())
    assert "penstock.server.threads" in loaded
    assert loaded & HEAVY == set()
    assert not any(name.startswith(("penstock.client", "penstock.cli.dev", "penstock.cli.request")) for name in loaded)


def test_the_overview_loads_no_command(processes):
    code = "import sys; from penstock.cli.main import main; main(['--help']); sys.stderr.write(' '.join(sys.modules))"
    process = processes.start(*PENSTOCK[:-1], code)
    assert process.wait() == 0
    loaded = set(process.stderr[-1].split())
    assert "penstock.cli.main" in loaded
    assert not any(name.startswith("penstock.server") for name in loaded)


@pytest.mark.parametrize(
    "arguments", [["serve", "blog"], ["serve", "blog", "--workers", "2"], ["config", "nginx", "b"]]
)
def test_a_current_folder_that_is_gone_is_one_sentence(arguments, tmp_path, monkeypatch, capsys):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(arguments) == 2
    assert capsys.readouterr().err == "penstock: the current folder is gone; change to one that is there\n"
