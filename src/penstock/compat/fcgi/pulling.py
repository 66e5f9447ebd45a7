"""This file turns penstock's server, which calls a gateway, into a line of requests that a program takes one by one.

The server runs in a thread of its own and waits there while the program, in its main thread, is at work on a request.
"""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Final, final

from penstock.compat._output import NO_MORE, OutputGateway
from penstock.gateways.request import Request
from penstock.protocol.spec import Role
from penstock.server.homes import answer_once, find_home, settle_descriptors
from penstock.server.hosting import Place, Wish, open_place
from penstock.server.notices import log
from penstock.server.options import ServerOptions
from penstock.server.serving import start_log

_OPTIONS: Final = ServerOptions(threads=1, roles=frozenset(Role))


class Unfinished(Exception):
    """The program has ended with a traceback, and the request that it was at has no answer."""


@final
class Call:
    """One request that waits for the program.

    Attributes:
        request: penstock's request.
    """

    __slots__ = ("_output", "request")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._output: SimpleQueue[bytes | None] = SimpleQueue()

    def end(self, output: bytes | None) -> None:
        """Answer with a CGI response; None if there is none that deserves to be sent."""
        self._output.put(output)

    def wait(self) -> bytes:
        """Wait for the answer.

        Raises:
            Unfinished: there is none.
        """
        output = self._output.get()
        if output is None:
            raise Unfinished("the program ended before it had finished the request")
        return output


@final
class Line:
    """The requests of this process, from whoever started it.

    Args:
        finish_open: called when the program ends itself, with whether it does so without a traceback.

    Attributes:
        over: no more requests come.
        status: the exit status of a process that has nothing more to do.

    Raises:
        AddressError, BindError: what the process was started with is no listening socket.
    """

    def __init__(self, finish_open: Callable[[bool], None]) -> None:
        settle_descriptors()
        if not log.hasHandlers():
            start_log("warning")  # a web server's error log is no place for greetings
        self.over = False
        self.status = 0
        self._calls: SimpleQueue[Call | None] = SimpleQueue()
        self._news, self._tell = os.pipe()
        os.set_blocking(self._tell, False)
        self._closed = False
        self._finish_open = finish_open
        place = open_place(Wish(_OPTIONS, one_at_a_time=True))
        self._home = find_home(os.environ)
        self._once = place is None and self._home.once
        self._grace = 30.0
        self._stop: Callable[[], None] = lambda: None
        run = self._answer_once if self._once else self._make_server(place)
        self._thread = threading.Thread(target=self._run, args=(run,), name="penstock-1", daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    def next(self) -> Call | None:
        """Wait for the next request; None when no more come."""
        if self.over:
            return None
        in_main = threading.current_thread() is threading.main_thread()
        # A signal may reach the server's thread, and a queue would let the main thread sleep on: a byte wakes it.
        before = signal.set_wakeup_fd(self._tell, warn_on_full_buffer=False) if in_main else -1
        try:
            call = self._wait()
        finally:
            if in_main:
                signal.set_wakeup_fd(before)
        if call is None:
            self._see_end()
        elif self._once:
            self.over = True
        return call

    def _wait(self) -> Call | None:
        while True:
            try:
                return self._calls.get_nowait()
            except Empty:
                os.read(self._news, 4096)

    def _put(self, call: Call | None) -> None:
        self._calls.put(call)
        try:
            os.write(self._tell, b"\0")
        except BlockingIOError:
            pass  # there is plenty to wake up for

    def settle(self) -> None:
        """Say that a call has been answered: in plain CGI that was all, and the answer is out when this returns."""
        if self._once:
            self._thread.join()

    def _make_server(self, place: Place | None) -> Callable[[], None]:
        # Imported late, because a plain CGI request needs none of it.
        from penstock.server.host import inherited_place
        from penstock.server.wiring import thread_server

        if place is None:
            place = inherited_place(self._home, _OPTIONS)
        server = thread_server(OutputGateway(self._hand_over), place.listeners, place.options, place.access_log)
        self._grace = place.options.graceful_timeout
        self._stop = server.stop
        if threading.current_thread() is threading.main_thread():
            # The server is in another thread, where it cannot see to its signals itself.
            for number, act in server.lifecycle.handlers.items():
                signal.signal(number, act)
        return server.run

    def _run(self, run: Callable[[], None]) -> None:
        try:
            run()
        except BaseException:
            self.status = 1
            log.exception("the server has failed")
        finally:
            self._put(None)

    def _answer_once(self) -> None:
        gateway = OutputGateway(self._hand_over, run_once=True)
        self.status = answer_once(self._home, object(), gateway, os.environ)

    def _hand_over(self, request: Request) -> bytes:
        if self._closed:
            return NO_MORE
        call = Call(request)
        self._put(call)
        return call.wait()

    def _see_end(self) -> None:
        self.over = True
        self._thread.join()
        if not self._once and threading.current_thread() is threading.main_thread():
            signal.setitimer(signal.ITIMER_REAL, 0)  # the hard end, which a stop signal sets

    def _leave(self) -> None:
        """The program ends: finish what it is at, and let the server finish what it has accepted."""
        self._closed = True
        # Set for an exception that nobody caught, and not for sys.exit(), which many scripts end a page with.
        self._finish_open(not hasattr(sys, "last_value"))
        self._stop()
        until = time.monotonic() + self._grace
        while self._thread.is_alive():
            try:
                call = self._calls.get(timeout=max(0.0, until - time.monotonic()))
            except Empty:
                return
            if call is None:
                self._thread.join()
            else:
                call.end(NO_MORE)
