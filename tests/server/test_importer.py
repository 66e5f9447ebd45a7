"""This file checks what APP may look like and what is loaded then."""

from __future__ import annotations

import os
import subprocess
import sys
from types import FunctionType

import pytest

from penstock.server.hosting import is_hosted
from penstock.server.importer import AppError, has_old_name, load, use_old_names
from tests.processes import environment

APP = "def app(environ, start_response):\n    return [b'hello']\n"


def name_of(target: str) -> str:
    app = load(target)
    assert isinstance(app, FunctionType)
    return app.__name__


# -- what APP may look like


@pytest.mark.parametrize("target", ["ps_blog:app", "ps_blog", "ps_blog.py", "ps_blog.py:app", "./ps_blog.py"])
def test_a_module_and_a_file_name_the_same_application(site, target):
    site("ps_blog.py", APP)
    assert name_of(target) == "app"


def test_an_application_called_application_is_found_without_being_named(site):
    site("ps_blog.py", APP.replace("app", "application"))
    assert name_of("ps_blog") == "application"


def test_app_goes_before_application(site):
    site("ps_blog.py", APP + APP.replace("app", "application"))
    assert name_of("ps_blog") == "app"


def test_the_attribute_may_be_dotted(site):
    site("ps_blog.py", "class site:\n  class inner:\n    def wsgi(environ, start_response): pass\n")
    assert name_of("ps_blog:site.inner.wsgi") == "wsgi"


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ("make()", "None/1"),
        ("make('red')", "red/1"),
        ("make('red', size=2)", "red/2"),
        ("make(size=-3)", "None/-3"),
        ("tools.make('a:b')", "a:b/1"),
    ],
)
def test_the_attribute_may_be_a_call_with_plain_values(site, call, expected):
    site(
        "ps_blog.py",
        "def make(name=None, size=1):\n  def app(e, s): pass\n  app.__name__ = f'{name}/{size}'\n  return app\n"
        "class tools:\n  make = make\n",
    )
    assert name_of(f"ps_blog:{call}") == expected


def test_an_attribute_that_the_module_makes_on_demand_is_found(site):
    site("ps_blog.py", "def __getattr__(name):\n  if name == 'app': return print\n  raise AttributeError(name)\n")
    assert load("ps_blog") is print


def test_a_module_comes_from_the_current_folder_before_the_rest_of_the_path(site, monkeypatch, tmp_path):
    site("elsewhere/ps_blog.py", "app = 1")
    monkeypatch.syspath_prepend(str(tmp_path / "elsewhere"))
    site("ps_blog.py", APP)
    assert name_of("ps_blog:app") == "app"


def test_the_folder_of_a_file_comes_first_so_that_its_neighbours_can_be_imported(site, tmp_path):
    site("blog/ps_models.py", "title = 'x'")
    site("blog/ps_app.py", "import ps_models\n" + APP)
    assert name_of("blog/ps_app.py") == "app"
    assert sys.path[0] == str(tmp_path / "blog")


def test_a_file_in_a_package_is_imported_as_a_part_of_the_package(site, tmp_path):
    site("top/ps_blog/__init__.py")
    site("top/ps_blog/sub/__init__.py")
    site("top/ps_blog/models.py", "title = 'x'")
    site("top/ps_blog/sub/app.py", "from ..models import title\n" + APP)
    assert load("top/ps_blog/sub/app.py").__module__ == "ps_blog.sub.app"
    assert sys.path[0] == str(tmp_path / "top")


def test_a_link_to_a_folder_is_resolved_on_the_path_but_keeps_its_name_as_a_package(site, tmp_path):
    site("releases/7/ps_app.py", APP)
    site("releases/7/__init__.py")
    os.symlink("7", tmp_path / "releases" / "ps_current")
    os.symlink("releases", tmp_path / "live")
    assert load("live/ps_current/ps_app.py").__module__ == "ps_current.ps_app"
    assert sys.path[0] == str(tmp_path / "releases")


