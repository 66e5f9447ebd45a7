"""This file tests that a worker's life is complete: every state knows every event, and its laws hold."""

from __future__ import annotations

from itertools import product

import pytest

from penstock.manager.life import TABLE, Action, Event, State

CELLS = list(product(State, Event))


def test_every_state_knows_every_event_and_there_is_nothing_else():
    assert set(TABLE) == set(CELLS)


def test_who_is_gone_stays_gone_and_nothing_is_done_about_it():
    for event in Event:
        assert TABLE[State.GONE, event] == (State.GONE, Action.NOTHING)


@pytest.mark.parametrize("state", [state for state in State if state is not State.GONE])
def test_who_has_died_is_gone_and_buried_once(state):
    assert TABLE[state, Event.DIED] == (State.GONE, Action.BURY)


def test_nobody_is_buried_alive():
    assert {event for (_, event), (_, action) in TABLE.items() if action is Action.BURY} == {Event.DIED}
    assert {event for (before, event), (after, _) in TABLE.items() if after is State.GONE is not before} == {Event.DIED}


def test_nobody_goes_back():
    order = list(State)
    for (before, _), (after, _) in TABLE.items():
        assert order.index(after) >= order.index(before)


def test_who_has_been_sent_away_never_serves_again():
    for state in (State.LEAVING, State.DYING, State.GONE):
        for event in Event:
            assert TABLE[state, event][0] not in (State.BOOTING, State.SERVING)


def test_only_the_time_kills():
    kills = {cell for cell, (_, action) in TABLE.items() if action is Action.KILL}
    assert {event for _, event in kills} == {Event.OVERDUE, Event.CONDEMN}
    # A request cannot be too long before there is one, and who serves is not killed for its age.
    assert kills == {
        (State.BOOTING, Event.OVERDUE),
        (State.SERVING, Event.CONDEMN),
        (State.LEAVING, Event.OVERDUE),
        (State.LEAVING, Event.CONDEMN),
        (State.DYING, Event.OVERDUE),
    }


def test_who_is_killed_is_dying():
    for cell, (after, action) in TABLE.items():
        if action is Action.KILL:
            assert after is State.DYING, cell


def test_who_leaves_is_told_so_and_told_again_when_nobody_stays():
    for (before, event), (after, action) in TABLE.items():
        told = action in (Action.DISMISS, Action.STOP, Action.CLOSE)
        nobody_stays = before is State.LEAVING and event in (Event.STOP, Event.CLOSE)
        assert told == (nobody_stays or after is State.LEAVING is not before), (before, event)
        assert not nobody_stays or action is Action.STOP


def test_whoever_lives_is_killed_in_the_end_if_it_only_stays():
    for state in (State.BOOTING, State.LEAVING, State.DYING):
        assert TABLE[state, Event.OVERDUE] == (State.DYING, Action.KILL)
