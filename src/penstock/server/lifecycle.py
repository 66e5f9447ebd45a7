"""This file says where a server stands between start and end, and which signals move it on.

RUNNING --stop--> DRAINING --all finished, or out of time--> STOPPED
                      \\--second stop--> the process ends at once
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from enum import Enum
from types import FrameType
from typing import Final, Protocol

STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""What a web server, a supervisor or a keyboard sends to end an application (SIGUSR1: the FastCGI convention)."""

_KICK: Final = signal.SIGURG
"""Sent to the main thread to make it look up; nobody minds it, as it does nothing where no handler is set."""

_NO_SIGNAL: Final = bytes((0, _KICK))

_PAUSES: Final = (0.01, 0.03, 0.1, 0.3, 1.0)
"""Seconds after each kick in which the main thread may look up."""


class State(Enum):
    """Where a server stands."""

    RUNNING = "running"
    DRAINING = "finishing what it has accepted"
    STOPPED = "stopped"


class Place(Protocol):
    """What is known here of a listener."""

    def begin_drain(self) -> None: ...

    def close(self) -> None: ...


class Lifecycle:
    """The state of one server and its way down.

    Args:
        grace: seconds between the first stop and the hard end.
        wake: makes the server's threads look at the state; must be safe to call from a signal handler.
        listeners: are kept empty while the server stops, and closed even by a hard end, which would leave paths behind.
        unfinished: how many requests a hard end would cut off.
    """

    def __init__(
        self,
        grace: float,
        wake: Callable[[], None],
        listeners: Sequence[Place],
        unfinished: Callable[[], int] = lambda: 0,
    ) -> None:
        self.state = State.RUNNING
        self._grace = grace
        self._kicks = False
        self._looked_up = 0
        self._wake = wake
        self._listeners = listeners
        self._unfinished = unfinished
        self.handlers: dict[int, Callable[..., object]] = dict.fromkeys(STOP_SIGNALS, self.on_stop_signal)
        """What is done on each signal while `signals` or an event loop listens to them."""

    def stop(self) -> None:
        """Begin to drain; safe from a signal handler, so it takes no lock."""
        if self.state is State.RUNNING:
            self.state = State.DRAINING
            self._wake()

    def keep_out(self) -> None:
        """Keep newcomers away, as far as the system can; safe from a signal handler, and again is harmless."""
        for listener in self._listeners:
            listener.begin_drain()

    def close_listeners(self) -> None:
        """Stop listening; again is harmless."""
        for listener in self._listeners:
            listener.close()

    def exit_now(self, reason: str = "told a second time to stop") -> None:
        """End the process at once with status 0; connections break, nothing else is left behind."""
        self.close_listeners()
        cut = self._unfinished()
        if cut:
            # Not through the log: the signal may have interrupted it.
            with contextlib.suppress(OSError):
                os.write(2, f"penstock: {reason}: {cut} unfinished requests were cut off\n".encode())
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                try:
                    stream.flush()
                except (OSError, ValueError, RuntimeError):
                    continue  # Closed, full, or just being written to by the very code that the signal interrupted.
        # Handlers may be stuck in any thread, this one included, so no orderly way out can be relied on.
        os._exit(0)

    def on_stop_signal(self, _number: int = 0, _frame: FrameType | None = None) -> None:
        """Obey a stop signal: the first one drains and sets the alarm for the hard end, which the second one is."""
        if self.state is not State.RUNNING:
            self.exit_now()
        # At once, for the only thread may be busy with a request for long, and a successor may wait for the place.
        with contextlib.suppress(Exception):
            self.keep_out()
        self.stop()
        # An alarm reaches the main thread even while it sits in a handler, which no timer of ours does.
        late = f"not finished {self._grace:g} s after the stop"
        signal.signal(signal.SIGALRM, lambda *_: self.exit_now(late))
        signal.setitimer(signal.ITIMER_REAL, self._grace)

    def pass_on(self, arrived: bytes) -> None:
        """Tell the main thread of signals whose bytes another thread has read from the descriptor of `signals`.

        Python runs handlers in the main thread alone, when that looks for them. A signal that comes just before it
        waits for input would be seen when something arrives for it, which may be never.
        """
        main = threading.main_thread()
        if self._kicks and arrived.strip(_NO_SIGNAL) and threading.current_thread() is not main and main.ident:
            before = self._looked_up
            for pause in _PAUSES:
                signal.pthread_kill(main.ident, _KICK)
                # It may come at that same moment too: then the main thread begins to wait all the same.
                time.sleep(pause)
                if self._looked_up != before:
                    return

    def _on_kick(self, _number: int, _frame: FrameType | None) -> None:
        # Handlers run in the order of their numbers, so those of all stop signals have run.
        self._looked_up += 1

    @contextmanager
    def signals(self, wakeup_fd: int) -> Iterator[None]:
        """Obey the stop signals while the block runs, if this is the main thread; else the caller has to stop us.

        Args:
            wakeup_fd: non-blocking descriptor that gets a byte whenever a signal arrives.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, handler) for number, handler in self.handlers.items()}
        alarm = signal.getsignal(signal.SIGALRM)
        kick = signal.getsignal(_KICK)
        if kick in (signal.SIG_DFL, signal.SIG_IGN):
            signal.signal(_KICK, self._on_kick)  # A signal that is ignored interrupts nothing.
        self._kicks = True
        wakeup_before = signal.set_wakeup_fd(wakeup_fd, warn_on_full_buffer=False)
        try:
            yield
        finally:
            if self.state is not State.RUNNING:
                signal.setitimer(signal.ITIMER_REAL, 0)
            self._kicks = False
            signal.set_wakeup_fd(wakeup_before)
            for number, handler in [*before.items(), (signal.SIGALRM, alarm), (_KICK, kick)]:
                signal.signal(number, handler if handler is not None else signal.SIG_DFL)
