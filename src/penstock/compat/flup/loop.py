"""This file is the part of flup's servers that runs and stops: signals, and the hooks that programs override."""

# ruff: noqa: N802 - flup's names

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any, ClassVar

from penstock.compat.flup.news import Mailbox, News
from penstock.compat.flup.unsupported import refuse

Disposition = Any
"""What signal.getsignal() returns: a function, a member of signal.Handlers, or None."""


class Loop:
    """Runs until a signal or _exit() ends it.

    SIGINT and SIGTERM end it; SIGHUP too, and then run() returns True. SIGUSR1, with which FastCGI's managers end an
    application, counts as SIGTERM. Requests that were accepted are finished first, for up to 30 seconds; a second
    signal cuts that short. In another thread than the main one no signal is obeyed, and _exit() is the way out.
    """

    _reload_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGHUP,)
    _stop_signals: ClassVar[tuple[signal.Signals, ...]] = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)

    def __init__(self) -> None:
        self._mailbox: Mailbox | None = None
        self._going = False
        self._hupReceived = False
        self._oldSIGs: list[tuple[int, Disposition]] = []

    @property
    def _keepGoing(self) -> bool:
        return self._going

    @_keepGoing.setter
    def _keepGoing(self, value: bool) -> None:
        # Programs end a server by setting this, from whatever thread.
        self._going = bool(value)
        if not value:
            self._tell(News.LOOK)

    def _tell(self, news: News) -> None:
        if self._mailbox is not None:
            self._mailbox.put(news)

    def _threads(self) -> int:
        """How many requests run at a time."""
        return 1

    def _serve(self, sock: object, mailbox: Mailbox) -> None:  # noqa: ARG002
        """Serve as long as `_keepGoing`; the servers that know a protocol have this."""
        refuse(f"flup's {type(self).__name__} with a jobClass", "use a WSGIServer of flup.server, or socketserver")

    def run(self, sock: object, timeout: float = 1.0) -> bool:  # noqa: ARG002
        """Serve; see the class.

        Args:
            sock: what _setupSocket() has returned.
            timeout: not used, for nothing is polled.

        Returns:
            Whether SIGHUP has ended it.
        """
        self._begin()
        return self._loop(sock)

    def _begin(self) -> None:
        """From here on whatever ends the server counts, also if it has not come to serving yet."""
        # Not made with the server: a program may close all descriptors in between, to become a daemon.
        self._mailbox = Mailbox()
        self._going = True
        self._hupReceived = False

    def _loop(self, sock: object) -> bool:
        mailbox = self._mailbox
        assert mailbox is not None
        self._installSignalHandlers()
        try:
            with mailbox.woken_by_signals():
                self._serve(sock, mailbox)
        finally:
            self._going = False
            self._restoreSignalHandlers()
        return self._hupReceived

    def shutdown(self) -> None:
        """Nothing: run() returns when all is over."""

    def _mainloopPeriodic(self) -> None:
        """To be overridden: called about once a second while the server runs."""

    def _exit(self, reload: bool = False) -> None:
        """End run(), from any thread; it returns `reload`."""
        if self._going:
            self._hupReceived = reload
            self._keepGoing = False

    def _hupHandler(self, signum: int, frame: FrameType | None) -> None:
        """Obey SIGHUP."""
        if self._going:
            self._hupReceived = True
        self._intHandler(signum, frame)

    def _intHandler(self, signum: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Obey SIGINT and SIGTERM."""
        if self._going:
            self._keepGoing = False
        else:
            self._tell(News.HURRY)

    def _installSignalHandlers(self) -> None:
        self._oldSIGs = []
        if threading.current_thread() is not threading.main_thread():
            return
        for numbers, handler in ((self._stop_signals, self._intHandler), (self._reload_signals, self._hupHandler)):
            for number in numbers:
                self._oldSIGs.append((number, signal.getsignal(number)))
                signal.signal(number, handler)

    def _restoreSignalHandlers(self) -> None:
        for number, handler in self._oldSIGs:
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
