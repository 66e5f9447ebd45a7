"""This file checks that every way of failing to load an application says what to do about it."""

from __future__ import annotations

import errno
import os
import sys

import pytest

from penstock.server.importer import AppError, load

APP = "def app(environ, start_response):\n    return [b'hello']\n"


def failure(target: str) -> AppError:
    with pytest.raises(AppError) as caught:
        load(target)
    assert "\n" not in caught.value.message
    assert "\n" not in caught.value.hint
    return caught.value


# -- what is not there


@pytest.mark.parametrize("target", ["", ":app", ".blog:app", "..:app"])
def test_a_target_without_a_module_is_refused(site, target):
    assert "names no module" in failure(target).message


@pytest.mark.parametrize(
    ("target", "hint"),
    [
        ("ps_blgo:app", "did you mean ps_blog:app?"),
        ("ps_blgo", "did you mean ps_blog?"),
        ("ps_pkg.wsgo:application", "did you mean ps_pkg.wsgi:application?"),
        ("ps_pgk.wsgi:app", "did you mean ps_pkg:app?"),
        ("ps_blog.app", "did you mean ps_blog:app?"),
    ],
)
def test_a_module_that_is_not_there_is_told_from_one_that_fails_and_the_nearest_is_named(site, target, hint):
    site("ps_blog.py", APP)
    site("ps_pkg/__init__.py")
    site("ps_pkg/wsgi.py", APP)
    error = failure(target)
    assert error.message.startswith("there is no module")
    assert error.hint == hint
    assert error.traceback == ""


def test_without_a_near_name_the_modules_of_the_folder_are_listed(site):
    site("ps_blog.py", APP)
    site("ps_shop.py", APP)
    assert failure("quite_different").hint == "modules here: ps_blog, ps_shop"


def test_a_module_below_src_is_pointed_at(site):
    site("src/ps_blog/__init__.py", APP)
    assert "below src/" in failure("ps_blog:app").hint


@pytest.mark.parametrize(
    ("target", "message", "hint"),
    [
        ("blog/ap.py", "blog/ap.py does not exist", "did you mean blog/app.py?"),
        ("blog/app", "blog/app does not exist", "did you mean blog/app.py?"),
        ("blog/", "blog/ is a folder", "did you mean blog/app.py?"),
        ("bolg/app.py", "bolg/app.py does not exist", "there is no folder bolg"),
    ],
)
def test_a_file_that_is_not_there_is_told_with_the_nearest_that_is(site, target, message, hint):
    site("blog/app.py", APP)
    error = failure(target)
    assert (error.message, error.hint) == (message, hint)


def test_a_file_behind_a_folder_that_is_shut_is_not_said_to_be_missing(site, monkeypatch):
    site("blog/app.py", APP)
    stat = os.stat

    def shut(path, **options):
        if "blog/" in os.fspath(path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
        return stat(path, **options)

    monkeypatch.setattr(os, "stat", shut)
    error = failure("blog/app.py")
    assert error.message == "blog/app.py cannot be reached: Permission denied"
    assert error.hint == "this user needs the right x on every folder that leads there"


def test_a_folder_that_cannot_be_listed_costs_the_hint_alone(site, monkeypatch):
    site("blog/app.py", APP)
    monkeypatch.setattr(os, "listdir", lambda folder: os.open("/proc/self/no", os.O_RDONLY))
    error = failure("blog/ap.py")
    assert (error.message, error.hint) == ("blog/ap.py does not exist", "")


@pytest.mark.parametrize(
    ("source", "target", "hint"),
    [
        (APP, "ps_blog:ap", "did you mean ps_blog:app?"),
        (APP, "ps_blog.py:ap", "did you mean ps_blog.py:app?"),
        ("def create_app(): pass", "ps_blog", "did you mean ps_blog:create_app()?"),
        ("def creat_app(): pass", "ps_blog:create_app", "did you mean ps_blog:creat_app()?"),
        ("class Site:\n  def __call__(s, e, r): pass\nthing = Site()", "ps_blog", "did you mean ps_blog:thing?"),
        ("def one(e, s): pass\ndef two(e, s): pass", "ps_blog", "what can be called there: one, two"),
        ("x = 1", "ps_blog", "nothing there can be called"),
        ("import ps_other as other", "ps_blog:other", "did you mean ps_other:app?"),
        ("import ps_empty as empty", "ps_blog:empty", "nothing there can be called"),
    ],
)
def test_an_attribute_that_is_not_there_is_told_with_the_nearest_that_can_be_called(site, source, target, hint):
    site("ps_blog.py", source)
    site("ps_other.py", APP)
    site("ps_empty.py", "")
    assert failure(target).hint == hint


def test_a_package_whose_application_lies_one_module_deeper_says_where(site):
    site("ps_pkg/__init__.py")
    site("ps_pkg/wsgi.py", "application = print")
    assert failure("ps_pkg").hint == "did you mean ps_pkg.wsgi:application?"


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("text", "ps_blog:text cannot be called: it is of type str"),
        ("nothing", "ps_blog:nothing cannot be called: it is of type NoneType"),
        ("text()", "ps_blog:text() cannot be called: text is of type str"),
        ("os", "ps_blog:os is a module"),
        ("make", "ps_blog:make takes no arguments, so it is no application"),
        ("make()", "ps_blog:make() cannot be called: it is of type NoneType"),
        ("a b", "'a b' in ps_blog:a b is neither a name nor a call with plain values"),
        ("make(os)", "'make(os)' in ps_blog:make(os) is neither a name nor a call with plain values"),
        ("make(**{})", "'make(**{})' in ps_blog:make(**{}) is neither a name nor a call with plain values"),
        ("make()()", "'make()()' in ps_blog:make()() is neither a name nor a call with plain values"),
        ("make(1).app", "'make(1).app' in ps_blog:make(1).app is neither a name nor a call with plain values"),
    ],
)
def test_what_cannot_be_an_application_is_refused_with_what_it_is(site, attribute, message):
    site("ps_blog.py", "import os\ntext = ''\nnothing = None\ndef make(): pass\n")
    assert failure(f"ps_blog:{attribute}").message == message


