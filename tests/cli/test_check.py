"""This file tests `penstock check`: what it prints makes the same plan again, and its exit code tells what is wrong."""

from __future__ import annotations

import pytest

from penstock.cli.check import as_toml
from penstock.cli.config_file import ConfigFile
from penstock.cli.planning import make_plan

FILE = """\
pid = "/run/x.pid"
reload_on = ["a", 'b"\\']
probation = "off"
workers = "0..4"
env = { A = "1,2=\\u001b\\U0001F600", "odd name" = "" }

[pool.blog]
app = 'blog:create_app("x")'
bind = ["unix:/run/a b.sock", "127.0.0.1:9000"]
socket_mode = "0600"
stream_body = true
roles = ["responder", "authorizer"]
user = "nobody"
max_memory = "200m"
nice = -5
chdir = "/"

[pool."x.y"]
app = "x"
bind = "fd:3"
access_log = false
"""


def test_what_is_printed_makes_the_same_plan_again():
    plan = make_plan(None, {}, ConfigFile("p.toml", FILE))
    printed = "\n".join(as_toml(plan))
    file = ConfigFile("printed.toml", printed)
    assert file.mistakes == []
    assert make_plan(None, {}, file) == plan


def test_an_application_that_loads_is_0_and_nothing_is_bound(penstock, blog):
    ended = penstock("check", "blog:app", "--threads", "4")
    assert ended.returncode == 0
    assert b"# one process" in ended.stdout
    assert b"threads = 4" in ended.stdout
    assert ended.stderr == b"pool main: blog:app is a WSGI application\n"
    assert sorted(path.name for path in blog.iterdir() if path.name != "__pycache__") == ["blog.py"]


@pytest.mark.parametrize(
    ("source", "words", "what"),
    [
        ("async def app(scope, receive, send): pass\n", (), "an ASGI application"),
        ("def app(scope): pass\n", ("--interface", "asgi"), "an ASGI application"),
        ("import penstock\nclass app(penstock.Handler):\n    def process(self, request): pass\n", (), "a handler"),
    ],
)
def test_it_says_what_kind_of_application_it_is(penstock, blog, source, words, what):
    (blog / "kind.py").write_text(source)
    ended = penstock("check", "kind", *words)
    assert ended.stderr.decode() == f"pool main: kind is {what}\n"
    assert ended.returncode == 0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import nothing_of_this_name\napp = 1\n", "it imports 'nothing_of_this_name', which is not installed"),
        ("app = 3\n", "it is of type int"),
        ("import os\nos._exit(7)\n", "its import ended the process with 7"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)\n", "its import ended the process with -9"),
    ],
)
def test_an_application_that_cannot_be_served_is_3(penstock, blog, source, told):
    (blog / "broken.py").write_text(source)
    ended = penstock("check", "broken:app")
    assert ended.returncode == 3
    assert told in ended.stderr.decode()
    assert ended.stderr.decode().endswith("penstock check: not all applications can be loaded\n")


def test_the_application_of_a_script_is_named_and_finds_old_names_as_the_script_does(penstock, blog):
    source = "from flup.server.fcgi import WSGIServer\ndef app(environ, start_response): pass\n"
    (blog / "dispatch.fcgi").write_text(source + "if __name__ == '__main__':\n    WSGIServer(app).run()\n")
    ended = penstock("check", "dispatch.fcgi:app")
    assert ended.stderr == b"pool main: dispatch.fcgi:app is a WSGI application\n"


def test_a_role_that_a_handler_is_not_for_is_3(penstock, blog):
    (blog / "blog.py").write_text("import penstock\nclass app(penstock.Handler):\n    def process(self, r): pass\n")
    ended = penstock("check", "blog:app", "--roles", "responder,authorizer")
    assert ended.returncode == 3
    assert b"it is for RESPONDER, and not for AUTHORIZER; serve a mapping" in ended.stderr


def test_an_import_without_end_is_ended_at_the_boot_timeout(penstock, blog):
    (blog / "slow.py").write_text("import threading\nthreading.Event().wait()\n")
    ended = penstock("check", "slow:app", "--boot-timeout", "200ms")
    assert ended.returncode == 3
    assert "it was still being imported after 0.2 seconds" in ended.stderr.decode()


def test_each_pool_is_imported_in_its_own_folder_and_environment(penstock, blog):
    for name in ("one", "two"):
        (blog / name).mkdir()
        (blog / name / "site_app.py").write_text(
            f"import os\nassert os.environ['NAME'] == {name!r}\ndef app(environ, start_response): pass\n"
        )
    (blog / "penstock.toml").write_text(
        "".join(
            f"[pool.{name}]\napp = 'site_app'\nbind = 'unix:{name}'\nchdir = '{name}'\nenv = {{ NAME = '{name}' }}\n"
            for name in ("one", "two")
        )
    )
    ended = penstock("check")
    assert ended.stderr.decode().count("site_app is a WSGI application") == 2
    assert ended.returncode == 0


def test_a_wrong_setting_is_2_and_nothing_is_imported(penstock, blog):
    (blog / "loud.py").write_text("import os\nos.write(2, b'imported')\n")
    (blog / "penstock.toml").write_text("app = 'loud'\nworkers = '3..2'\n")
    ended = penstock("check")
    assert ended.returncode == 2
    assert ended.stdout == b""
    assert ended.stderr.decode().startswith("penstock check: penstock.toml:2: workers: the minimum 3 is above")
