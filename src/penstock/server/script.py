"""This file runs a script such as `dispatch.fcgi` the way a web server would, and finds out what it is: a program that
serves by itself, or one that only has an application.

Importing it costs nothing, for `penstock.serve` does so in every program.
"""

from __future__ import annotations

import errno
import os
import sys
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from penstock.server.hosting import Host
    from penstock.server.importer import Application


@final
class Script:
    """A script that has been found and compiled, and not run yet.

    Args:
        place: as somebody has written it.
        path: absolute.
        code: what is in it.
    """

    def __init__(self, place: str, path: str, code: CodeType) -> None:
        self.place = place
        self._path = path
        self._code = code

    def run(self, host: Host) -> Application | None:
        """Run it as the program of this process, in its own folder, as Apache and lighttpd do.

        Args:
            host: set as the one that serves; what the script serves, it serves there.

        Returns:
            The `app` or `application` of a script that has not served; None where all is over.

        Raises:
            AppError: it failed, or is nothing that could be served.
            AddressError, BindError: as `Host.open`.
            SystemExit: the script has served, and says with which status it ends.
        """
        from penstock.server.importer import default_of, put_script_first

        folder = os.path.dirname(self._path)
        os.chdir(folder)
        sys.argv = [self._path]
        put_script_first(self._path)
        module = ModuleType("__main__")
        module.__file__ = self._path
        sys.modules["__main__"] = module
        with Stopped() as stopped:
            self._execute(module, host, stopped)
            if host.used or stopped():
                return None
        return default_of(module, self.place, "has neither served anything nor an 'app' or 'application'")

    def _execute(self, module: ModuleType, host: Host, stopped: Stopped) -> None:
        from penstock.server.address import AddressError, BindError
        from penstock.server.importer import failed

        try:
            exec(self._code, module.__dict__)
        except SystemExit as end:
            if not (host.used or stopped()):
                raise failed(f"{self.place} cannot be run", end) from end
            raise
        except (AddressError, BindError):
            raise
        except Exception as error:
            report = failed(f"{self.place} {'failed' if host.used else 'cannot be run'}", error)
            report.hint = self._hint(error) or report.hint
            raise report from error

    @staticmethod
    def _hint(error: Exception) -> str:
        """For a copy of an old server that the script brings along."""
        from penstock.server.importer import has_old_name

        if isinstance(error, OSError) and error.errno == errno.ENOTSOCK:
            return "it looks for a listening socket on descriptor 0, where it finds one if --bind names an address"
        if not isinstance(error, SyntaxError) or not error.filename:
            return ""
        name = os.path.basename(error.filename).removesuffix(".py")
        return f"penstock brings a module {name} of its own: move {error.filename} away" if has_old_name(name) else ""


def load_script(target: str) -> Script | None:
    """Find and compile the script that APP names; None where APP is a module, or a file that can be imported.

    Raises:
        AppError: it cannot be read, or is no Python.
    """
    from penstock.server.importer import compile_source, is_path

    if not is_path(target) or target.endswith(".py") or not os.path.isfile(target):
        return None
    path = os.path.abspath(target)
    return Script(target, path, compile_source(target, path))


@final
class Stopped:
    """Whether a stop signal has arrived in the block, whoever has handled it; for the main thread.

    A server that the script has brought along obeys signals in its own way, and does not tell that one has ended it.
    """

    def __enter__(self) -> Stopped:
        import signal

        self._heard = False
        self._ears, self._mouth = os.pipe()
        os.set_blocking(self._ears, False)
        os.set_blocking(self._mouth, False)
        self._before = signal.set_wakeup_fd(self._mouth, warn_on_full_buffer=False)
        return self

    def __call__(self) -> bool:
        import signal

        stops = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
        try:
            self._heard |= any(number in stops for number in os.read(self._ears, 4096))
        except BlockingIOError:
            pass
        return self._heard

    def __exit__(self, *_: object) -> None:
        import signal

        signal.set_wakeup_fd(self._before)
        os.close(self._ears)
        os.close(self._mouth)
