"""This file tests who can do what to a unix socket: its mode, its owner, and the directory it is in."""

from __future__ import annotations

import ctypes
import os
import socket
import stat
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penstock.server.address import BindError
from penstock.server.unixsocket import open_unix

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")


@contextmanager
def opened(path: Path, mode: int = 0o660, uid: int = -1, gid: int = -1) -> Iterator[tuple[str, ...]]:
    """Hold a listener open and yield its warnings."""
    listener, file, warnings = open_unix(str(path), mode=mode, uid=uid, gid=gid, backlog=8)
    try:
        yield warnings
    finally:
        file.remove()
        listener.close()


@pytest.mark.parametrize("mode", [0o600, 0o660, 0o666, 0o777, 0o000])
@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_the_mode_is_the_one_asked_for_whatever_the_umask(sock_dir: Path, mode: int, umask: int) -> None:
    before = os.umask(umask)
    try:
        with opened(sock_dir / "s", mode=mode):
            assert stat.S_IMODE(os.lstat(sock_dir / "s").st_mode) == mode
            assert os.umask(umask) == umask
    finally:
        os.umask(before)


@pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")
def test_the_mode_is_right_from_birth_because_the_kernel_sees_no_later_change(sock_dir: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    watch = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
    created, attributes_changed, moved = 0x100, 0x4, 0xC0
    assert libc.inotify_add_watch(watch, os.fsencode(sock_dir), created | attributes_changed | moved) >= 0
    before = os.umask(0)
    try:
        with opened(sock_dir / "s"):
            assert stat.S_IMODE(os.lstat(sock_dir / "s").st_mode) == 0o660
            os.chmod(sock_dir / "s", 0o600)  # proves that the watch would have told
        data = os.read(watch, 65536)
    finally:
        os.umask(before)
        os.close(watch)
    seen = []
    while data:
        _, mask, _, length = struct.unpack_from("iIII", data)
        if data[16 : 16 + length].rstrip(b"\0") == b"s":
            seen.append(mask)
        data = data[16 + length :]
    assert seen == [created, attributes_changed]


@needs_root
def test_owner_and_group_are_set_before_anyone_can_connect(sock_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sock_dir / "s"
    answers = []
    chown = os.chown

    def watching(*args: object, **kwargs: object) -> None:
        with socket.socket(socket.AF_UNIX) as early:
            answers.append(early.connect_ex(str(path)))
        chown(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "chown", watching)
    with opened(path, uid=NOBODY, gid=33):
        status = os.lstat(path)
        assert (status.st_uid, status.st_gid, stat.S_IMODE(status.st_mode)) == (NOBODY, 33, 0o660)
        assert len(answers) == 1
        assert answers[0] != 0


@needs_root
def test_giving_the_socket_away_without_the_right_is_refused_and_leaves_nothing(sock_dir: Path) -> None:
    os.chmod(sock_dir, 0o1777)
    os.seteuid(NOBODY)
    try:
        with pytest.raises(BindError, match="may not give the socket to the wanted owner or group; start as root"):
            open_unix(str(sock_dir / "s"), mode=0o660, uid=0, gid=-1, backlog=8)
    finally:
        os.seteuid(0)
    assert os.listdir(sock_dir) == []


@needs_root
def test_a_link_put_in_the_place_of_the_socket_gives_nothing_else_away(
    sock_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (sock_dir / "precious").touch()
    chown = os.chown

    def too_late(*args: object, **kwargs: object) -> None:
        (sock_dir / "s").unlink()
        (sock_dir / "s").symlink_to("precious")
        chown(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "chown", too_late)
    with opened(sock_dir / "s", uid=NOBODY):
        assert os.stat(sock_dir / "precious").st_uid == 0


@pytest.mark.parametrize(("mode", "warned"), [(0o777, True), (0o1777, False), (0o775, False), (0o755, False)])
def test_a_directory_where_everyone_can_replace_the_socket_is_warned_about(
    sock_dir: Path, mode: int, warned: bool
) -> None:
    os.chmod(sock_dir, mode)
    with opened(sock_dir / "s") as warnings:
        assert len(warnings) == int(warned)
        assert not warned or f"{sock_dir} is writable for all" in warnings[0]


@needs_root
def test_a_directory_of_a_third_user_is_warned_about_but_not_that_of_the_sockets_owner(sock_dir: Path) -> None:
    os.chown(sock_dir, NOBODY, 0)
    with opened(sock_dir / "s") as warnings:
        assert len(warnings) == 1
        assert "user nobody can replace" in warnings[0]
    with opened(sock_dir / "s", uid=NOBODY) as warnings:
        assert warnings == ()
