"""This file starts a real lighttpd in a scratch folder, from whatever configuration a test writes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.interop.webserver import WebServer
from tests.processes import Processes, find_free_port

MODULES = ("mod_access", "mod_fastcgi", "mod_rewrite", "mod_setenv", "mod_scgi")


def start(
    processes: Processes,
    program: str,
    folder: Path,
    configuration: str,
    *,
    modules: Sequence[str] = MODULES,
) -> WebServer:
    """Start lighttpd with its files in `folder`, and wait until it serves. It stays the user that we are.

    Args:
        configuration: what follows the general part; address, port, document root and modules are set already.
        modules: what to load.

    Raises:
        AssertionError: it does not start; the message has all that it said.
    """
    port = find_free_port()
    documents = folder / "htdocs"
    documents.mkdir(exist_ok=True)
    loaded = ", ".join(f'"{name}"' for name in modules)
    file = folder / "lighttpd.conf"
    file.write_text(
        f'server.modules = ( {loaded} )\nserver.document-root = "{documents}"\nserver.bind = "127.0.0.1"\n'
        f"server.port = {port}\n{configuration}\n",
        encoding="utf-8",
    )
    process = processes.start(program, "-D", "-f", file)
    process.wait_for("server started")
    return WebServer(process, port, folder)