def test_the_path_of_a_package_s_own_file_loads_the_package(site):
    site("ps_blog/__init__.py", APP)
    assert load("ps_blog/__init__.py").__module__ == "ps_blog"


def test_a_folder_on_the_path_is_put_there_once(site):
    site("ps_blog.py", APP)
    load("ps_blog")
    load("ps_blog")
    assert sys.path.count(os.getcwd()) == 1


def test_a_file_name_that_no_import_statement_could_write_is_loaded_all_the_same(site):
    site("ps.blog-2.py", APP)
    assert name_of("ps.blog-2.py") == "app"


def test_a_class_and_an_object_with_call_are_applications(site):
    site(
        "ps_blog.py",
        "class A:\n  def __init__(self, e, s): pass\nclass B:\n  def __call__(self, e, s): pass\nb = B()\n",
    )
    assert load("ps_blog:A").__class__ is type
    assert type(load("ps_blog:b")).__name__ == "B"


def test_a_function_that_takes_any_arguments_is_an_application(site):
    site("ps_blog.py", "def app(*args): pass")
    assert name_of("ps_blog") == "app"


# -- .fcgi scripts


def test_an_fcgi_script_is_loaded_as_python_and_its_main_part_does_not_run(site):
    site("dispatch.fcgi", "#!/usr/bin/env python3\n" + APP + "if __name__ == '__main__':\n    raise SystemExit\n")
    assert name_of("dispatch.fcgi") == "app"


def test_an_fcgi_script_may_import_a_module_with_its_own_name(site):
    site("ps_blog.py", APP)
    assert load(site("ps_blog.fcgi", "from ps_blog import app")).__module__ == "ps_blog"


def test_an_fcgi_script_finds_old_names_behind_its_own_folder(site, tmp_path):
    site("old/ps_old.py", "name = 'old'")
    site("old/ps_both.py", "name = 'old'")
    site("site/ps_both.py", "name = 'own'")
    use_old_names(str(tmp_path / "old"))
    try:
        load(
            site(
                "site/dispatch.fcgi",
                f"import ps_old, ps_both\nassert (ps_old.name, ps_both.name) == ('old', 'own')\n{APP}",
            )
        )
        assert has_old_name("ps_old")
    finally:
        use_old_names("")
    assert not has_old_name("ps_old")


@pytest.mark.parametrize("name", ["ps_serving.py", "serving.fcgi"])
def test_an_application_that_begins_to_serve_while_it_is_loaded_is_told_where_that_belongs(site, name):
    site(name, f"import penstock\n{APP}\npenstock.serve(app)")
    with pytest.raises(AppError, match=f"{name} begins to serve while it is loaded") as caught:
        load(name)
    assert 'if __name__ == "__main__":' in caught.value.hint
    assert not is_hosted()


def test_an_fcgi_script_leaves_no_compiled_file_that_a_module_of_its_name_could_find(site, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    load(site("dispatch.fcgi", APP))
    assert [path.name for path in tmp_path.iterdir()] == ["dispatch.fcgi"]


def test_an_fcgi_script_in_another_language_is_refused(site):
    site("dispatch.fcgi", "#!/usr/bin/perl\nuse FCGI;\n")
    with pytest.raises(AppError, match="dispatch.fcgi is not a Python script: its first line is #!/usr/bin/perl"):
        load("dispatch.fcgi")


def test_an_fcgi_script_without_an_application_is_told_what_it_lacks(site):
    site("dispatch.fcgi", "x = 1\n")
    with pytest.raises(AppError, match="dispatch.fcgi has neither 'app' nor 'application'"):
        load("dispatch.fcgi")


# -- what it costs


def test_importing_it_brings_in_nothing_that_only_failures_need():
    heavy = ("difflib", "traceback", "ast", "inspect", "importlib.util", "importlib.machinery")
    code = f"import sys, penstock.server.importer\nprint([name for name in {heavy} if name in sys.modules])"
    # -S: the site module of an environment may have imported some of them before.
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=environment(), capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
