"""Tests of the server's deadlines, on a clock that only the tests move."""

from __future__ import annotations

import gc
import math
import weakref

from hypothesis import given
from hypothesis import strategies as st

from penstock.server.timers import Timers, Vigil


class Thing:
    """Something with a deadline."""

    def on_deadline(self) -> None:
        raise AssertionError("timers hand out what is due, and call nothing")


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make() -> tuple[Timers, Clock]:
    timers, clock = Timers(), Clock()
    timers.clock = clock
    return timers, clock


def test_without_deadlines_there_is_nothing_to_wait_for():
    timers, _ = make()
    assert not timers
    assert timers.earliest() == math.inf
    assert timers.due() == []


def test_a_deadline_is_due_once_and_not_before_its_time():
    timers, clock = make()
    thing = Thing()
    timers.set(thing, 5)
    assert timers
    assert thing in timers
    assert timers.earliest() == clock.now + 5
    clock.now += 4.9
    assert timers.due() == []
    clock.now += 0.1
    assert timers.due() == [thing]
    assert thing not in timers
    assert timers.due() == []
    assert not timers


def test_what_is_due_comes_in_the_order_of_the_deadlines():
    timers, clock = make()
    first, second, third = Thing(), Thing(), Thing()
    timers.set(second, 2)
    timers.set(third, 3)
    timers.set(first, 1)
    clock.now += 10
    assert timers.due() == [first, second, third]


def test_a_deadline_can_be_moved_later_and_earlier():
    timers, clock = make()
    thing = Thing()
    timers.set(thing, 5)
    timers.set(thing, 10)
    clock.now += 6
    assert timers.due() == []
    timers.set(thing, 1)
    assert timers.earliest() == clock.now + 1
    clock.now += 1
    assert timers.due() == [thing]
    clock.now += 100
    assert timers.due() == []


def test_a_cleared_deadline_never_comes():
    timers, clock = make()
    thing, other = Thing(), Thing()
    timers.set(thing, 1)
    timers.set(other, 2)
    timers.clear(thing)
    timers.clear(thing)
    timers.clear(Thing())
    clock.now += 5
    assert timers.due() == [other]


def test_a_thing_may_set_its_deadline_anew_after_it_was_due_or_cleared():
    timers, clock = make()
    thing, other = Thing(), Thing()
    timers.set(other, 1000)
    for _ in range(3):
        timers.set(thing, 1)
        clock.now += 1
        assert timers.due() == [thing]
        timers.set(thing, 1)
        timers.clear(thing)
    clock.now += 5
    assert timers.due() == []


def test_deadlines_that_come_and_go_leave_nothing_behind():
    timers, clock = make()
    staying, moving = Thing(), Thing()
    timers.set(staying, 10_000)
    for _ in range(5000):
        timers.set(moving, 60)
        timers.clear(moving)
        timers.set(Thing(), 60)
        timers.clear(next(iter(set(timers._deadlines) - {staying})))
        clock.now += 0.1
        assert timers.due() == []
    assert len(timers._heap) < 200
    gone = Thing()
    timers.set(gone, 60)
    timers.clear(gone)
    seen = weakref.ref(gone)
    del gone
    clock.now += 61
    assert timers.due() == []
    gc.collect()
    assert seen() is None


actions = st.lists(
    st.tuples(st.sampled_from(["set", "clear", "pass", "due"]), st.integers(0, 4), st.integers(0, 20)), max_size=80
)


@given(actions)
def test_timers_agree_with_a_plain_dictionary(steps):
    timers, clock = make()
    things = [Thing() for _ in range(5)]
    model: dict[Thing, float] = {}
    for action, number, seconds in steps:
        thing = things[number]
        if action == "set":
            timers.set(thing, seconds)
            model[thing] = clock.now + seconds
        elif action == "clear":
            timers.clear(thing)
            model.pop(thing, None)
        elif action == "pass":
            clock.now += seconds
        else:
            expected = {thing for thing, when in model.items() if when <= clock.now}
            assert set(timers.due()) == expected
            for thing in expected:
                del model[thing]
        assert bool(timers) == bool(model)
        assert [thing in timers for thing in things] == [thing in model for thing in things]
        # It may wake a thread early, for nothing, but never late.
        assert timers.earliest() <= min(model.values(), default=math.inf)
        assert model or timers.earliest() == math.inf


class TestVigil:
    def test_a_thread_waits_until_the_next_deadline(self):
        timers, clock = make()
        waits: list[float | None] = []
        vigil = Vigil(timers, lambda seconds: waits.append(seconds) or [7], lambda: None)  # type: ignore[func-returns-value, redundant-expr]
        assert vigil.wait() == [7]
        timers.set(Thing(), 5)
        vigil.wait()
        clock.now += 9
        vigil.wait()
        assert waits == [None, 5, 0]

    def test_whoever_goes_off_wakes_another_unless_somebody_keeps_the_vigil(self):
        timers, _ = make()
        woken: list[str] = []
        inside: list[str] = []

        def wait(_seconds: float | None) -> list[int]:
            vigil.pass_on()  # as another thread would, while this one waits
            inside.append(f"{len(woken)} woken")
            return []

        vigil = Vigil(timers, wait, lambda: woken.append("one"))
        timers.set(Thing(), 60)
        vigil.pass_on()
        assert woken == ["one"]
        vigil.wait()
        assert inside == ["1 woken"]
        vigil.pass_on()
        assert woken == ["one", "one"]

    def test_a_vigil_that_is_kept_too_long_for_a_new_deadline_does_not_count(self):
        timers, _ = make()
        woken: list[str] = []

        def wait(_seconds: float | None) -> list[int]:
            timers.set(Thing(), 1)
            vigil.pass_on()
            return []

        vigil = Vigil(timers, wait, lambda: woken.append("one"))
        timers.set(Thing(), 60)
        vigil.wait()
        assert woken == ["one"]
