"""This file tests how a unix socket's path is taken: which paths fit, old sockets, and what is never unlinked."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from penstock.server import unixsocket
from penstock.server.address import BindError
from penstock.server.unixsocket import MAX_PATH, open_unix
from tests.processes import environment

NOBODY = 65534
CHILD = """
import sys
from penstock.server.unixsocket import open_unix
kept = open_unix(sys.argv[1], mode=0o600, uid=-1, gid=-1, backlog=8)
print("listening", flush=True)
sys.stdin.read()
"""
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")


@contextmanager
def opened(path: Path | str, uid: int = -1) -> Iterator[None]:
    listener, file, _ = open_unix(str(path), mode=0o660, uid=uid, gid=-1, backlog=8)
    try:
        yield
    finally:
        file.remove()
        listener.close()


@contextmanager
def unprivileged() -> Iterator[None]:
    """Act as an ordinary user; root acts as nobody."""
    if os.geteuid() != 0:
        yield
        return
    os.setegid(NOBODY)
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


@contextmanager
def child_server(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A real penstock process listening at the path."""
    argv = [sys.executable, "-c", CHILD, str(path)]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, env=environment()) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == "listening\n"
            yield child
        finally:
            child.kill()


def refusal(path: Path | str) -> str:
    """What opening the path is refused with; one sentence, nothing opened."""
    before = os.umask(0o022)
    os.umask(before)
    with pytest.raises(BindError) as caught:
        open_unix(str(path), mode=0o660, uid=-1, gid=-1, backlog=8)
    assert os.umask(before) == before, "the umask is as it was"
    message = str(caught.value)
    assert message.startswith("cannot listen on unix:")
    assert "; " in message, "the mend follows the cause"
    assert message.isprintable()
    return message


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


# What a good start and end look like


def test_clients_can_connect_while_it_is_open_and_nothing_is_left_after(sock_dir: Path) -> None:
    path = sock_dir / "app.sock"
    with opened(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
        assert names(sock_dir) == ["app.sock", "app.sock.lock"]
    assert names(sock_dir) == []


def test_the_path_may_fill_sun_path_to_the_last_byte_and_no_further(sock_dir: Path) -> None:
    full = str(sock_dir / "x") + "x" * (MAX_PATH - len(str(sock_dir / "x")))
    with opened(full):
        assert os.path.lexists(full)
    assert f"the path has {MAX_PATH + 1} bytes and {MAX_PATH} fit" in refusal(full + "x")
    assert f"the path has {MAX_PATH + 1} bytes" in refusal(full[:-1] + "\u00e9"), "bytes are counted, not characters"
    assert names(sock_dir) == []


# Directories that do not fit


def test_a_missing_directory_is_named_with_the_command_that_makes_it(sock_dir: Path) -> None:
    assert f"there is no directory {sock_dir}/no; make it (mkdir -p {sock_dir}/no)" in refusal(sock_dir / "no" / "s")
    assert f"make it (mkdir -p '{sock_dir}/no way')" in refusal(sock_dir / "no way" / "s")


def test_a_file_in_place_of_the_directory_is_named(sock_dir: Path) -> None:
    (sock_dir / "file").touch()
    assert f"{sock_dir}/file is no directory" in refusal(sock_dir / "file" / "s")


def test_a_directory_without_the_right_to_write_is_named_with_the_user(sock_dir: Path) -> None:
    os.chmod(sock_dir, 0o555)
    with unprivileged():
        message = refusal(sock_dir / "s")
    os.chmod(sock_dir, 0o755)
    assert f"may not write in {sock_dir}" in message
    assert "user " in message


# What is at the path already


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("file", "a file that is no socket"),
        ("directory", "a directory"),
        ("pipe", "a named pipe"),
        ("link to nothing", "a symbolic link"),
        ("link to a stale socket", "a symbolic link"),
    ],
)
def test_what_is_no_socket_is_named_and_never_unlinked(sock_dir: Path, kind: str, words: str) -> None:
    path = sock_dir / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(sock_dir / "target")
        if kind == "link to a stale socket":
            with socket.socket(socket.AF_UNIX) as dead:
                dead.bind(str(sock_dir / "target"))
    before = names(sock_dir), os.lstat(path).st_ino
    mend = f"name a file in it, as in unix:{path}/app.sock" if kind == "directory" else "choose another path"
    assert f"{words} is there; {mend}" in refusal(path)
    assert (names(sock_dir), os.lstat(path).st_ino) == before


