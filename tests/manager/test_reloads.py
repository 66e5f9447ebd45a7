"""This file tests when a generation is begun: one at a time, and what is asked for meanwhile gets one of its own."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from penstock.manager import reloads as module
from penstock.manager.reloads import Reloads
from penstock.manager.systemd import Notifier


class FakeRollout:
    """A rollout that a test ends."""

    all: ClassVar[list[FakeRollout]] = []

    def __init__(self, number, pools, reactor, probation, done, taken_back) -> None:
        self.number, self.done, self.taken_back = number, done, taken_back
        self.serving = self.over = False
        FakeRollout.all.append(self)

    def begin(self) -> None:
        pass

    def end(self) -> None:
        self.over = True

    def serve(self) -> None:
        self.serving = True
        self.done("", "")

    def fail(self, error: str, traceback: str = "") -> None:
        self.over = True
        self.done(error, traceback)


@pytest.fixture
def made(monkeypatch):
    FakeRollout.all = []
    monkeypatch.setattr(module, "Rollout", FakeRollout)
    limits = SimpleNamespace(boot_timeout=1.0)
    pool = SimpleNamespace(watchman=SimpleNamespace(begin=lambda: None), plan=SimpleNamespace(limits=limits))
    house = SimpleNamespace(pools=[pool], reactor=None, probation=1.0, serves=lambda: None)
    first: list[str] = []
    world = SimpleNamespace(plan=lambda: True, first=first)
    world.reloads = Reloads(house, Notifier({}), lambda: world.plan(), lambda error, _: first.append(error))
    world.answers = []
    world.answer = lambda **content: world.answers.append(content)
    return world


def serving(made) -> Reloads:
    made.reloads.begin()
    FakeRollout.all[-1].serve()
    return made.reloads


def figures(reloads: Reloads) -> tuple[int, int, int]:
    return reloads.generation, reloads.ok, reloads.failures


def test_the_first_generation_is_no_reload(made):
    assert figures(serving(made)) == (1, 0, 0)
    assert made.first == [""]
    assert made.reloads.last is None


def test_a_first_generation_that_fails_is_followed_by_none(made):
    made.reloads.begin()
    made.reloads.ask("SIGHUP")
    FakeRollout.all[-1].fail("no such module")
    assert made.first == ["no such module"]
    assert len(FakeRollout.all) == 1


def test_a_reload_is_answered_when_it_serves(made):
    reloads = serving(made)
    reloads.ask("why", made.answer)
    assert made.answers == []
    FakeRollout.all[-1].serve()
    assert made.answers == [{"ok": True, "generation": 2}]
    assert figures(reloads) == (2, 1, 0)


def test_one_that_fails_is_answered_with_its_traceback_and_noted(made):
    reloads = serving(made)
    reloads.ask("why", made.answer)
    FakeRollout.all[-1].fail("no such module", "Traceback")
    assert made.answers == [{"ok": False, "error": "no such module", "traceback": "Traceback"}]
    assert figures(reloads) == (2, 0, 1)
    assert reloads.last is not None
    assert (reloads.last["ok"], reloads.last["error"]) == (False, "no such module")


def test_a_configuration_that_cannot_be_read_begins_nothing(made):
    reloads = serving(made)

    def broken() -> bool:
        raise ValueError("line 3")

    made.plan = broken
    reloads.ask("why", made.answer)
    assert len(FakeRollout.all) == 1
    assert not made.answers[0]["ok"]
    assert "line 3" in made.answers[0]["error"]
    assert figures(reloads) == (1, 0, 1)


def test_however_many_are_asked_for_while_one_boots_one_more_follows(made):
    reloads = serving(made)
    reloads.ask("first", made.answer)
    late: list[dict[str, Any]] = []
    for _ in range(10):
        reloads.ask("again", lambda **content: late.append(content))
    assert len(FakeRollout.all) == 2
    FakeRollout.all[-1].serve()
    assert made.answers == [{"ok": True, "generation": 2}]
    assert late == []
    assert len(FakeRollout.all) == 3
    FakeRollout.all[-1].serve()
    assert late == [{"ok": True, "generation": 3}] * 10
    assert len(FakeRollout.all) == 3


def test_one_that_is_asked_for_in_a_probation_ends_that(made):
    reloads = serving(made)
    before = FakeRollout.all[-1]
    reloads.ask("why")
    assert before.over


def test_what_other_generations_do_is_no_matter_of_the_newest(made):
    reloads = serving(made)
    reloads.ask("why", made.answer)
    stale: Any = SimpleNamespace(number=1)
    reloads.failed(stale, "late", "")
    assert made.answers == []


def test_one_that_is_taken_back_has_failed(made):
    reloads = serving(made)
    reloads.ask("why")
    FakeRollout.all[-1].serve()
    FakeRollout.all[-1].taken_back("its workers kept dying")
    assert figures(reloads) == (2, 1, 1)
    assert reloads.last is not None
    assert reloads.last["error"] == "taken back: its workers kept dying"
