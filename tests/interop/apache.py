"""This file starts a real Apache httpd in a scratch folder, from whatever configuration a test writes."""

from __future__ import annotations

import pwd
from collections.abc import Sequence
from pathlib import Path

from tests.interop.unprivileged import web_user
from tests.interop.webserver import WebServer
from tests.processes import Processes, find_free_port

MODULES = (
    *("mpm_event", "authn_core", "authz_core", "authz_user", "auth_basic", "alias", "dir", "env", "mime", "rewrite"),
    *("setenvif", "proxy", "proxy_fcgi"),
)

# Debian's folder, and that of distributions after Red Hat's.
_FOLDERS = (Path("/usr/lib/apache2/modules"), Path("/usr/lib64/httpd/modules"))


def find_module(name: str) -> Path | None:
    """The file of a module, such as "fcgid"; None when it is not installed."""
    return next((file for folder in _FOLDERS if (file := folder / f"mod_{name}.so").is_file()), None)


def start(
    processes: Processes,
    program: str,
    folder: Path,
    configuration: str,
    *,
    modules: Sequence[str] = MODULES,
) -> WebServer:
    """Start Apache with its files in `folder`, and wait until it serves.

    Args:
        folder: one that the web server's user can look into (`unprivileged.make_scratch`).
        configuration: what follows the general part; `Listen` and `DocumentRoot` are set already.
        modules: what to load, without "mod_"; "fcgid" is not among the usual ones.

    Raises:
        AssertionError: it does not start; the message has all that it said.
    """
    port = find_free_port()
    documents = folder / "htdocs"
    documents.mkdir(exist_ok=True)
    loaded = "".join(f"LoadModule {name}_module {find_module(name)}\n" for name in modules)
    # Each process manager has files of its own, so that several tests can run at once.
    managed = f"FcgidIPCDir {folder}/fcgid\nFcgidProcessTableFile {folder}/fcgid_shm\n" if "fcgid" in modules else ""
    file = folder / "apache.conf"
    file.write_text(
        f"ServerRoot {folder}\nServerName localhost\nListen 127.0.0.1:{port}\nPidFile {folder}/apache.pid\n"
        f"DefaultRuntimeDir {folder}\nErrorLog /dev/stderr\nDocumentRoot {documents}\nTypesConfig /dev/null\n"
        f"{_identity()}{loaded}{managed}"
        f"<Directory {documents}>\n  Require all granted\n</Directory>\n{configuration}\n",
        encoding="utf-8",
    )
    process = processes.start(program, "-D", "FOREGROUND", "-f", file)
    process.wait_for("resuming normal operations")
    return WebServer(process, port, folder)


def _identity() -> str:
    """Whom it becomes where root starts it: it refuses to stay root."""
    user = web_user()
    return f"User {user}\nGroup #{pwd.getpwnam(user).pw_gid}\n" if user else ""
