"""This file owns what a unix listener leaves in the file system: the socket's path and the lock file beside it.

How a path is taken, in this order:
 1. `PATH.lock` is locked (flock): whoever holds it may touch PATH. However the process ends, the kernel frees the lock.
 2. What lies at PATH is examined. Only a socket of ours that nobody answers on is removed; all else stays and is named.
 3. bind() in place, under an umask that leaves exactly the wanted mode, then the owner, then listen(). Binding to
    another name and renaming it over PATH would destroy what came in between, and `ss` would show the wrong name for
    ever; bind() fails instead, and nobody can connect before listen(), so mode and owner are there in time.

How it is left: PATH first, then the lock file, then the lock, each only while it is still the file we made.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import stat
import struct
import sys
import threading
from contextlib import suppress
from typing import Final, final

from penstock.server.address import BindError, shown

MAX_PATH: Final = 107 if sys.platform == "linux" else 103
"""Bytes that fit into sockaddr_un.sun_path beside its closing NUL (unix(7))."""

_KINDS: Final = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a file that is no socket",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


@final
class SocketFile:
    """A bound path and its lock. The process that made it removes it; a forked child only lets go."""

    __slots__ = ("_identity", "_lock", "_pid", "_removing", "path")

    def __init__(self, path: str, lock: int) -> None:
        self.path = path
        self._lock = lock
        self._identity: tuple[int, int] | None = None
        self._pid = os.getpid()
        self._removing = threading.RLock()

    def bound(self) -> None:
        """Remember what lies at the path now as ours: bind() has just made it."""
        self._identity = _identity(os.lstat(self.path))

    @classmethod
    def held(cls, path: str, lock: int, identity: tuple[int, int]) -> SocketFile:
        """One that is bound and locked already; see `hold`."""
        file = cls(path, lock)
        file._identity = identity
        return file

    def hold(self) -> tuple[int, tuple[int, int]]:
        """For a successor: the descriptor of the lock, -1 when it is free, and device and inode of the path."""
        return self._lock, self._identity or (0, 0)

    def keep(self) -> None:
        """The path stays when we leave: the socket goes on without us."""
        self._identity = None

    def remove(self) -> None:
        """Unlink the path if it is still ours, and free the lock. Call it before closing the socket; again is harmless.

        The order matters: an open socket keeps its inode number from being used again, so equal numbers mean our file.
        A second caller waits for the first one, for the process may end when it returns; only a signal handler, which
        may have interrupted the first one, does all of it once more.
        """
        with self._removing:
            lock = self._lock
            if lock < 0:
                return
            if os.getpid() == self._pid:
                with suppress(OSError):  # after setuid() the directory may be closed to us: the next start clears up
                    if self._identity is not None and _identity(os.lstat(self.path)) == self._identity:
                        os.unlink(self.path)
                _drop_lock_file(self.path, lock)
                # Forked children share the lock, and closing alone would leave it to them.
                fcntl.flock(lock, fcntl.LOCK_UN)
            self._lock = -1
            os.close(lock)


def open_unix(
    path: str, *, mode: int, uid: int, gid: int, backlog: int
) -> tuple[socket.socket, SocketFile, tuple[str, ...]]:
    """Listen on `path` (absolute) and return the socket, its file and warnings about the directory.

    Args:
        mode: permission bits of the socket file, 0 to 0o777; connecting takes the write bit.
        uid, gid: numbers the file is given to; -1 leaves that one alone.
        backlog: connections the kernel queues before they are accepted.

    Raises:
        BindError: one sentence with the cause and the mend. Nothing is left behind.
    """
    length = len(os.fsencode(path))
    if length > MAX_PATH:
        raise _cannot(path, f"the path has {length} bytes and {MAX_PATH} fit", "choose a shorter one")
    file = SocketFile(path, take_lock(path))
    listener: socket.socket | None = None
    try:
        _clear_stale(path, {os.geteuid(), uid})
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        _bind(listener, path, mode)
        file.bound()
        _give_away(path, uid, gid)
        listener.listen(backlog)
        return listener, file, _directory_warnings(path, uid)
    except BaseException as error:
        file.remove()
        if listener is not None:
            listener.close()
        if isinstance(error, OSError):
            raise _explained(path, error) from None
        raise


def _bind(listener: socket.socket, path: str, mode: int) -> None:
    # The umask belongs to the whole process, so other threads feel it too: for the length of one bind(), at start.
    before = os.umask(0o777 & ~mode)
    try:
        listener.bind(path)
    finally:
        os.umask(before)


def _give_away(path: str, uid: int, gid: int) -> None:
    if uid == -1 and gid == -1:
        return
    try:
        os.chown(path, uid, gid, follow_symlinks=False)
    except PermissionError:
        raise _cannot(
            path,
            f"{_whoami()} may not give the socket to the wanted owner or group",
            "start as root, or name a group this user is in",
        ) from None


def take_lock(path: str) -> int:
    """Lock `path`.lock and return the descriptor that holds the lock.

    The holder unlinks the file when it leaves, so a lock can be won on a file that has just lost its name, while
    somebody else locks a new one. Therefore: after locking, look whether the name still means this file, else again.
    """
    name = path + ".lock"
    while True:
        try:
            # Never truncated and never written to: in a shared directory the name could be a hard link to anything.
            lock = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise _lock_refused(path, name, error) from None
        held = False
        try:
            status = os.fstat(lock)
            if not stat.S_ISREG(status.st_mode):
                raise _cannot(path, f"{shown(name)}, its lock, is no plain file", "remove it or choose another path")
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            held = _is_at(name, status)
        except BlockingIOError:
            raise _cannot(
                path,
                _listening_at(path) or f"another penstock, starting or stopping, holds {shown(name)}",
                "stop it or choose another path",
            ) from None
        except OSError as error:
            raise _explained(path, error) from None
        finally:
            if not held:
                os.close(lock)
        if held:
            return lock


def _lock_refused(path: str, name: str, error: OSError) -> BindError:
    if error.errno in (errno.EEXIST, errno.ELOOP, errno.EMLINK, errno.EISDIR, errno.ENXIO):
        return _cannot(path, f"{shown(name)}, its lock, is no plain file", "remove it or choose another path")
    if isinstance(error, PermissionError) and os.path.lexists(name):
        return _cannot(path, f"{shown(name)}, its lock, belongs to another user", "remove it if no server uses it")
    return _explained(path, error)


def _drop_lock_file(path: str, lock: int) -> None:
    name = path + ".lock"
    with suppress(OSError):
        if _is_at(name, os.fstat(lock)):
            os.unlink(name)


def _clear_stale(path: str, owners: set[int]) -> None:
    """Make room at `path`: remove a socket of one of the `owners` (user ids) that nobody listens on."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(status.st_mode):
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something that is no socket")
        name = f"name a file in it, as in unix:{shown(path)}/app.sock"
        other = "choose another path, or move that away if nobody needs it"
        raise _cannot(path, f"{kind} is there", name if stat.S_ISDIR(status.st_mode) else other)
    who = _listening_at(path)
    if who is not None:
        raise _cannot(path, who, "stop it or choose another path")
    if status.st_uid not in owners:
        raise _cannot(
            path,
            f"an old socket of user {_user_name(status.st_uid)} is there",
            "remove it yourself if it is not needed, or choose another path",
        )
    if _is_at(path, status):
        os.unlink(path)


