"""Tests of watching files: each way in which a deployment changes a file is seen, once."""

from __future__ import annotations

import os

import pytest

from penstock.manager.watch import Watch


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "app.py"
    made.write_text("one")
    return made


def test_nothing_has_changed_at_first_and_nothing_by_looking(file):
    watch = Watch([str(file)])
    assert not watch.changed()
    file.read_text()
    assert not watch.changed()


def test_a_change_is_told_once(file, tmp_path):
    other = tmp_path / "other.py"
    other.write_text("")
    watch = Watch([str(file), str(other)])
    file.write_text("two and more")
    assert watch.changed() == [str(file)]
    assert not watch.changed()


def test_touch_is_a_change(file):
    watch = Watch([str(file)])
    os.utime(file, ns=(1, 1))
    assert watch.changed()


def test_a_file_that_is_replaced_by_one_of_the_same_size_and_time_is_a_change(file, tmp_path):
    watch = Watch([str(file)])
    status = os.stat(file)
    new = tmp_path / "new"
    new.write_text("two")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    os.replace(new, file)
    assert watch.changed()


def test_a_link_that_leads_elsewhere_is_a_change(tmp_path):
    for release in ("1", "2"):
        (tmp_path / release).mkdir()
        (tmp_path / release / "app.py").write_text("same")
        os.utime(tmp_path / release / "app.py", ns=(1, 1))
    current = tmp_path / "current"
    current.symlink_to("1")
    watch = Watch([str(current / "app.py")])
    (tmp_path / "next").symlink_to("2")
    os.replace(tmp_path / "next", current)
    assert watch.changed()


def test_a_file_that_appears_is_a_change(tmp_path):
    file = tmp_path / "restart.txt"
    watch = Watch([str(file)])
    assert not watch.changed()
    file.touch()
    assert watch.changed()


def test_a_file_that_is_gone_is_none_until_another_one_is_there(file):
    watch = Watch([str(file)])
    kept = file.rename(file.with_suffix(".old"))
    assert not watch.changed()
    kept.rename(file)
    assert not watch.changed()
    file.unlink()
    assert not watch.changed()
    file.write_text("one, again")
    assert watch.changed()


def test_a_path_that_cannot_be_looked_at_is_no_change(file, tmp_path):
    assert not Watch([str(file / "below"), "\udcff" * 300, str(tmp_path / ("x" * 5000))]).changed()


def test_a_relative_path_means_what_it_meant(file, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    watch = Watch(["app.py"])
    monkeypatch.chdir("/")
    assert not watch.changed()
    file.write_text("two and more")
    assert watch.changed()
