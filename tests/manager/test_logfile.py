"""Tests of log files that are renamed while they are written: no line is lost or torn, and root is led nowhere."""

from __future__ import annotations

import os
import stat
import threading

import pytest

from penstock.manager.logfile import LogFile, LogFileError
from penstock.manager.privileges import Identity, drop_privileges
from tests.manager.forked import in_child

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for several users")
WORKER = Identity(65534, 65534)


@pytest.fixture
def path(sock_dir):
    return sock_dir / "access.log"


@pytest.fixture
def file(path):
    made = LogFile(str(path))
    yield made
    made.close()


def test_it_appends_to_what_is_there(path):
    path.write_text("old\n")
    file = LogFile(str(path))
    os.write(file.fd, b"new\n")
    file.close()
    assert path.read_text() == "old\nnew\n"


def test_a_new_file_is_not_for_everybody(file, path):
    assert stat.S_IMODE(path.stat().st_mode) & 0o137 == 0


def test_after_a_rename_lines_go_to_the_old_file_until_it_is_reopened(file, path):
    number = file.fd
    os.write(file.fd, b"1\n")
    old = path.rename(path.with_suffix(".1"))
    os.write(file.fd, b"2\n")
    assert file.reopen()
    os.write(file.fd, b"3\n")
    assert (old.read_text(), path.read_text()) == ("1\n2\n", "3\n")
    assert file.fd == number
    assert not os.get_inheritable(number)


def rotated_worker(file: LogFile, process: int, orders: int, told: int) -> None:
    """Write from two threads and reopen at each order, until there are no more; then tell how many lines that were."""
    ended = threading.Event()

    def write(thread: int) -> None:
        number = 0
        while not ended.is_set():
            os.write(file.fd, b"%d %d %d %s\n" % (process, thread, number, b"x" * (number % 200)))
            number += 1
        os.write(told, b"%d %d %d\n" % (process, thread, number))

    threads = [threading.Thread(target=write, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    while os.read(orders, 1):
        assert file.reopen()
    ended.set()
    for thread in threads:
        thread.join()


def test_no_line_is_lost_or_torn_while_processes_write_and_the_file_is_rotated(file, path):
    told, tell = os.pipe()
    workers: list[tuple[int, int]] = []
    for process in range(3):
        orders, order = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                for end in (order, *(end for _, end in workers)):
                    os.close(end)
                rotated_worker(file, process, orders, tell)
                os._exit(0)
            finally:
                os._exit(1)
        os.close(orders)
        workers.append((pid, order))
    os.close(tell)
    for turn in range(20):
        while path.stat().st_size < 20_000:  # until they write into the new file
            pass
        path.rename(path.with_suffix(f".{turn}"))
        assert file.reopen()
        for _, order in workers:
            os.write(order, b"x")
    for _, order in workers:
        os.close(order)
    with open(told, "rb") as counts:
        expected = {
            b"%d %d %d %s" % (process, thread, number, b"x" * (number % 200))
            for process, thread, count in (map(int, line.split()) for line in counts)
            for number in range(count)
        }
    for pid, _ in workers:
        assert os.waitpid(pid, 0)[1] == 0
    lines = [line for part in path.parent.glob("access.*") for line in part.read_bytes().split(b"\n")[:-1]]
    assert len(lines) == len(expected)
    assert set(lines) == expected


def test_when_it_cannot_be_reopened_the_old_file_goes_on_and_the_log_says_why(file, path, caplog):
    old = path.rename(path.with_suffix(".1"))
    path.mkdir()
    before = os.listdir("/proc/self/fd")
    assert not file.reopen()
    assert os.listdir("/proc/self/fd") == before
    os.write(file.fd, b"still\n")
    assert old.read_text() == "still\n"
    assert f"cannot write the log {path}: it is no plain file" in caplog.text


def test_what_is_no_log_file_is_refused(path):
    path.symlink_to("elsewhere")
    with pytest.raises(LogFileError, match="it is a symbolic link; name the file itself"):
        LogFile(str(path))
    assert not (path.parent / "elsewhere").exists()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(LogFileError, match="no plain file"):
        LogFile(str(path))
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(LogFileError, match="no plain file"):
        LogFile(str(path))
    os.close(reader)
    with pytest.raises(LogFileError, match=f"there is no directory {path.parent}/none; make it"):
        LogFile(str(path.parent / "none" / "access.log"))


@needs_root
def test_a_worker_that_is_not_root_can_reopen_what_root_has_made_for_it(path):
    path.parent.chmod(0o755)
    file = LogFile(str(path), WORKER)
    assert (path.stat().st_uid, path.stat().st_gid) == (WORKER.uid, WORKER.gid)
    path.rename(path.with_suffix(".1"))
    assert file.reopen()

    def worker():
        drop_privileges(WORKER)
        reopened = file.reopen()
        os.write(file.fd, b"worker\n")
        return reopened

    assert in_child(worker)
    os.write(file.fd, b"supervisor\n")
    assert path.read_text() == "worker\nsupervisor\n"
    file.close()


@needs_root
def test_no_file_of_roots_is_given_away_by_a_second_name(path):
    secret = path.parent / "secret"
    secret.touch(0o600)
    os.link(secret, path)
    with pytest.raises(LogFileError, match="it has a second name"):
        LogFile(str(path), WORKER)
    assert secret.stat().st_uid == 0


def test_a_relative_path_means_what_it_meant(sock_dir, monkeypatch):
    monkeypatch.chdir(sock_dir)
    file = LogFile("app.log")
    monkeypatch.chdir("/")
    os.rename(sock_dir / "app.log", sock_dir / "app.log.1")
    assert file.reopen()
    assert (sock_dir / "app.log").exists()
    file.close()
