"""This file tells whether files have changed since they were last looked at: a few stat() calls on a timer.

inotify is left alone on purpose. It sees nothing on NFS and on shared folders of virtual machines, and what it watches
is an inode: when a deployment switches a symbolic link (`current -> releases/42`), the file in the old release does not
change at all. stat() follows links, so the next look finds another inode. Ten files cost some 50 microseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final, final

_Signature = tuple[int, int, int, int]


@final
class Watch:
    """Remembers what files looked like.

    A file that is gone, or cannot be looked at, is no change, as there is nothing to load: deployments remove files
    before they write them anew. When it is back, and is not the same one, that is a change. A file that was not there
    at first and appears is a change too.

    A path on a network file system whose server does not answer makes stat(), and so the caller, wait for it.

    Args:
        paths: files, folders or symbolic links to them; a relative path means what it means now, also after chdir().
    """

    __slots__ = ("_seen",)

    def __init__(self, paths: Iterable[str]) -> None:
        self._seen: Final = {path: _look(path) for path in map(os.path.abspath, paths)}

    def changed(self) -> list[str]:
        """The paths that have changed since the last call, each told once; empty, and so false, if none has."""
        found = []
        for path, seen in self._seen.items():
            now = _look(path)
            if now is not None and now != seen:
                self._seen[path] = now
                found.append(path)
        return found


def _look(path: str) -> _Signature | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):  # ValueError: it is no path at all; those of an application may be anything
        return None
    # The time alone is not enough: `cp -p` and `git checkout` of an old file may bring an equal one, in another inode.
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