def test_a_factory_that_was_not_called_is_recognised(site):
    site("ps_blog.py", "def make(): return print\n")
    assert failure("ps_blog:make").hint == "did you mean ps_blog:make()?"


# -- what fails as it is loaded


def test_a_missing_dependency_is_told_from_a_missing_module(site):
    site("ps_blog.py", "import ps_requests_is_not_here\n" + APP)
    error = failure("ps_blog:app")
    assert error.message == "ps_blog cannot be imported: it imports 'ps_requests_is_not_here', which is not installed"
    assert "import ps_requests_is_not_here" in error.traceback
    assert "install" in error.hint


def test_a_dependency_missing_in_penstock_s_environment_but_not_in_the_active_one_says_which_is_which(
    site, monkeypatch
):
    site("ps_blog.py", "import ps_requests_is_not_here\n")
    monkeypatch.setenv("VIRTUAL_ENV", "/srv/venv")
    assert failure("ps_blog").hint == (
        f"penstock runs from {sys.prefix}, but the active environment is /srv/venv: install penstock there too"
    )


def test_a_neighbour_in_the_same_package_that_is_imported_as_if_it_stood_alone_says_how_to_reach_it(site):
    site("ps_blog/__init__.py")
    site("ps_blog/ps_models.py")
    site("ps_blog/app.py", "import ps_models\n")
    assert "import it relative to its package" in failure("ps_blog/app.py").hint


def test_the_traceback_holds_the_user_s_frames_and_neither_importlib_s_nor_ours(site, tmp_path):
    site("ps_helper.py", "def work():\n    return 1 / 0\n")
    site("ps_blog.py", "import ps_helper\nps_helper.work()\n")
    error = failure("ps_blog:app")
    assert error.message == "ps_blog cannot be imported: ZeroDivisionError: division by zero"
    assert error.traceback.startswith("Traceback (most recent call last):\n")
    assert error.traceback.count('  File "') == 2
    assert error.traceback.index("ps_blog.py") < error.traceback.index("ps_helper.py")
    assert "importlib" not in error.traceback


def test_the_causes_of_an_error_are_cut_in_the_same_way(site):
    site("ps_broken.py", "1 / 0\n")
    site("ps_blog.py", "try:\n    import ps_broken\nexcept Exception as e:\n    raise RuntimeError('no') from e\n")
    trace = failure("ps_blog").traceback
    assert "ZeroDivisionError" in trace
    assert trace.count('  File "') == 3
    assert "importlib" not in trace


def test_a_syntax_error_is_shown_with_its_line_and_without_any_frame(site):
    path = site("ps_blog.py", "def app(:\n    pass\n")
    error = failure("ps_blog")
    assert "SyntaxError" in error.message
    assert error.traceback.startswith(f'  File "{path}", line 1\n    def app(:\n')
    assert "Traceback" not in error.traceback


def test_an_application_that_ends_the_process_is_an_error_too(site):
    site("ps_blog.py", "import sys\nsys.exit(7)\n")
    error = failure("ps_blog")
    assert error.message == "ps_blog cannot be imported: it ended the process (SystemExit: 7)"
    assert "__main__" in error.hint
    assert "sys.exit(7)" in error.traceback


def test_ctrl_c_while_it_is_imported_is_not_an_error_of_the_application(site):
    site("ps_blog.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        load("ps_blog")


def test_a_factory_that_fails_shows_its_own_frames(site):
    site("ps_blog.py", "def make():\n    raise ValueError('two\\nlines')\n")
    error = failure("ps_blog:make()")
    assert error.message == "ps_blog:make() failed: ValueError: two"
    assert error.traceback.count('  File "') == 1


def test_an_attribute_made_on_demand_that_fails_shows_its_own_frames(site):
    site("ps_blog.py", "def __getattr__(name):\n    raise RuntimeError('not yet')\n")
    assert failure("ps_blog:app").message == "ps_blog:app failed: RuntimeError: not yet"


def test_the_report_ends_with_the_sentence_and_the_hint(site):
    site("ps_blog.py", "raise SystemExit\n")
    lines = failure("ps_blog").report().splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-2].startswith("ps_blog cannot be imported")
    assert lines[-1].startswith("put what a script does")


# -- names that belong to somebody else


def test_a_file_that_hides_an_installed_package_is_named(site):
    path = site("flask.py", "from flask import Flask\napp = Flask(__name__)\n")
    sys.modules.pop("flask", None)
    assert failure("flask:app").hint == f"{path} hides the module flask that is installed: rename it"


def test_a_file_that_hides_a_module_of_the_standard_library_is_named(site, monkeypatch):
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    path = site("colorsys.py")
    site("ps_blog.py", "import colorsys\ncolorsys.hsv_to_rgb(0, 0, 0)\n")
    assert failure("ps_blog").hint == f"{path} hides the module colorsys of the standard library: rename it"


def test_a_file_whose_name_was_taken_before_it_is_not_mistaken_for_the_other(site):
    path = site("signal.py", APP)
    assert failure("signal.py").message.startswith("signal.py cannot be imported: signal is the name of")
    assert failure("signal:app").hint.endswith(f"not from {path}: rename your file")
