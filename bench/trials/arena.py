"""This file sets up one trial: a fresh copy of the application, a contender that serves it, a new release."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench import measure
from bench.nginx import nginx
from bench.stage import PeerFailed, environment
from bench.trials.contenders import TOUCHED, WORKERS
from bench.trials.crowd import once, until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from bench.trials.contenders import Contender

SITE = Path(__file__).resolve().parent / "site"
START_LIMIT = 15.0

# What a deployment may bring; {version} is answered to every request.
GOOD = {"py": 'VERSION = b"{version}"\n', "php": "<?php function version() {{ return '{version}'; }}\n"}
SLOW = {"py": "import time\ntime.sleep(3)\n" + GOOD["py"], "php": GOOD["php"] + "sleep(3);\n"}
BROKEN = {"py": "import a_module_that_is_not_there\n", "php": "<?php require 'a_file_that_is_not_there.php';\n"}

PHP_FPM = """[global]
error_log = {folder}/php-fpm.log
process_control_timeout = 30s
[www]
{user}listen = {folder}/s
pm = static
pm.max_children = {workers}
"""


def release(folder: Path, kind: dict[str, str], version: str) -> None:
    """Deploy ``version``: each file is there whole or not at all."""
    for ending, text in kind.items():
        fresh = folder / "release.new"
        fresh.write_text(text.format(version=version), encoding="ascii")
        fresh.replace(folder / f"release.{ending}")


@dataclass(frozen=True)
class Bout:
    """A contender that serves version 1."""

    contender: Contender
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path
    port: int

    @property
    def socket(self) -> str:
        """Where it listens."""
        return str(self.folder / "s")

    def reload(self) -> None:
        """Ask for a reload, in the contender's own way."""
        if self.contender.reload is None:
            os.utime(self.folder / TOUCHED)
        else:
            self.process.send_signal(self.contender.reload)

    def workers(self) -> list[int]:
        """The process numbers of its workers."""
        return self.contender.workers(self.process.pid, self.socket)


@dataclass(frozen=True)
class Arena:
    """The one nginx and the scratch folder."""

    folder: Path
    ports: dict[str, int]

    @contextmanager
    def bout(self, contender: Contender) -> Iterator[Bout]:
        """Run ``contender`` with version 1 while the block runs; PeerFailed if it does not serve."""
        folder = self.folder / contender.name
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(SITE, folder)
        (folder / TOUCHED).touch()
        user = "user = root\n" if os.geteuid() == 0 else ""
        settings = PHP_FPM.format(folder=folder, user=user, workers=WORKERS)
        (folder / "php-fpm.conf").write_text(settings, encoding="ascii")
        release(folder, GOOD, "1")
        with self.started(contender) as bout:
            if not until(lambda: once(bout.port).version == "1", START_LIMIT):
                raise PeerFailed(f"does not serve: {measure.tail(bout.log)}")
            until(lambda: len(bout.workers()) == WORKERS, START_LIMIT)
            time.sleep(0.5)  # for the last worker's import
            yield bout

    @contextmanager
    def started(self, contender: Contender) -> Iterator[Bout]:
        """Start ``contender`` on what its folder holds, and kill all that is left of it at the end."""
        folder = self.folder / contender.name
        # A .pyc may be taken for a file that was changed within the same second.
        variables = environment(folder) | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
        log = folder / f"log{len(list(folder.glob('log*'))) or ''}"
        command = contender.arguments(str(folder / "s"))
        with measure.running(command, variables, folder, log) as process:
            yield Bout(contender, process, folder, log, self.ports[contender.name])

    def reasons(self) -> Counter[str]:
        """What nginx said about failed requests so far, by reason."""
        text = (self.folder / "nginx" / "error.log").read_text(encoding="utf-8", errors="replace")
        return Counter(" ".join(found) for found in _REASON.findall(text))


# "connect() to unix:... failed (111: Connection refused) while connecting to upstream"
_REASON = re.compile(r"\*\d+ (.+?)(?: to unix:\S+ failed| failed)?(?: \(\d+: ([^)]+)\))? while ")


@contextmanager
def arena(contenders: list[Contender]) -> Iterator[Arena]:
    """Set up nginx for ``contenders``; when the block ends, by Ctrl-C too, no process and no file is left."""
    folder = Path(tempfile.mkdtemp(prefix="pst", dir="/tmp"))
    try:
        sockets = {contender.name: str(folder / contender.name / "s") for contender in contenders}
        with nginx(folder / "nginx", [*contenders], sockets) as (_, ports):
            yield Arena(folder, ports)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
