"""This file tests what a template finds out about an application: threads, and which files are its own."""

from __future__ import annotations

import os
import threading

import pytest

import penstock
from penstock.manager.template import _files_of, _is_own, _own_files, _threads
from penstock.server.importer import AppError, load
from tests.manager.forked import in_child


def test_a_process_with_one_thread_has_no_other():
    assert in_child(_threads) == []


def test_threads_are_named():
    def start() -> list[str]:
        threading.Thread(target=threading.Event().wait, name="refresher", daemon=True).start()
        return _threads()

    assert in_child(start) == ["refresher"]


def test_threads_that_python_does_not_know_count(monkeypatch):
    monkeypatch.setattr(os, "listdir", lambda path: ["1", "2", "3"])
    monkeypatch.setattr(threading, "enumerate", lambda: [threading.main_thread()])
    assert _threads() == ["not Python's"] * 2


@pytest.mark.parametrize("file", [os.__file__, pytest.__file__, penstock.__file__, "<frozen os>", "relative.py"])
def test_files_of_python_of_packages_and_of_penstock_are_not_the_applications(file):
    assert not _is_own(file)


def test_a_link_to_a_package_is_a_file_of_that(tmp_path):
    link = tmp_path / "link.py"
    link.symlink_to(pytest.__file__)
    assert not _is_own(str(link))


def test_this_file_is_the_applications_own():
    assert __file__ in _own_files()
    assert len(_own_files()) == len(set(_own_files()))


@pytest.mark.parametrize("inner", ["raise RuntimeError('no')", "this is no Python", "import missing_module_of_mine"])
def test_files_that_a_failure_went_through_are_told_though_no_module_has_them(site, inner):
    first = site("broken_app.py", "import broken_inner\n")
    second = site("broken_inner.py", inner + "\n")
    with pytest.raises(AppError) as failed:
        load("broken_app:app")
    assert {first, second} <= {os.path.realpath(file) for file in _files_of(failed.value)}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))

    def write(name: str, text: str) -> str:
        (tmp_path / name).write_text(text)
        return os.path.realpath(tmp_path / name)

    return write
