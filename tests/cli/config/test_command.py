"""This file tests `penstock config` on the command line: what it writes where, what it refuses, what it warns of."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tomllib

import pytest

from penstock.cli.config import checks
from penstock.cli.config.servers import SERVERS
from penstock.cli.main import main
from tests.processes import ROOT, environment


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A folder of one's own to stand in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_text_goes_to_standard_output_and_nothing_else_does(capsys):
    assert main(["config", "nginx", "blog:app", "--bind", "127.0.0.1:9000", "--server-name", "a.test"]) == 0
    said = capsys.readouterr()
    assert "server_name a.test;" in said.out
    assert "server 127.0.0.1:9000;" in said.out
    assert said.err == ""


def test_an_alias_is_the_same(capsys):
    assert main(["config", "apache", "blog:app"]) == 0
    short = capsys.readouterr().out
    assert main(["config", "apache-proxy-fcgi", "blog:app"]) == 0
    assert capsys.readouterr().out == short


def test_the_help_names_every_server(capsys):
    assert main(["config", "--help"]) == 0
    shown = "".join(capsys.readouterr().out.split())  # a line may end at a hyphen
    assert [name for name in SERVERS if f"{name}," not in shown and f"{name}." not in shown] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["ngnix", "b"], "there is no template for 'ngnix'; did you mean nginx?"),
        (["nginx", "b", "--mount", "app"], "--mount: 'app' does not begin with a slash; did you mean /app?"),
        (["nginx", "b", "--static", "/s=no"], "there is no directory"),
        (["nginx", "b", "--static", "/s"], "--static: '/s' does not say which directory"),
        (["nginx", "b", "--tls-cert", "no.pem", "--tls-key", "no.pem"], "--tls-cert: there is no file"),
        (["nginx", "b", "--full", "--state-dir", "no"], "--state-dir: there is no directory"),
        (["haproxy", "b", "--static", "/s=no"], "haproxy takes no --static: it serves no files"),
        (["openbsd-httpd", "b", "--full", "--user", "no-such-user"], "openbsd-httpd takes no --full"),
        (["apache-fcgid-htaccess", "/my blog/b.fcgi"], "holds ' ', which mod_fcgid takes apart"),
        (["nginx", "b\n"], "APP: 'b\\n' holds a control character"),
        (["haproxy", "b", "--bind", "unix:/a$b"], "holds '$', which cannot be written in an address of HAProxy"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence_with_2(arguments, said, capsys):
    ended = main(["config", *arguments])
    shown = capsys.readouterr()
    assert ended == 2
    assert shown.out == ""
    assert shown.err.startswith("penstock config: ")
    assert said in shown.err.partition("\n")[0]
    assert shown.err.count("\n") == 2  # the sentence, and where the help is


def test_code_that_anybody_may_change_is_not_served(here, capsys):
    (here / "blog.py").touch()
    here.chmod(0o777)
    assert main(["config", "nginx", "blog:app"]) == 2
    assert f"APP: anybody may write into {here}, and with that run code as your application" in capsys.readouterr().err
    folder = here / "my site"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / "blog.py").touch()
    assert main(["config", "nginx", "my site/blog.py"]) == 2
    assert f"; chmod o-w '{folder}'\n" in capsys.readouterr().err
    here.chmod(0o1777)
    assert main(["config", "nginx", "blog:app"]) == 0


def test_an_interpreter_that_the_web_server_cannot_reach_is_warned_of(here, capsys, monkeypatch):
    home = here / "home"
    home.mkdir(mode=0o700)
    (home / "python").touch()
    (here / "blog.py").touch()
    monkeypatch.setattr(sys, "executable", str(home / "python"))
    monkeypatch.setattr(checks, "_may", lambda user, path, right: path != str(home))
    assert main(["config", "apache-fcgid", "blog:app"]) == 0
    said = capsys.readouterr()
    assert said.err == (
        f"penstock config: www-data may not enter {home}, so apache-fcgid will not reach {home / 'python'}\n"
    )
    assert f"{home}/python -m penstock serve {here}/blog.py:app" in said.out
    assert main(["config", "nginx", "blog:app"]) == 0
    assert capsys.readouterr().err == ""


def test_sockets_that_the_web_server_could_not_make_are_refused(here, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(checks, "_may", lambda user, path, right: right != os.W_OK)
    monkeypatch.setattr(checks, "_is_user", lambda name: True)
    (here / "blog.py").touch()
    assert main(["config", "lighttpd-bin-path", "blog:app", "--full"]) == 2
    assert f"www-data may not write into {here}" in capsys.readouterr().err
    assert main(["config", "lighttpd", "blog:app", "--full"]) == 0


@pytest.mark.parametrize(("uid", "user"), [(0, True), (1000, False)])
def test_a_whole_file_changes_its_user_only_for_root(uid, user, capsys, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(checks, "_is_user", lambda name: True)
    assert main(["config", "nginx", "blog:app", "--full"]) == 0
    said = capsys.readouterr()
    assert ("\nuser www-data " in said.out) is user
    assert ("--socket-group www-data" in said.out) is user


@pytest.mark.parametrize(
    ("uid", "gids", "mode", "right", "may"),
    [
        ("owner", [], 0o100, os.X_OK, True),
        ("owner", [], 0o477, os.X_OK, False),
        ("other", ["group"], 0o710, os.X_OK, True),
        ("other", ["group"], 0o701, os.X_OK, False),
        ("other", [], 0o711, os.X_OK, True),
        ("other", [], 0o711, os.W_OK, False),
        ("root", [], 0o000, os.W_OK, True),
    ],
)
def test_modes_decide_what_a_user_may(here, monkeypatch, uid, gids, mode, right, may):
    found = os.stat(here)
    numbers = {"owner": 4711, "other": 4712, "root": 0, "group": found.st_gid}
    monkeypatch.setattr(os, "stat", lambda path: os.stat_result((mode, 0, 0, 1, 4711, found.st_gid, 0, 0, 0, 0)))
    monkeypatch.setattr(pwd, "getpwnam", lambda name: pwd.struct_passwd((name, "", numbers[uid], 1, "", "", "")))
    monkeypatch.setattr(os, "getgrouplist", lambda name, gid: [numbers[gid] for gid in gids])
    assert checks._may("somebody", str(here), right) is may


def test_nothing_is_said_of_a_user_that_this_machine_does_not_have(here):
    here.chmod(0)
    assert checks._may("no-such-user", str(here), os.X_OK)
    here.chmod(0o700)


def test_the_first_folder_that_is_shut_is_named(here, monkeypatch):
    (here / "a" / "b").mkdir(parents=True)
    monkeypatch.setattr(checks, "_may", lambda user, path, right: not path.endswith("/a"))
    assert checks._shut_folder(str(here / "a" / "b" / "no"), "www-data") == str(here / "a")
    assert checks._shut_folder(str(here / "c"), "www-data") == ""


def test_a_script_that_cannot_be_started_is_warned_of(here, capsys):
    script = here / "dispatch.fcgi"
    script.touch(mode=0o644)
    assert main(["config", "apache-fcgid-htaccess", "dispatch.fcgi"]) == 0
    assert f"{script} is not executable, so apache-fcgid-htaccess cannot start it; chmod 755" in capsys.readouterr().err


def test_a_whole_file_needs_a_user_that_is_there(capsys):
    assert main(["config", "nginx", "blog:app", "--full", "--user", "no-such-user"]) == 2
    assert "--full: there is no user 'no-such-user' on this machine; name the web server's with --user" in (
        capsys.readouterr().err
    )
    assert main(["config", "nginx", "blog:app", "--user", "no-such-user"]) == 0


def test_what_serves_carries_no_template_engine():
    program = "import sys, penstock.cli.main, penstock.cli.serve; print('jinja2' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], env=environment(), capture_output=True, check=True)
    assert ended.stdout == b"False\n"


def test_the_templates_are_packed_with_the_modules():
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]
    package = ROOT / "src" / "penstock"
    globbed = {path for pattern in packed["penstock"] for path in package.glob(pattern)}
    assert globbed >= set((package / "cli" / "config" / "templates").iterdir())
