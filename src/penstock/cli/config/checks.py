"""This file asks the file system: what that `penstock config` names is missing, what can the web server not reach."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
import sys
from collections.abc import Iterator

from penstock.cli.config.servers import Server
from penstock.cli.config.site import Site, SiteError, places
from penstock.cli.config.text import locate


def check_files(site: Site) -> None:
    """Raise for what makes the configuration useless, or a danger, on this machine.

    Raises:
        SiteError: a directory or file is not there, or anybody may put code into the application's directory.
    """
    for url, folder in site.static:
        if not os.path.isdir(folder):
            raise SiteError(f"--static {url}={folder}: there is no directory {os.path.abspath(folder)}; make it first")
    for option, path in (("--tls-cert", site.tls_cert), ("--tls-key", site.tls_key)):
        if path and not os.path.exists(path):
            raise SiteError(f"{option}: there is no file {os.path.abspath(path)}")
    if site.state_dir and not os.path.isdir(site.state_dir):
        raise SiteError(f"--state-dir: there is no directory {os.path.abspath(site.state_dir)}; make it first")
    if site.full and site.user and not _is_user(site.user):
        raise SiteError(f"--full: there is no user {site.user!r} on this machine; name the web server's with --user")
    folder = os.path.dirname(_app_file(site.app))
    if folder:
        mode = os.stat(folder).st_mode
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            raise SiteError(
                f"APP: anybody may write into {folder}, and with that run code as your application;"
                f" chmod o-w {shlex.quote(folder)}"
            )


def check_sockets(server: Server, site: Site) -> None:
    """Raise where a web server that starts the application could not make the sockets for it.

    Raises:
        SiteError: its user may not write into the state directory.
    """
    user = server.user if site.user is None else site.user
    folder = os.path.abspath(site.state_dir)
    if site.full and server.makes_sockets and user and not _may(user, folder, os.W_OK):
        raise SiteError(
            f"--state-dir: {user} may not write into {folder}, where {server.name} makes the sockets as that user;"
            f" chown {user} {shlex.quote(folder)}, or name another directory"
        )


def warnings(server: Server, site: Site) -> Iterator[str]:
    """Sentences about what the web server's user will not reach; none where this machine does not know that user."""
    user = server.user if site.user is None else site.user
    if not user:
        return
    needed = [folder for _, folder in site.static]
    if site.full:
        needed.append(os.path.abspath(site.state_dir))
    if site.full or site.bind:
        needed += [os.path.dirname(place.path) for place in places(site) if place.path]
    if server.spawns:
        needed = [sys.executable, os.path.realpath(sys.executable), _app_file(site.app)]
    if server.needs == (".fcgi",) and (script := _app_file(site.app)) and not os.access(script, os.X_OK):
        yield f"{script} is not executable, so {server.name} cannot start it; chmod 755 {shlex.quote(script)}"
    told = set()
    for path in filter(None, needed):
        shut = _shut_folder(os.path.abspath(path), user)
        if shut and shut not in told:
            told.add(shut)
            yield f"{user} may not enter {shut}, so {server.name} will not reach {path}"


def _app_file(app: str) -> str:
    """The file of APP on this machine; "" where it is a module from elsewhere, or not there."""
    located = locate(app, os.getcwd())
    for path in (located, located.rpartition(":")[0]):
        if os.path.isabs(path) and os.path.exists(path):
            return path
    return ""


def _is_user(name: str) -> bool:
    try:
        pwd.getpwnam(name)
    except KeyError:
        return False
    return True


def _shut_folder(path: str, user: str) -> str:
    """The first folder on the way to `path`, itself included, that the user may not enter; "" if there is none."""
    at = "/"
    for part in ["", *path.strip("/").split("/")]:
        at = os.path.join(at, part)
        if os.path.isdir(at) and not _may(user, at, os.X_OK):
            return at
    return ""


def _may(user: str, path: str, right: int) -> bool:
    """Whether the mode lets the user do that (R_OK, W_OK or X_OK); also where this machine does not know the user."""
    try:
        entry = pwd.getpwnam(user)
        groups = os.getgrouplist(user, entry.pw_gid)
        found = os.stat(path)
    except (KeyError, ValueError, OSError):
        return True
    shift = 6 if found.st_uid == entry.pw_uid else 3 if found.st_gid in groups else 0
    return entry.pw_uid == 0 or bool(found.st_mode >> shift & right)
