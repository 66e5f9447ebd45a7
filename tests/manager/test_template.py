"""This file tests what a template finds out about an application: threads, and which files are its own."""

from __future__ import annotations

import os
import select
import threading

import pytest

import penstock
from penstock.manager.messages import hear, make_pair
from penstock.manager.template import MOST_FILES, _is_own, _own_files, _tell_files, _threads
from tests.manager.forked import in_child
from tests.processes import PATIENCE


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


def test_long_names_of_many_files_all_arrive():
    files = [f"/{'x' * 200}/{number}.py" for number in range(MOST_FILES + 10)]
    ours, theirs = make_pair()
    told: list[str] = []

    def listen() -> None:
        while len(told) < MOST_FILES:
            select.select([ours], [], [], PATIENCE)
            told.extend(hear(ours).texts("files"))

    listener = threading.Thread(target=listen)
    with ours, theirs:
        listener.start()
        _tell_files(theirs, files)
        listener.join(PATIENCE)
    assert told == files[:MOST_FILES]