def _listening_at(path: str) -> str | None:
    """Say who has the socket at `path` open, or None if nobody answers there."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            return None
        except BlockingIOError:
            return "a live server with a full queue listens there"
        except OSError as error:
            if error.errno == errno.EPROTOTYPE:
                return "a live program has a datagram socket there"
            if isinstance(error, PermissionError):
                return f"a socket is there that {_whoami()} may not connect to, perhaps of a live server"
            return f"a socket is there that cannot be examined ({error.strerror})"
        pid = 0
        if sys.platform == "linux":
            (pid,) = struct.unpack("i8x", probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
            if pid and _has_ended(pid):
                return None  # Whoever began to listen was killed; what it forked still finishes a request.
        return f"a live server (pid {pid}) listens there" if pid else "a live server listens there"


def _has_ended(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except OSError as error:
        return error.errno == errno.ESRCH
    return False


def _directory_warnings(path: str, uid: int) -> tuple[str, ...]:
    """Tell who else could put a socket of their own in the place of ours."""
    directory = os.path.dirname(path)
    status = os.stat(directory)
    mend = "use a directory that only the server's user can write to"
    if status.st_mode & stat.S_IWOTH and not status.st_mode & stat.S_ISVTX:
        return (f"every user can replace unix:{shown(path)}: {shown(directory)} is writable for all; {mend}",)
    if status.st_uid not in (0, os.geteuid(), uid):
        owner = _user_name(status.st_uid)
        return (f"user {owner} can replace unix:{shown(path)}: {shown(directory)} is theirs; {mend}",)
    return ()


def user_id(owner: str) -> int:
    """Return the number of a user given by name or number; BindError if there is none of that name."""
    import pwd  # only who asks for an owner pays

    if owner.isascii() and owner.isdigit():
        return int(owner)
    try:
        return pwd.getpwnam(owner).pw_uid
    except (KeyError, ValueError):
        raise BindError(f"there is no user {shown(owner)!r} to own the socket; check --socket-owner") from None


def group_id(group: str) -> int:
    """Return the number of a group given by name or number; BindError if there is none of that name."""
    import grp

    if group.isascii() and group.isdigit():
        return int(group)
    try:
        return grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise BindError(f"there is no group {shown(group)!r} to own the socket; check --socket-group") from None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _is_at(path: str, status: os.stat_result) -> bool:
    try:
        return _identity(os.lstat(path)) == _identity(status)
    except FileNotFoundError:
        return False


def _user_name(uid: int) -> str:
    import pwd  # only messages need it

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _whoami() -> str:
    return f"user {_user_name(os.geteuid())}"


def _cannot(path: str, cause: str, mend: str) -> BindError:
    return BindError(f"cannot listen on unix:{shown(path)}: {cause}; {mend}")


def _explained(path: str, error: OSError) -> BindError:
    """Put an errno of open, flock, bind, chown or unlink into a sentence that helps."""
    directory = shown(os.path.dirname(path))
    if error.errno == errno.ENOENT:
        word = f"'{directory}'" if " " in directory else directory  # for a command that somebody copies
        return _cannot(path, f"there is no directory {directory}", f"make it (mkdir -p {word}) or choose another")
    if error.errno == errno.ENOTDIR:
        return _cannot(path, f"{directory} is no directory", "choose another path")
    if error.errno in (errno.EACCES, errno.EPERM):
        return _cannot(
            path, f"{_whoami()} may not write in {directory}", "change the owner of the directory or choose another"
        )
    if error.errno == errno.EROFS:
        return _cannot(path, f"{directory} is on a read-only file system", "choose another path")
    if error.errno == errno.EADDRINUSE:
        return _cannot(path, "something else has just been made there", "look what it is or choose another path")
    return _cannot(path, f"the system says {error.strerror!r}", "mend that or choose another path")
