"""This file tests what happens at the start of a program that has the folder of old names on its path."""

from __future__ import annotations

import ast
import sys

from tests.compat.path.test_aliases import HERE, run


def test_a_program_that_needs_no_old_names_imports_nothing_of_penstock():
    assert run("import sys; print([name for name in sys.modules if 'penstock' in name])") == "[]"


def test_the_users_own_sitecustomize_runs_all_the_same_and_is_the_module(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys\nsys.path.insert(0, '/added')\nmine = True\n")
    code = f"import sys, sitecustomize; print(sitecustomize.mine, '/added' in sys.path, {str(HERE)!r} in sys.path)"
    assert run(code, str(tmp_path)) == "True True True"


def test_it_runs_once_whichever_comes_first(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("print('theirs')\n")
    assert run("pass", str(tmp_path)) == "theirs"
    assert run("pass", str(HERE), path=str(tmp_path)) == "theirs"


def test_what_fails_in_the_users_own_is_reported_as_ever(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import nowhere_at_all\n")
    assert run("import sys; import flup; print(flup.__name__)", str(tmp_path)) == "penstock.compat.flup"


def test_without_another_one_the_module_is_this(tmp_path):
    # Debian's Python has one of its own.
    code = "import sys, sitecustomize; print(sitecustomize.__file__)"
    assert run(code) in (str(HERE / "sitecustomize.py"), *(f"{folder}/sitecustomize.py" for folder in sys.path))


def test_an_older_python_can_read_it():
    tree = ast.parse((HERE / "sitecustomize.py").read_text(), feature_version=(3, 4))
    newer = (ast.JoinedStr, ast.AnnAssign, ast.NamedExpr)
    for node in ast.walk(tree):
        assert not isinstance(node, newer)
        if isinstance(node, ast.FunctionDef):
            assert node.returns is None
            assert not any(argument.annotation for argument in node.args.args)
