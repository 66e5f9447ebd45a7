"""This file tests how many workers are wanted, and that a broken application is not forked again and again."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from penstock.manager.plan import Workers
from penstock.manager.policy import (
    Backoff,
    Load,
    Share,
    Sizer,
    fair_share,
    may_fork,
    may_recycle,
    needed,
)

RANGES = st.tuples(st.integers(0, 40), st.integers(0, 40)).map(lambda pair: Workers(pair[0], max(1, sum(pair))))
LOADS = st.builds(Load, st.integers(0, 100), st.floats(0, 100), st.integers(0, 5000))
SHARES = st.lists(st.builds(Share, st.integers(0, 1000), st.integers(1, 64), st.floats(0, 1)), max_size=20)


class TestTheNumberThatIsWanted:
    @given(RANGES, st.lists(st.tuples(LOADS, st.floats(0, 60))), st.floats(0, 30))
    def test_is_always_within_its_limits(self, limits, looks, patience):
        sizer = Sizer(limits, patience)
        now = 0.0
        for load, pause in looks:
            now += pause
            assert limits.least <= sizer.look(load, now) <= limits.most

    @given(st.integers(1, 100), st.lists(LOADS))
    def test_of_a_fixed_pool_never_changes(self, number, loads):
        sizer = Sizer(Workers(number, number), 1.0)
        assert {sizer.look(load, now * 10.0) for now, load in enumerate(loads)} <= {number}

    @given(RANGES, LOADS)
    def test_grows_by_no_more_than_it_needs(self, limits, load):
        sizer = Sizer(limits, 10.0)
        for now in range(100):
            sizer.look(load, float(now))
        assert sizer.target == max(limits.least, needed(limits, load))

    def test_grows_in_doubling_steps(self):
        sizer = Sizer(Workers(1, 100), 10.0)
        targets = [sizer.look(Load(sizer.target, 100.0, 0), float(now)) for now in range(8)]
        assert targets == [2, 4, 8, 16, 32, 64, 96, 100]

    def test_begins_with_one_again_after_a_quiet_moment(self):
        sizer = Sizer(Workers(1, 100), 10.0)
        for now in range(4):
            sizer.look(Load(sizer.target, 100.0), float(now))
        assert sizer.look(Load(16, 14.5), 4.0) == 16  # it has what it needs, so the step is one again
        assert sizer.look(Load(16, 100.0), 5.0) == 17

    def test_shrinks_one_at_a_time_and_only_after_its_patience(self):
        sizer = Sizer(Workers(1, 8), 10.0)
        sizer.target = 4
        assert sizer.look(Load(4, 2.5), 0.0) == 4
        assert sizer.look(Load(4, 0.0), 9.9) == 4
        assert sizer.look(Load(4, 0.0), 10.0) == 3
        assert sizer.look(Load(3, 0.0), 10.5) == 2
        assert sizer.look(Load(2, 0.0), 60.0) == 1

    def test_does_not_shrink_at_once_when_nothing_is_known_of_before(self):
        sizer = Sizer(Workers(1, 8), 10.0)
        sizer.target = 6
        assert sizer.look(Load(6, 0.0), 5000.0) == 6
        assert sizer.look(Load(6, 0.0), 5009.0) == 6
        assert sizer.look(Load(6, 0.0), 5010.0) == 5

    def test_stays_while_there_is_need_now_and_then(self):
        sizer = Sizer(Workers(1, 8), 10.0)
        sizer.target = 4
        for now in range(0, 100, 5):
            assert sizer.look(Load(4, 2.5 if now % 10 else 0.0), float(now)) == 4

    def test_is_none_while_there_is_nothing_to_do_where_that_is_allowed(self):
        assert needed(Workers(0, 4), Load(1, 0.0)) == 0
        assert needed(Workers(0, 4), Load(1, 0.001)) == 1
        assert needed(Workers(0, 4), Load(0, 0.0, pending=1)) == 1

    def test_is_one_more_than_work(self):
        assert needed(Workers(1, 16), Load(4, 2.5)) == 4
        assert needed(Workers(1, 16), Load(4, 0.0)) == 1

    def test_grows_when_connections_wait(self):
        assert needed(Workers(1, 16), Load(4, 0.0, pending=3)) == 5


class TestBackoff:
    def forks(self, seconds: float, workers: int, lives: float) -> list[float]:
        """The times at which workers are forked that are ready at once and die so many seconds later."""
        backoff = Backoff()
        times: list[float] = []
        alive: list[float] = []
        for tick in range(int(seconds * 20)):
            now = tick / 20
            for _ in [end for end in alive if end <= now]:
                backoff.failed(now)
            alive = [end for end in alive if end > now]
            count = may_fork(workers - len(alive), 0, backoff, now)
            if count:
                backoff.tried(now)
            times += [now] * count
            alive += [now + lives] * count
        return times

    def test_a_broken_application_is_forked_ten_times_in_ten_seconds_and_twice_a_minute_later(self):
        for workers in (1, 2, 4, 5):
            for lives in (0.05, 0.2, 1.0):
                times = self.forks(600, workers, lives)
                assert len([time for time in times if 0 < time < 10]) <= 10
                for start in range(60, 540):
                    assert len([time for time in times if start <= time < start + 60]) <= 2

    def test_it_is_tried_for_ever(self):
        times = self.forks(600, 2, 0.1)
        assert max(later - earlier for earlier, later in pairwise(times)) <= 62

    def test_workers_that_die_together_are_one_failure(self):
        together, alone = Backoff(), Backoff()
        for _ in range(16):
            together.failed(5.0)
        alone.failed(5.0)
        assert (together.failures, together.until) == (alone.failures, alone.until)

    def test_each_failure_doubles_the_time_up_to_a_minute(self):
        backoff, now, waits = Backoff(), 0.0, []
        for _ in range(10):
            backoff.failed(now)
            waits.append(backoff.until - now)
            now = backoff.until
        assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]

    def test_no_number_of_failures_is_too_large(self):
        backoff = Backoff()
        backoff.failures = 900
        backoff.failed(1.0)
        assert backoff.until == 61.0

    def test_a_success_ends_it(self):
        backoff = Backoff()
        backoff.failed(1.0)
        backoff.reset()
        assert not backoff.active
        assert may_fork(4, 2, backoff, 1.0) == 4

    @given(st.integers(-5, 50), st.integers(0, 50), st.floats(0, 100))
    def test_after_a_failure_one_is_tried_at_a_time(self, missing, booting, now):
        backoff = Backoff()
        backoff.failed(50.0)
        assert may_fork(missing, booting, backoff, now) <= (1 if now >= 50.5 and not booting else 0)


class TestFairShare:
    @given(SHARES)
    def test_nobody_is_held_back_unless_one_has_too_much_and_another_has_time(self, shares):
        crowded = any(share.busy > 0.9 and share.connections > share.capacity for share in shares)
        free = any(share.busy < 0.6 for share in shares)
        assert bool(fair_share(shares)) == (crowded and free)

    @given(SHARES)
    def test_nobody_has_to_keep_fewer_connections_than_it_can_serve(self, shares):
        fair = fair_share(shares)
        assert not fair or all(fair >= share.capacity for share in shares)

    @given(SHARES)
    def test_what_all_may_keep_is_enough_for_the_even_share(self, shares):
        fair = fair_share(shares)
        assert not fair or fair >= sum(share.connections for share in shares) // len(shares)

    def test_who_has_all_gives_up_what_is_beyond_the_even_share(self):
        assert fair_share([Share(8, 1, 1.0), Share(0, 1, 0.0)]) == 4

    def test_without_workers_there_is_nothing_to_share(self):
        assert fair_share([]) == 0


@given(st.integers(0, 1000))
def test_a_quarter_is_replaced_at_a_time_and_at_least_one(workers):
    assert max(1, workers // 4 - 1) <= may_recycle(workers) <= max(1, workers / 4)
