"""This file tests how TARGET becomes a control socket, and what is said when nobody answers there."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path

import pytest

from penstock.cli.control import ask, find_control
from penstock.cli.failure import TARGET, USAGE, Failure
from penstock.manager.control import control_path
from penstock.manager.plan import Plan, PoolPlan
from tests.cli.supervisors import FakeSupervisor


@pytest.fixture(autouse=True)
def nowhere_else(monkeypatch, sock_dir):
    """The folder of the test is the only one with control sockets in it."""
    monkeypatch.chdir(sock_dir)
    monkeypatch.setattr("penstock.cli.control.folders", lambda: iter(()))


def failure(target, command="ping"):
    with pytest.raises(Failure) as caught:
        ask(target, command)
    assert caught.value.exit_code == TARGET
    return caught.value.message


@pytest.mark.parametrize("target", ["unix:{}/app.sock", "unix:app.sock", "{}/app.sock.control", "{pid}", None])
def test_a_target_is_an_address_a_path_a_process_or_nothing(supervisor, sock_dir, target):
    given = target and target.format(sock_dir, pid=os.getpid())
    assert ask(given, "ping") == {"ok": True, "pid": 4711}
    assert supervisor.asked == [{"command": "ping", "wait": False}]


def test_a_control_socket_of_any_name_is_found_by_its_path(sock_dir):
    fake = FakeSupervisor(sock_dir / "own")
    try:
        assert find_control(str(sock_dir / "own")) == str(sock_dir / "own")
        assert ask(str(sock_dir / "own"), "ping")["ok"]
    finally:
        fake.close()


@pytest.mark.parametrize("bind", ["127.0.0.1:9000", "[::1]:9000", "fd:3"])
def test_an_address_that_is_no_path_is_looked_for_where_the_supervisor_puts_it(monkeypatch, sock_dir, bind):
    monkeypatch.undo()
    monkeypatch.chdir(sock_dir)
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(sock_dir))
    path = control_path(Plan((PoolPlan("main", "app", (bind,)),)))
    fake = FakeSupervisor(Path(path))
    try:
        assert find_control(bind) == path
    finally:
        fake.close()


def test_a_folder_of_somebody_else_is_not_looked_into(monkeypatch, sock_dir):
    monkeypatch.setattr("penstock.cli.control.folders", lambda: iter((str(sock_dir / "planted"),)))
    (sock_dir / "planted").mkdir()
    fake = FakeSupervisor(sock_dir / "planted" / "127.0.0.1:9000.control")
    try:
        assert find_control("127.0.0.1:9000") == str(fake.path)
        monkeypatch.setattr("os.geteuid", lambda: 4711)
        status = os.stat(sock_dir / "planted")
        monkeypatch.setattr("os.stat", lambda path, real=os.stat: _owned_by_4712(real(path)))
        assert status.st_uid != 4712
        assert "no supervisor serves 127.0.0.1:9000" in failure("127.0.0.1:9000")
    finally:
        monkeypatch.undo()
        fake.close()


def _owned_by_4712(status):
    return os.stat_result((*status[:4], 4712, *status[5:]))


def test_without_a_target_the_socket_of_this_folder_wins_and_several_others_are_listed(supervisor, sock_dir):
    second = FakeSupervisor(sock_dir / "b.sock.control")
    try:
        message = failure(None)
        assert message.startswith("there are 2 supervisors; name one:")
        assert message.count(".control") == 2
        default = FakeSupervisor(sock_dir / "penstock.sock.control")
        try:
            assert find_control(None) == "penstock.sock.control"
        finally:
            default.close()
    finally:
        second.close()


@pytest.mark.parametrize(
    ("target", "told"),
    [
        (None, "no supervisor was found here; name one"),
        ("unix:none.sock", "no supervisor serves unix:none.sock"),
        ("9000", "there is no process 9000"),
        ("{pid}", "is no supervisor of penstock"),
    ],
)
def test_a_target_that_is_not_there_gets_one_sentence(monkeypatch, target, told):
    target = str(2**22 + 1) if target == "9000" else target
    told = told.replace("9000", str(2**22 + 1))
    message = failure(target and target.format(pid=os.getpid()))
    assert told in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("nonsense", "did you mean nonsense:9000?"),
        ("/no/such.sock", "did you mean unix:/no/such.sock?"),
        ("\x1b]2;x", "\\x1b]2;x"),
    ],
)
def test_a_target_that_means_nothing_is_wrong_usage(target, told):
    with pytest.raises(Failure) as caught:
        find_control(target)
    assert caught.value.exit_code == USAGE
    assert told in caught.value.message
    assert caught.value.message.isprintable()


def test_a_socket_that_nobody_listens_on_is_named_as_left_behind(sock_dir):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sock_dir / "old.control"))
    assert failure("old.control") == "no supervisor answers on old.control: it has ended and left its socket behind"


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (None, "it closed the connection without an answer"),
        (b"220 mail\n", "what answers there is no penstock"),
        (b"[]\n", "what answers there is no penstock"),
        (b'{"ok": 1}\n', "what answers there is no penstock"),
        (b'{"ok": true', "it closed the connection without an answer"),
    ],
)
def test_an_answer_that_makes_no_sense_is_a_failure(supervisor, answer, told):
    supervisor.answers["ping"] = answer
    assert told in failure("unix:app.sock")


def test_silence_ends_the_patience(monkeypatch, sock_dir):
    monkeypatch.setattr("penstock.cli.control._PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sock_dir / "mute.control"))
        sock.listen()
        assert "it has said nothing for 0.05 seconds" in failure("mute.control")


def test_a_command_that_is_waited_for_has_no_limit_of_ours(monkeypatch, sock_dir):
    monkeypatch.setattr("penstock.cli.control._PATIENCE", 0.05)
    later = threading.Event()
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(sock_dir / "slow.control"))
        sock.listen()

        def answer():
            peer, _ = sock.accept()
            with peer:
                peer.recv(4096)
                later.wait(0.2)  # four times the patience; nothing sets it
                peer.sendall(b'{"ok": true}\n')

        thread = threading.Thread(target=answer)
        thread.start()
        assert ask("slow.control", "reload", wait=True) == {"ok": True}
        thread.join()