def test_a_stale_socket_of_ours_is_replaced(sock_dir: Path) -> None:
    path = sock_dir / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
        dead.listen()
    with opened(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_what_a_killed_server_left_is_replaced(sock_dir: Path) -> None:
    path = sock_dir / "s"
    with child_server(path) as child:
        child.send_signal(signal.SIGKILL)
        child.wait()
    assert names(sock_dir) == ["s", "s.lock"]
    with opened(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))
    assert names(sock_dir) == []


@needs_root
def test_a_stale_socket_of_another_user_stays_unless_it_is_the_wanted_owner(sock_dir: Path) -> None:
    path = sock_dir / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    os.chown(path, NOBODY, NOBODY)
    assert "an old socket of user nobody is there" in refusal(path)
    assert names(sock_dir) == ["s"]
    with opened(path, uid=NOBODY):
        assert os.lstat(path).st_uid == NOBODY


def test_a_live_penstock_is_named_by_its_process_and_goes_on(sock_dir: Path) -> None:
    path = sock_dir / "s"
    with child_server(path) as child:
        message = refusal(path)
        assert "a live server" in message
        if sys.platform == "linux":
            assert f"(pid {child.pid})" in message
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
        assert names(sock_dir) == ["s", "s.lock"]


@pytest.mark.parametrize(
    ("kind", "words"), [(socket.SOCK_STREAM, "a live server"), (socket.SOCK_DGRAM, "has a datagram socket there")]
)
def test_a_live_program_that_knows_no_lock_is_found_by_connecting(sock_dir: Path, kind: int, words: str) -> None:
    path = sock_dir / "s"
    with socket.socket(socket.AF_UNIX, kind) as foreign:
        foreign.bind(str(path))
        if kind == socket.SOCK_STREAM:
            foreign.listen()
        assert words in refusal(path)
        assert names(sock_dir) == ["s"]


def test_a_live_server_with_a_full_queue_is_not_taken_for_a_dead_one(sock_dir: Path) -> None:
    path = sock_dir / "s"
    with ExitStack() as stack:
        foreign = stack.enter_context(socket.socket(socket.AF_UNIX))
        foreign.bind(str(path))
        foreign.listen(0)
        for _ in range(100):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            if client.connect_ex(str(path)):
                break
        else:
            pytest.fail("the queue did not fill")
        assert "a live server with a full queue" in refusal(path)
        assert path.is_socket()


@needs_root
def test_a_socket_we_may_not_connect_to_stays(sock_dir: Path) -> None:
    os.chmod(sock_dir, 0o777)
    with socket.socket(socket.AF_UNIX) as foreign:
        foreign.bind(str(sock_dir / "s"))
        os.chmod(sock_dir / "s", 0o600)
        foreign.listen()
        with unprivileged():
            assert "user nobody may not connect to" in refusal(sock_dir / "s")
        assert names(sock_dir) == ["s"]


def test_what_takes_the_place_of_a_stale_socket_while_we_look_stays(
    sock_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = sock_dir / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))

    def replaced(_: str) -> None:
        (sock_dir / "new").write_text("precious")
        os.rename(sock_dir / "new", path)

    monkeypatch.setattr(unixsocket, "_listening_at", replaced)
    assert "something else has just been made there" in refusal(path)
    assert path.read_text() == "precious"


def test_what_appears_between_the_look_and_the_bind_stays(sock_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = sock_dir / "s"

    def late(*_: object) -> None:
        path.write_text("precious")

    monkeypatch.setattr(unixsocket, "_clear_stale", late)
    assert "something else has just been made there" in refusal(path)
    assert path.read_text() == "precious"
    assert names(sock_dir) == ["s"]
