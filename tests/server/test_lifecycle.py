"""Tests of the way from start to end: states, signals, and what is put back afterwards."""

from __future__ import annotations

import io
import os
import select
import signal
import socket
import sys
import threading
from types import SimpleNamespace

import pytest

from penstock.server.lifecycle import STOP_SIGNALS, Lifecycle, State
from tests.processes import PATIENCE


class Ended(BaseException):
    """The process would be gone here."""


@pytest.fixture
def steps(monkeypatch):
    """What happened, in order; the process does not really end, and no alarm is really set."""
    made: list[object] = []

    def leave(code):
        made.append(f"exit {code}")
        raise Ended

    monkeypatch.setattr(os, "_exit", leave)
    monkeypatch.setattr(signal, "setitimer", lambda which, seconds: made.append(f"alarm {seconds}"))
    return made


@pytest.fixture
def lifecycle(steps):
    listener = SimpleNamespace(begin_drain=lambda: None, close=lambda: steps.append("cleanup"))
    return Lifecycle(7.0, lambda: steps.append("wake"), [listener])


@pytest.fixture
def wakeup():
    reading, writing = socket.socketpair()
    reading.setblocking(False)
    writing.setblocking(False)
    with reading, writing:
        yield reading, writing


def handled(number: int) -> None:
    """What happens in the main thread on this signal."""
    handler = signal.getsignal(number)
    assert callable(handler)
    handler(number, None)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in (*STOP_SIGNALS, signal.SIGALRM, signal.SIGURG)]


def test_stopping_is_asked_for_once(lifecycle, steps):
    assert lifecycle.state.name == "RUNNING"
    lifecycle.stop()
    lifecycle.stop()
    assert lifecycle.state is State.DRAINING
    assert steps == ["wake"]
    lifecycle.state = State.STOPPED
    lifecycle.stop()
    assert lifecycle.state is State.STOPPED


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_signal_stops_and_sets_the_alarm_for_the_hard_end(lifecycle, steps, wakeup, number):
    before = handlers()
    with lifecycle.signals(wakeup[1].fileno()):
        signal.raise_signal(number)
        assert lifecycle.state is State.DRAINING
        assert steps == ["wake", "alarm 7.0"]
        assert wakeup[0].recv(10) == bytes([number])  # so a thread that waits elsewhere looks up
    assert steps[2:] == ["alarm 0"]
    assert handlers() == before


def test_a_second_signal_ends_the_process_after_cleaning_up(lifecycle, steps, wakeup):
    with lifecycle.signals(wakeup[1].fileno()):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGINT)
    assert steps[2:4] == ["cleanup", "exit 0"]


def test_the_alarm_does_the_same(lifecycle, steps, wakeup):
    with lifecycle.signals(wakeup[1].fileno()):
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGALRM)
    assert steps[2:4] == ["cleanup", "exit 0"]


def test_without_a_stop_the_alarm_of_the_program_is_left_alone(lifecycle, steps, wakeup):
    before = handlers()
    with lifecycle.signals(wakeup[1].fileno()):
        assert signal.getsignal(signal.SIGALRM) == before[-2]
    assert steps == []
    assert handlers() == before


def test_a_signal_that_the_main_thread_does_not_notice_is_passed_on_to_it(steps):
    """As when it comes just before the main thread waits for input: another thread reads its byte."""
    arrived, arriving = os.pipe()  # the bytes of signals
    woken, waking = os.pipe()  # what the main thread waits for
    os.set_blocking(arriving, False)
    waits = threading.Event()

    def wake() -> None:
        os.write(waking, b"x")

    lifecycle = Lifecycle(7.0, wake, ())

    def elsewhere() -> None:
        assert waits.wait(PATIENCE)
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
        data = os.read(arrived, 64)
        assert data == bytes([signal.SIGTERM])
        lifecycle.pass_on(data)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    poll = select.poll()
    poll.register(woken, select.POLLIN)
    with lifecycle.signals(arriving):
        waits.set()
        assert poll.poll(PATIENCE * 1000)
        assert lifecycle.state is State.DRAINING
    thread.join()
    for end in (arrived, arriving, woken, waking):
        os.close(end)


def test_a_kick_that_is_lost_likewise_is_repeated(lifecycle, wakeup, monkeypatch):
    kicks: list[int] = []

    def kick(_thread: int, number: int) -> None:
        kicks.append(number)
        if len(kicks) == 3:
            handled(number)

    monkeypatch.setattr(signal, "pthread_kill", kick)
    with lifecycle.signals(wakeup[1].fileno()):
        thread = threading.Thread(target=lifecycle.pass_on, args=(bytes([signal.SIGTERM]),))
        thread.start()
        thread.join()
    assert kicks == [signal.SIGURG] * 3


def test_plain_wakes_and_signals_that_are_not_obeyed_are_nobodys_business(lifecycle, wakeup, monkeypatch):
    kicks: list[int] = []

    def kick(_thread: int, number: int) -> None:
        kicks.append(number)
        handled(number)

    monkeypatch.setattr(signal, "pthread_kill", kick)

    def elsewhere(data: bytes) -> None:
        thread = threading.Thread(target=lifecycle.pass_on, args=(data,))
        thread.start()
        thread.join()

    elsewhere(bytes([signal.SIGTERM]))
    with lifecycle.signals(wakeup[1].fileno()):
        lifecycle.pass_on(bytes([signal.SIGTERM]))
        elsewhere(b"\0\0")
        elsewhere(bytes([signal.SIGURG]))
        assert kicks == []
        elsewhere(bytes([0, signal.SIGTERM]))
        assert kicks == [signal.SIGURG]


def test_outside_of_the_main_thread_signals_are_left_alone(lifecycle, wakeup):
    before = handlers()
    seen: list[object] = []

    def run() -> None:
        with lifecycle.signals(wakeup[1].fileno()):
            seen.extend(handlers())

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == before


@pytest.mark.parametrize("error", [OSError, ValueError, RuntimeError])
def test_the_hard_end_flushes_what_it_can_and_ends_all_the_same(lifecycle, steps, monkeypatch, error):
    class Broken(io.StringIO):
        def flush(self):
            raise error("no")

    class Sound(io.StringIO):
        def flush(self):
            steps.append("flush")

    monkeypatch.setattr(sys, "stdout", Broken())
    monkeypatch.setattr(sys, "stderr", Sound())
    with pytest.raises(Ended):
        lifecycle.exit_now()
    assert steps == ["cleanup", "flush", "exit 0"]
    monkeypatch.setattr(sys, "stderr", None)
    with pytest.raises(Ended):
        lifecycle.exit_now()
