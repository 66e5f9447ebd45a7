"""This file runs penstock's server in a thread of its own, while the caller waits for a reason to stop, as flup does.

So signals reach a thread that never sits in an application, and run() returns to a program that has more to do.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, final

from penstock.compat.flup.news import Mailbox, News
from penstock.server.listen import Listener
from penstock.server.notices import log
from penstock.server.threads import ThreadServer

TICK: Final = 1.0
"""Seconds between two calls of a program's own _mainloopPeriodic()."""


@final
class Supervision:
    """One run of a server.

    Args:
        server: not running yet.
        listeners: closed when it is over, whether all requests have ended or not.
        grace: seconds that running requests get once the server is to stop.
        mailbox: where others put what they want.
    """

    def __init__(self, server: ThreadServer, listeners: Sequence[Listener], grace: float, mailbox: Mailbox) -> None:
        self._server = server
        self._listeners = listeners
        self._grace = grace
        self._mailbox = mailbox
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._serve, name="penstock-1", daemon=True)

    def run(self, wanted: Callable[[], bool], periodic: Callable[[], object] | None = None) -> None:
        """Serve until nobody wants it any more, then let it finish what it has accepted.

        Args:
            wanted: asked whenever there is news.
            periodic: called after news, and every TICK seconds without.
        """
        self._thread.start()
        try:
            self._watch(wanted, periodic)
        finally:
            self._server.stop()
            try:
                self._see_off()
            finally:
                for listener in self._listeners:
                    listener.close()
        if self._failure is not None:
            raise self._failure

    def _serve(self) -> None:
        try:
            self._server.run()
        except BaseException as error:
            self._failure = error
        finally:
            self._mailbox.put(News.ENDED)

    def _watch(self, wanted: Callable[[], bool], periodic: Callable[[], object] | None) -> None:
        while wanted():
            if self._mailbox.get(None if periodic is None else TICK) is News.ENDED:
                self._thread.join()
                return
            if periodic is not None:
                periodic()

    def _see_off(self) -> None:
        until = time.monotonic() + self._grace
        while self._thread.is_alive():
            news = self._mailbox.get(max(0.0, until - time.monotonic()))
            if news is News.ENDED:
                self._thread.join()
            elif news is not News.LOOK:
                why = f"within {self._grace:g} s" if news is None else "before the next signal"
                log.warning("some requests did not end %s; their connections are left to break", why)
                return
