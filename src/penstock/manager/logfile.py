"""This file keeps a log file open under one descriptor while its path is given to a new file, as logrotate does.

Every line is one write() with O_APPEND, which is whole on a local file system however many processes write. To rotate,
rename the file, then `reopen` in the supervisor, then in each worker. A line goes to the old file or to the new one and
none is lost between them, for dup2() changes over in one step, also below a thread that is about to write.

Workers are not root. The supervisor makes the new file first and gives it to their user, so they can open it by
themselves; they must be allowed to search its folder.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Final, final

from penstock.manager.privileges import Identity
from penstock.server.notices import log

MODE: Final = 0o640
"""Of a new file: what users ask for is nobody else's business."""


class LogFileError(Exception):
    """The file cannot be used; one sentence says why, and what to do."""


@final
class LogFile:
    """A log file that others may rename.

    Args:
        path: a relative one means what it means now, also after chdir().
        owner: whose file it shall be, if we are root.

    Attributes:
        fd: where to write lines; the number stays the same for good, and is inherited by forked children.

    Raises:
        LogFileError: it cannot be opened.
    """

    __slots__ = ("_owner", "fd", "path")

    def __init__(self, path: str, owner: Identity | None = None) -> None:
        self.path: Final = os.path.abspath(path)
        self._owner = owner
        self.fd: Final = self._open()

    def reopen(self) -> bool:
        """Go on in the file that is at the path now, and make it if there is none.

        Returns:
            Whether that worked. If not, the log says why, and lines go where they went before.
        """
        try:
            fd = self._open()
        except LogFileError as error:
            log.error("%s; its lines go to the old file", error)
            return False
        # Not inheritable: programs that a worker starts have no business with its log.
        os.dup2(fd, self.fd, inheritable=False)
        os.close(fd)
        return True

    def close(self) -> None:
        """Write no more; the number may mean another file then."""
        os.close(self.fd)

    def _open(self) -> int:
        # A symbolic link could lead root anywhere, in a folder that others may write to (CVE-2016-1247).
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        try:
            fd = os.open(self.path, flags | os.O_CREAT, MODE)
        except OSError as error:
            raise self._explained(error) from None
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) and not stat.S_ISCHR(status.st_mode):
                raise self._cannot("it is no plain file", "choose another path")
            self._give_away(fd, status)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _give_away(self, fd: int, status: os.stat_result) -> None:
        owner = self._owner
        if owner is None or os.geteuid() != 0 or status.st_uid == owner.uid or not stat.S_ISREG(status.st_mode):
            return
        # By a second name it may be any file of root's.
        if status.st_nlink > 1:
            raise self._cannot("it has a second name (hard link)", "remove one of them")
        try:
            os.fchown(fd, owner.uid, owner.gid)
        except OSError as error:
            raise self._explained(error) from None

    def _explained(self, error: OSError) -> LogFileError:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            return self._cannot("it is a symbolic link", "name the file itself")
        if error.errno in (errno.EISDIR, errno.ENXIO):
            return self._cannot("it is no plain file", "choose another path")
        if error.errno == errno.ENOENT:
            return self._cannot(f"there is no directory {os.path.dirname(self.path)}", "make it")
        who = f"uid {os.geteuid()}"
        return self._cannot(f"the system says {error.strerror!r} to {who}", "choose a path that it may write to")

    def _cannot(self, cause: str, mend: str) -> LogFileError:
        return LogFileError(f"cannot write the log {self.path}: {cause}; {mend}")
