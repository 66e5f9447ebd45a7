"""This file holds `penstock serve` to one clear sentence, and the right exit code, for scripts that it cannot serve."""

from __future__ import annotations

import os

import pytest

from tests.processes import PENSTOCK, ROOT

USELESS = {
    "x = 1": "script.fcgi has neither served anything nor an 'app' or 'application'",
    "import sys; sys.exit(2)": r"script.fcgi cannot be run: it ended the process \(SystemExit: 2\)",
    "x =": "script.fcgi cannot be run: SyntaxError: invalid syntax",
    "import nowhere_at_all": "it imports 'nowhere_at_all', which is not installed",
    "import jon.wt": "penstock has no jon.wt",
    "from jon import wt": r"penstock has jon.cgi and jon.fcgi of jonpy, and no jon.wt",
    "import flup.publisher": "penstock has no flup.publisher",
    "from flup.server.ajp import WSGIServer; WSGIServer(len).run()": "use flup.server.fcgi, and mod_proxy_fcgi",
    "from fastcgi import ThreadedWSGIServer": "of python-fastcgi, and this is fastai's fastcgi",
    "import socket; socket.fromfd(0, 1, 1)": "on descriptor 0, where it finds one if --bind names an address",
}


@pytest.fixture
def run(processes, sock_dir):
    """Runs `penstock serve script.fcgi` on the text of a script, to its end."""

    def run(text, *options, env=None):
        (sock_dir / "script.fcgi").write_text(f"#!/usr/bin/env python3\n{text}\n")
        process = processes.penstock("serve", "script.fcgi", *options, cwd=sock_dir, env=env)
        process.wait()
        return process

    return run


@pytest.mark.parametrize("text", USELESS)
def test_a_script_that_cannot_be_served_is_3_and_a_sentence(text, run, sock_dir):
    process = run(text)
    assert process.wait() == 3
    process.wait_for(USELESS[text])
    assert os.listdir(sock_dir) == ["script.fcgi"]


def test_its_own_frames_alone_are_shown(run):
    process = run("def fail():\n    raise LookupError('on purpose')\nfail()", "--bind", "unix:s")
    assert process.wait() == 3
    assert 'script.fcgi", line 3, in fail' in process.output()
    assert str(ROOT / "src") not in process.output()


def test_no_socket_stays_behind_when_it_fails(run, sock_dir):
    assert run("import nowhere_at_all", "--bind", "unix:s").wait() == 3
    assert os.listdir(sock_dir) == ["script.fcgi"]


def test_an_address_of_its_own_that_cannot_be_listened_at_is_4(run):
    process = run("from flup.server.fcgi import WSGIServer\nWSGIServer(len, bindAddress='/nowhere/s').run()")
    assert process.wait() == 4
    process.wait_for("^penstock serve: cannot listen on unix:/nowhere/s: there is no directory /nowhere")
    assert "Traceback" not in process.output()


def test_a_copy_of_an_old_module_that_this_python_cannot_read_is_named(run, sock_dir):
    (sock_dir / "fcgi.py").write_text("print 'for Python 2'\n")
    process = run("from fcgi import WSGIServer")
    assert process.wait() == 3
    process.wait_for(f"penstock brings a module fcgi of its own: move {sock_dir}/fcgi.py away")


def test_a_module_of_this_name_beside_the_script_comes_first(run, sock_dir):
    (sock_dir / "fcgi.py").write_text("raise LookupError('this one')\n")
    run("import fcgi").wait_for("LookupError: this one")


def test_the_old_names_are_those_of_penstock_also_where_the_real_ones_are_installed(run, sock_dir):
    (sock_dir / "installed").mkdir()
    (sock_dir / "installed" / "flipflop.py").write_text("")
    code = "import sys; sys.path.append('installed'); from penstock.cli.main import main; sys.exit(main())"
    assert PENSTOCK[-1] != code
    process = run(
        "import flipflop, sys; sys.exit(flipflop.__name__)", env={"PYTHONPATH": f"{ROOT}/src:{sock_dir}/installed"}
    )
    process.wait_for("SystemExit: penstock.compat.flipflop")


def test_without_the_module_cgi_the_sentence_names_what_brings_it_back(run, sock_dir):
    # As from Python 3.13 on.
    (sock_dir / "hide").mkdir()
    (sock_dir / "hide" / "sitecustomize.py").write_text(
        "import sys\n"
        "class Hide:\n"
        "    def find_spec(name, path=None, target=None):\n"
        "        if name == 'cgi':\n"
        "            from penstock.compat.aliases import Missing\n"
        "            return Missing.find_spec(name)\n"
        "sys.meta_path.insert(0, Hide)\n"
    )
    process = run("import cgi", env={"PYTHONPATH": f"{ROOT}/src:{sock_dir}/hide"})
    assert process.wait() == 3
    process.wait_for(r"pip install 'penstock\[legacy\]'")
