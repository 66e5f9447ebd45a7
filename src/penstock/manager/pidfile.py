"""This file writes the number of the supervisor where scripts look for it, and nowhere that it does not belong.

Who holds the file is decided by a lock (lockf), because the kernel frees it however a process ends, and because a
forked child does not have it: a worker that outlives a killed supervisor is in nobody's way. The number of a live
process in a file that nobody has locked still counts, as other programs write such files without a lock, unless that
process began after the file was written: then the number was given out again.

Such a lock has one trap: it is freed when its process closes any descriptor of the file. So nothing else in the
supervisor may open it. After an exec() in place the lock is free, and the number in the file is our own: `write` takes
it as ours.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from typing import Final, final

_CONTENT: Final = re.compile(rb"\s*(?:(\d{1,10})\s*)?")
_LONGEST: Final = 64
_SLACK: Final = 2.0  # seconds; the clock of processes ticks in hundredths, that of files may lag


class PidFileError(Exception):
    """The file cannot be ours; one sentence says why, and what to do."""


@final
class PidFile:
    """One pid file.

    Args:
        path: where it is; a relative path means what it means now, also after chdir().
    """

    __slots__ = ("_fd", "_pid", "path")

    def __init__(self, path: str) -> None:
        self.path: Final = os.path.abspath(path)
        self._fd = -1
        self._pid = 0

    def write(self) -> None:
        """Take the file and write our number. A file of a process that has ended is taken over.

        Raises:
            PidFileError: another live process holds it, something else lies there, or we may not write.
        """
        fd = self._open()
        try:
            while not self._lock(fd):
                os.close(fd)
                fd = self._open()
            self._examine(fd)
            content = b"%d\n" % os.getpid()
            # Cut after writing: whoever reads in between finds a right first line, and never an empty file.
            os.pwrite(fd, content, 0)
            os.ftruncate(fd, len(content))
            os.fchmod(fd, 0o644)
        except OSError as error:
            os.close(fd)
            raise self._cannot(f"the system says {error.strerror!r}", "mend that or choose another path") from error
        except BaseException:
            os.close(fd)
            raise
        self._fd, self._pid = fd, os.getpid()

    def remove(self) -> None:
        """Remove the file if it is still ours, at the end of the process that wrote it; again is harmless."""
        if self._fd < 0 or self._pid != os.getpid():
            return
        with suppress(OSError):
            ours = _identity(os.fstat(self._fd)) == _identity(os.lstat(self.path))
            if ours and _read(self._fd) == self._pid:
                os.unlink(self.path)
        os.close(self._fd)
        self._fd = -1

    def let_go(self) -> None:
        """In a forked child: close it. Who could write to it could say that another process is the supervisor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            return os.open(self.path, flags | os.O_CREAT, 0o644)
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
                raise self._cannot("what lies there is no plain file", "choose another path") from None
            folder = os.path.dirname(self.path)
            if error.errno == errno.ENOENT:
                raise self._cannot(f"there is no directory {folder}", "make it, or choose another path") from None
            raise self._cannot(f"the system says {error.strerror!r}", "choose a path that we may write to") from None

    def _lock(self, fd: int) -> bool:
        """Lock the file; false if it has lost its name meanwhile, as its holder removes it when it leaves."""
        try:
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):
            raise self._held(_read(fd)) from None
        try:
            return _identity(os.fstat(fd)) == _identity(os.lstat(self.path))
        except FileNotFoundError:
            return False

    def _examine(self, fd: int) -> None:
        """Make sure that nothing is overwritten but an old pid file of ours."""
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise self._cannot("what lies there is no plain file", "choose another path")
        if status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise self._cannot("the file belongs to somebody else", "remove it, or choose another path")
        pid = _read(fd)
        if pid is None:
            raise self._cannot("the file holds something else than a number", "choose another path")
        if pid not in (0, os.getpid()) and _may_have_written(pid, status.st_mtime):
            raise self._held(pid)

    def _held(self, pid: int | None) -> PidFileError:
        who = f"process {pid}" if pid else "another process"
        return self._cannot(f"{who} is running and holds it", "stop that, or choose another path")

    def _cannot(self, cause: str, mend: str) -> PidFileError:
        return PidFileError(f"cannot write the pid file {self.path}: {cause}; {mend}")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _read(fd: int) -> int | None:
    """The number in the file; 0 if it is empty, None if it is not that of a process."""
    found = _CONTENT.fullmatch(os.pread(fd, _LONGEST, 0))
    return int(found[1] or 0) if found else None


def _may_have_written(pid: int, moment: float) -> bool:
    """Whether a process is alive and began before this moment of the wall clock."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        pass  # somebody else's, but alive
    except (OSError, OverflowError):
        return False
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # proc_pid_stat(5), from its third field on
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return True  # no such files here, or it has ended just now: rather refuse
    return fields[0] != b"Z" and age + _SLACK >= time.time() - moment
