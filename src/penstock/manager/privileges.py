"""This file makes a process somebody else for good: user and group, and the limits that only root may set beforehand.

Names become numbers when the settings are read, before anything is opened; the process changes over later, after fork:

    identity = find_identity("www-data", None)      ValueError: there is no such user
    check_identity(identity)                        PermissionError: we are not root
    ...                                             sockets, logs, the pid file
    limit_process(nofile=4096, nice=5)              while still root
    drop_privileges(identity)                       and only now the application is imported
"""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import pwd
import resource
import sys
from dataclasses import dataclass
from typing import Final

_PR_SET_DUMPABLE: Final = 4  # <linux/prctl.h>
_PR_SET_NO_NEW_PRIVS: Final = 38


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a process shall be.

    Attributes:
        uid, gid: its numbers.
        user: the name that other groups are looked up by; "" for a number without a name, which has none.
        home, shell: from the user database; "" where it has no such user.
    """

    uid: int
    gid: int
    user: str = ""
    home: str = ""
    shell: str = ""

    def environ(self) -> dict[str, str]:
        """What the environment should say of this user: root's HOME would send caches to a place that is closed."""
        values = {"USER": self.user, "LOGNAME": self.user, "HOME": self.home, "SHELL": self.shell}
        return {name: value for name, value in values.items() if value}

    def __str__(self) -> str:
        return f"user {self.user or self.uid} (uid {self.uid}, gid {self.gid})"


def find_identity(user: str | None, group: str | None) -> Identity | None:
    """Look up a user and a group, each given by name or by number; None where neither is given.

    A user alone brings the primary group along; a group alone leaves the user as it is.

    Raises:
        ValueError: there is no such user or group, in a sentence that names it.
    """
    if user is None and group is None:
        return None
    entry = _user_entry(str(os.geteuid()) if user is None else user)
    gid = None if group is None else _group_number(group)
    if entry is not None:
        return Identity(entry.pw_uid, entry.pw_gid if gid is None else gid, entry.pw_name, entry.pw_dir, entry.pw_shell)
    uid = os.geteuid() if user is None else int(user)
    if gid is None:
        raise ValueError(f"user {uid} is not in the user database, so its group is not known; name the group as well")
    return Identity(uid, gid)


def _user_entry(user: str) -> pwd.struct_passwd | None:
    """The user's entry, or None for a number that has none."""
    try:
        return pwd.getpwuid(_number("user", user)) if user.isdecimal() else pwd.getpwnam(user)
    except (KeyError, ValueError) as error:
        if user.isdecimal() and isinstance(error, KeyError):
            return None
        raise ValueError(f"there is no user {user!a}; make it, or name another one") from None


def _group_number(group: str) -> int:
    try:
        return _number("group", group) if group.isdecimal() else grp.getgrnam(group).gr_gid
    except (KeyError, ValueError):
        raise ValueError(f"there is no group {group!a}; make it, or name another one") from None


def _number(kind: str, text: str) -> int:
    number = int(text)
    if not text.isascii() or number >= 2**32 - 1:  # the last one means "leave it" to setresuid(2)
        raise ValueError(f"{text!a} is no number of a {kind}")
    return number


def check_identity(identity: Identity | None) -> None:
    """Find out early whether `drop_privileges` may succeed.

    Raises:
        PermissionError: it would take root, and we are not.
    """
    if identity is not None and not _is_us(identity) and os.geteuid() != 0:
        raise PermissionError(
            f"only root can run workers as {identity}, and this is uid {os.geteuid()}, gid {os.getegid()};"
            " start as root, or leave user and group out"
        )


def root_warning(identity: Identity | None) -> str | None:
    """What to say once at start if the application will run as root; None if it will not."""
    if os.geteuid() != 0 or (identity is not None and identity.uid != 0):
        return None
    return "the application runs as root, and whoever breaks into it owns this machine; name a user, as in www-data"


def drop_privileges(identity: Identity | None, *, no_new_privileges: bool = True) -> None:
    """Become `identity`, for good, and make sure of it. Nothing is done for None.

    Where we are that user already, groups and numbers stay. Afterwards the process leaves no core and cannot be traced
    by others of that user (PR_SET_DUMPABLE 0), for its memory was root's.

    Args:
        no_new_privileges: programs that are started from here gain nothing by a setuid bit or file capabilities
            (PR_SET_NO_NEW_PRIVS). This includes sudo, and a sendmail that is setgid. Linux only; else nothing.

    Raises:
        PermissionError: the system refuses, or would let us back. The process must end then, without running
            anything of the application.
    """
    if identity is None:
        return
    if not _is_us(identity):
        check_identity(identity)
        try:
            _change(identity)
        except OSError as error:
            raise PermissionError(f"cannot become {identity}: the system says {error.strerror!r}") from error
        _prctl(_PR_SET_DUMPABLE, 0)
    if identity.uid != 0:
        _make_sure(identity)
    if no_new_privileges:
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def _is_us(identity: Identity) -> bool:
    numbers = {os.getuid(), os.geteuid()}, {os.getgid(), os.getegid()}
    # Root asked to be root comes here too, and keeps its other groups.
    return numbers == ({identity.uid}, {identity.gid})


def _change(identity: Identity) -> None:
    """The order matters: after setuid() the groups could not be changed any more. Each call raises if it fails."""
    if identity.user:
        os.initgroups(identity.user, identity.gid)
    else:
        os.setgroups([identity.gid])
    os.setgid(identity.gid)
    os.setuid(identity.uid)


def _make_sure(identity: Identity) -> None:
    if not _is_us(identity):
        raise PermissionError(f"cannot become {identity}: the system said yes and did not do it")
    for attempt in (os.setuid, os.seteuid):
        try:
            attempt(0)
        except PermissionError:
            continue
        raise PermissionError(f"cannot become {identity} for good: the way back to root is open")


def _prctl(option: int, value: int) -> None:
    """prctl(2); nothing where there is none. What an old kernel does not know (EINVAL) is left out too."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(0), ctypes.c_ulong(0), ctypes.c_ulong(0)) == 0:
        return
    number = ctypes.get_errno()
    if option != _PR_SET_NO_NEW_PRIVS or number != errno.EINVAL:
        raise PermissionError(number, f"prctl({option}, {value}) failed: {os.strerror(number)}")


def allow_files(most: int = 65_536) -> None:
    """Raise the soft limit of open descriptors as far as the hard one lets us.

    systemd starts services with 1024, for the sake of select(), and a supervisor needs a few for each worker.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = most if hard == resource.RLIM_INFINITY else min(most, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def limit_process(*, nofile: int = 0, nice: int = 0) -> None:
    """Set how many descriptors this process may have open, and add to its niceness; 0 leaves each as it is.

    Raises:
        ValueError: the system allows no such number of descriptors.
        PermissionError: it takes root.
    """
    if nofile:
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, nofile))
        except (ValueError, OSError):
            why = "that is above fs.nr_open" if os.geteuid() == 0 else f"only root may go beyond {hard}"
            raise ValueError(f"cannot allow {nofile} open descriptors: {why}; ask for fewer") from None
    if nice:
        try:
            os.nice(nice)
        except PermissionError:
            raise PermissionError(f"only root can set a niceness of {nice}; start as root, or leave it out") from None
