"""This file tests `penstock reload`, `stop`, `reopen` and `ping`: what they ask, what they say, how they end."""

from __future__ import annotations

import os

import pytest

from penstock.cli.main import main


@pytest.fixture
def address(supervisor, sock_dir):
    return f"unix:{sock_dir}/app.sock"


def test_ping_says_who_answers(address, capsys):
    assert main(["ping", address]) == 0
    assert capsys.readouterr().out == "process 4711 answers\n"


def test_reopen_asks_and_says_nothing(address, capsys, supervisor):
    assert main(["reopen", address]) == 0
    assert supervisor.asked == [{"command": "reopen", "wait": False}]
    assert capsys.readouterr() == ("", "")
    supervisor.answers["reopen"] = {"ok": False, "error": "the disk is full"}
    assert main(["reopen", address]) == 5
    assert capsys.readouterr().err == "penstock reopen: the disk is full\n"


@pytest.mark.parametrize(("words", "wait"), [((), False), (("--wait",), True)])
def test_a_reload_that_works_says_nothing(address, capsys, supervisor, words, wait):
    assert main(["reload", address, *words]) == 0
    assert supervisor.asked == [{"command": "reload", "wait": wait}]
    assert capsys.readouterr() == ("", "")


def test_a_reload_that_fails_is_3_with_the_traceback_and_then_the_reason(address, capsys, supervisor):
    supervisor.answers["reload"] = {"ok": False, "error": "it does not boot", "traceback": "Traceback:\n  x \x1b[2J\nE"}
    assert main(["reload", address, "--wait"]) == 3
    assert capsys.readouterr().err == "Traceback:\n'  x \\x1b[2J'\nE\npenstock reload: it does not boot\n"


def test_a_reason_that_the_traceback_ends_with_is_not_told_twice(address, capsys, supervisor):
    supervisor.answers["reload"] = {"ok": False, "error": "blog is broken", "traceback": "E\nblog is broken\nmend it\n"}
    assert main(["reload", address, "--wait"]) == 3
    assert capsys.readouterr().err == (
        "E\nblog is broken\nmend it\npenstock reload: the new generation does not serve; the old one goes on\n"
    )


def test_stop_asks_and_returns(address, supervisor):
    assert main(["stop", address]) == 0
    assert supervisor.asked == [{"command": "stop", "wait": False}]


def test_stop_with_wait_returns_when_the_process_has_ended(address, supervisor, monkeypatch):
    waited = []
    monkeypatch.setattr(
        "penstock.cli.control.ProcessEnd.wait", lambda end: waited.append(os.readlink(f"/proc/self/fd/{end._fd}"))
    )
    assert main(["stop", address, "--wait"]) == 0
    assert waited == ["anon_inode:[pidfd]"]


def test_a_supervisor_whose_process_is_not_ours_to_see_is_not_stopped_with_wait(
    address, supervisor, monkeypatch, capsys
):
    def refuse(pid):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr("os.pidfd_open", refuse)
    assert main(["stop", address, "--wait"]) == 5
    assert "cannot be waited for from here" in capsys.readouterr().err
    assert supervisor.asked == []
    assert main(["stop", address]) == 0


def test_a_stop_that_is_refused_is_5_with_the_reason(address, capsys, supervisor):
    supervisor.answers["stop"] = {"ok": False, "error": "not you"}
    assert main(["stop", address]) == 5
    assert capsys.readouterr().err == "penstock stop: not you\n"


@pytest.mark.parametrize("command", ["ping", "reload", "reopen", "stop"])
def test_a_target_that_does_not_answer_is_5_with_one_sentence(command, sock_dir, capsys):
    assert main([command, f"unix:{sock_dir}/none.sock"]) == 5
    assert capsys.readouterr().err.count("\n") == 1
