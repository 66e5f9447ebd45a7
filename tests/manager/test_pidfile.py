"""Tests of the pid file: it names a living holder, is taken over from a dead one, and harms no other file."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import time

import pytest

from penstock.manager.pidfile import PidFile, PidFileError
from tests.manager.forked import in_child

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "penstock.pid"


@pytest.fixture
def pid_file(path):
    made = PidFile(str(path))
    yield made
    made.remove()


@pytest.fixture
def sleeper(processes):
    """A process that holds no pid file."""
    return processes.start("/bin/sleep", "100")


def test_it_holds_our_number_for_all_to_read(pid_file, path):
    before = os.umask(0o077)
    try:
        pid_file.write()
    finally:
        os.umask(before)
    assert path.read_text() == f"{os.getpid()}\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    pid_file.remove()
    assert not path.exists()
    pid_file.remove()


def test_a_second_holder_is_refused_and_hears_who_the_first_is(pid_file, path):
    pid_file.write()
    with pytest.raises(PidFileError, match=f"process {os.getpid()} is running and holds it; stop that, or choose"):
        in_child(lambda: PidFile(str(path)).write())
    assert path.read_text() == f"{os.getpid()}\n"


def test_the_lock_alone_is_enough_to_refuse_a_second_holder(pid_file, path):
    pid_file.write()
    in_child(lambda: path.write_text(""))
    with pytest.raises(PidFileError, match="another process is running and holds it"):
        in_child(lambda: PidFile(str(path)).write())


def test_the_file_of_a_process_that_was_killed_is_taken_over(pid_file, path):
    def die():
        PidFile(str(path)).write()
        os.kill(os.getpid(), signal.SIGKILL)

    with pytest.raises(EOFError):
        in_child(die)
    assert path.read_text() != ""
    pid_file.write()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_forked_child_that_outlives_its_parent_does_not_hold_it(pid_file, path):
    reader, writer = os.pipe()
    told, tell = os.pipe()

    def parent():
        PidFile(str(path)).write()
        if os.fork():
            os.kill(os.getpid(), signal.SIGKILL)
        os.close(writer)
        os.read(reader, 1)
        os.close(tell)

    pid = os.fork()
    if not pid:
        try:
            parent()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    pid_file.write()
    os.close(writer)  # lets the grandchild go
    os.close(tell)
    assert os.read(told, 1) == b""
    os.wait()  # it is ours: the tests adopt orphans
    os.close(reader)
    os.close(told)


def test_a_number_of_a_live_process_counts_without_a_lock(pid_file, path, sleeper):
    path.write_text(f"{sleeper.pid}\n")
    with pytest.raises(PidFileError, match=f"process {sleeper.pid} is running and holds it"):
        pid_file.write()
    assert path.read_text() == f"{sleeper.pid}\n"


def test_a_number_that_was_given_out_again_does_not_count(pid_file, path, sleeper):
    path.write_text(f"{sleeper.pid}\n")
    before = time.time() - 3600
    os.utime(path, (before, before))
    pid_file.write()
    assert path.read_text() == f"{os.getpid()}\n"


def test_a_process_that_nobody_has_waited_for_does_not_count(pid_file, path):
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    path.write_text(f"{pid}\n")
    pid_file.write()
    os.waitpid(pid, 0)


@pytest.mark.parametrize("content", ["", "\n", "4194305\n", "9999999999", " 4194305 \n"])
def test_an_old_file_is_taken_over(content, pid_file, path):
    path.write_text(content)
    pid_file.write()
    assert path.read_text() == f"{os.getpid()}\n"


@pytest.mark.parametrize(
    "content", ["daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n", "12 34\n", "-1\n", "99999999999\n", "1" * 100]
)
def test_a_file_with_anything_else_in_it_is_left_alone(content, pid_file, path):
    path.write_text(content)
    with pytest.raises(PidFileError, match="the file holds something else than a number; choose another path"):
        pid_file.write()
    assert path.read_text() == content


def test_what_is_no_plain_file_is_left_alone(pid_file, path, tmp_path):
    target = tmp_path / "target"
    path.symlink_to(target)
    with pytest.raises(PidFileError, match="no plain file"):
        pid_file.write()
    assert not target.exists()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(PidFileError, match="no plain file"):
        pid_file.write()
    path.unlink()
    path.mkdir()
    with pytest.raises(PidFileError, match="no plain file"):
        pid_file.write()


def test_a_file_with_a_second_name_is_left_alone(pid_file, path, tmp_path):
    (tmp_path / "other").write_text("1\n")
    os.link(tmp_path / "other", path)
    with pytest.raises(PidFileError, match="belongs to somebody else"):
        pid_file.write()
    assert (tmp_path / "other").read_text() == "1\n"


@needs_root
def test_a_file_of_another_user_is_left_alone(pid_file, path):
    path.touch()
    os.chown(path, 65534, 65534)
    with pytest.raises(PidFileError, match="belongs to somebody else"):
        pid_file.write()


def test_a_directory_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PidFileError, match=f"there is no directory {tmp_path}/none; make it, or choose another path"):
        PidFile(f"{tmp_path}/none/pid").write()


def test_a_refusal_leaves_no_descriptor_open(pid_file, path):
    path.write_text("text")
    before = os.listdir("/proc/self/fd")
    with pytest.raises(PidFileError):
        pid_file.write()
    assert os.listdir("/proc/self/fd") == before


def test_what_somebody_else_has_put_there_is_not_removed(pid_file, path):
    pid_file.write()
    path.unlink()
    path.write_text("1\n")
    pid_file.remove()
    assert path.read_text() == "1\n"


def test_a_number_that_somebody_else_has_written_is_not_removed(pid_file, path):
    pid_file.write()
    path.write_text("1\n")
    pid_file.remove()
    assert path.read_text() == "1\n"


def test_a_forked_child_does_not_remove_it(pid_file, path):
    pid_file.write()
    in_child(pid_file.remove)
    assert path.exists()


def test_after_an_exec_in_place_it_is_taken_again(path):
    program = (
        "import os, sys; from penstock.manager.pidfile import PidFile; f = PidFile(sys.argv[1]); f.write();"
        "n = int(sys.argv[2]); n and os.execv(sys.executable, [*sys.orig_argv[:-1], str(n - 1)]);"
        "print(open(sys.argv[1]).read() == f'{os.getpid()}\\n'); f.remove()"
    )
    done = subprocess.run([sys.executable, "-c", program, path, "2"], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"
    assert not path.exists()


def test_a_relative_path_means_what_it_meant(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pid_file = PidFile("here.pid")
    monkeypatch.chdir("/")
    pid_file.write()
    assert (tmp_path / "here.pid").exists()
    pid_file.remove()
    assert not (tmp_path / "here.pid").exists()
