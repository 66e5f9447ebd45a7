"""This file tests the lock beside a unix socket, and what is left behind when its server goes."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.server import unixsocket
from penstock.server.address import BindError
from penstock.server.unixsocket import SocketFile, open_unix

NOBODY = 65534


def start(path: Path) -> tuple[socket.socket, SocketFile]:
    listener, file, _ = open_unix(str(path), mode=0o660, uid=-1, gid=-1, backlog=8)
    return listener, file


@contextmanager
def opened(path: Path) -> Iterator[None]:
    listener, file = start(path)
    try:
        yield
    finally:
        file.remove()
        listener.close()


def refusal(path: Path) -> str:
    with pytest.raises(BindError) as caught:
        start(path)
    return str(caught.value)


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# The lock


@pytest.mark.parametrize("kind", ["link", "directory", "pipe"])
def test_a_lock_that_is_no_plain_file_is_named_and_left(sock_dir: Path, kind: str) -> None:
    lock = sock_dir / "s.lock"
    if kind == "link":
        lock.symlink_to(sock_dir / "elsewhere")
    elif kind == "directory":
        lock.mkdir()
    else:
        os.mkfifo(lock)
    assert f"{lock}, its lock, is no plain file" in refusal(sock_dir / "s")
    assert names(sock_dir) == ["s.lock"]


def test_the_content_of_the_lock_file_is_never_touched(sock_dir: Path) -> None:
    (sock_dir / "precious").write_text("kept")
    os.link(sock_dir / "precious", sock_dir / "s.lock")
    with opened(sock_dir / "s"):
        pass
    assert (sock_dir / "precious").read_text() == "kept"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")
def test_a_lock_of_another_user_is_named(sock_dir: Path) -> None:
    os.chmod(sock_dir, 0o777)
    (sock_dir / "s.lock").touch(0o600)
    os.seteuid(NOBODY)
    try:
        assert "its lock, belongs to another user" in refusal(sock_dir / "s")
    finally:
        os.seteuid(0)
    assert names(sock_dir) == ["s.lock"]


def test_a_server_that_holds_the_lock_and_does_not_answer_is_waited_for(sock_dir: Path) -> None:
    lock = unixsocket.take_lock(str(sock_dir / "s"))
    assert "another penstock, starting or stopping, holds" in refusal(sock_dir / "s")
    SocketFile(str(sock_dir / "s"), lock).remove()
    assert names(sock_dir) == []


def test_of_many_who_come_and_go_never_two_have_the_path(sock_dir: Path) -> None:
    """Each leaver unlinks the lock file, so this fails if a lock on a nameless file counts."""
    path = str(sock_dir / "s")
    inside: list[int] = []
    crowded: list[int] = []
    wins: list[int] = []
    umask = os.umask(0o022)

    def come_and_go() -> None:
        for _ in range(400):
            try:
                lock = unixsocket.take_lock(path)
            except BindError:
                continue
            inside.append(1)
            crowded.extend([1] * (len(inside) > 1))
            wins.append(1)
            inside.pop()
            SocketFile(path, lock).remove()

    threads = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    os.umask(umask)
    assert wins
    assert not crowded
    assert names(sock_dir) == []


def test_a_lock_won_on_a_file_that_lost_its_name_is_not_taken(sock_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = str(sock_dir / "s.lock")
    flock = fcntl.flock
    turns: list[int] = []

    def lose_the_name_first(lock: int, how: int) -> None:
        if not turns:
            os.unlink(name)  # what a leaving holder does between our open() and our flock()
        turns.append(lock)
        flock(lock, how)

    monkeypatch.setattr(fcntl, "flock", lose_the_name_first)
    lock = unixsocket.take_lock(str(sock_dir / "s"))
    assert len(turns) == 2
    assert os.fstat(lock).st_ino == os.lstat(name).st_ino
    os.close(lock)


# Leaving


def test_only_a_path_that_is_still_ours_is_removed(sock_dir: Path) -> None:
    path = sock_dir / "s"
    with opened(path):
        path.unlink()
        path.write_text("precious")
    assert path.read_text() == "precious"


def test_a_lock_file_that_somebody_else_has_put_there_since_is_left(sock_dir: Path) -> None:
    with opened(sock_dir / "s"):
        (sock_dir / "s.lock").unlink()
        (sock_dir / "s.lock").touch()
    assert names(sock_dir) == ["s.lock"]


def test_removing_frees_the_path_for_a_successor_whose_files_then_stay(sock_dir: Path) -> None:
    path = sock_dir / "s"
    listener, file = start(path)
    file.remove()
    with opened(path):
        file.remove()
        listener.close()
        assert names(sock_dir) == ["s", "s.lock"]
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))


def test_a_forked_child_removes_nothing_and_does_not_free_the_lock(sock_dir: Path) -> None:
    path = sock_dir / "s"
    listener, file = start(path)
    child = os.fork()
    if child == 0:
        file.remove()
        listener.close()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert names(sock_dir) == ["s", "s.lock"]
    assert "a live server" in refusal(path)
    file.remove()
    listener.close()


def test_a_forked_child_that_lives_on_does_not_keep_the_lock_from_a_successor(sock_dir: Path) -> None:
    path = sock_dir / "s"
    listener, file = start(path)
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    os.link(sock_dir / "s.lock", sock_dir / "kept")  # the same lock, findable although its name goes
    file.remove()
    listener.close()
    os.rename(sock_dir / "kept", sock_dir / "s.lock")
    with opened(path):
        pass
    os.close(writing)
    assert os.waitpid(child, 0)[1] == 0
