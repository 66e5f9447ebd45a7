"""This file tests the memory that workers and their supervisor share; what a worker writes there may be anything."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.manager import scoreboard
from penstock.manager.scoreboard import Scoreboard

GET = {"REQUEST_METHOD": "GET", "REQUEST_URI": "/a?b"}
SIZE = 16 + 2 * 256  # a slot of two lanes


@pytest.fixture
def board():
    made = Scoreboard(3, 2)
    yield made
    made.close()


def scribble(board: Scoreboard, slot: int, data: bytes) -> None:
    board._memory[slot * SIZE : slot * SIZE + len(data)] = data


class TestWhatAWorkerTells:
    def test_nothing_at_first(self, board):
        assert board.read(0) == (0, 0, (), 0)

    def test_a_request_that_runs_and_then_has_run(self, board):
        lanes = board.lanes(1)
        ticket = lanes.begin(GET)
        (running,) = board.read(1).running
        assert running.line == "GET /a?b"
        assert 0 <= time.monotonic_ns() - running.began < 60e9
        lanes.end(ticket)
        score = board.read(1)
        assert (score.requests, score.running) == (1, ())
        assert score.busy > 0

    def test_is_its_own_slot_alone(self, board):
        lanes = board.lanes(1)
        lanes.end(lanes.begin(GET))
        lanes.begin(GET)
        assert board.read(0) == board.read(2) == (0, 0, (), 0)

    def test_the_longest_request_comes_first(self, board):
        lanes = board.lanes(0)
        lanes.begin(GET)
        lanes.begin({"REQUEST_METHOD": "POST", "REQUEST_URI": "/second"})
        assert [running.line for running in board.read(0).running] == ["GET /a?b", "POST /second"]

    def test_more_requests_than_lanes_are_counted_though_not_shown(self, board):
        lanes = board.lanes(0)
        tickets = [lanes.begin(GET) for _ in range(5)]
        assert len(board.read(0).running) == 2
        for ticket in tickets:
            lanes.end(ticket)
        assert board.read(0).requests == 5
        assert board.read(0).running == ()

    @given(st.lists(st.booleans(), max_size=60))
    def test_the_count_is_that_of_the_ends_in_whatever_order(self, steps):
        board = Scoreboard(1, 2)
        lanes, open_ones, ended = board.lanes(0), [], 0
        for begins in steps:
            if begins:
                open_ones.append(lanes.begin(GET))
            elif open_ones:
                lanes.end(open_ones.pop(len(open_ones) // 2))
                ended += 1
            score = board.read(0)
            assert score.requests == ended
            assert len(score.running) <= len(open_ones)
        board.close()

    def test_a_line_of_any_length_and_any_text(self, board):
        lanes = board.lanes(0)
        lanes.begin({"REQUEST_METHOD": "GET", "REQUEST_URI": "/" + "\xff\u20ac" * 1000})
        lanes.begin({})
        lines = [running.line for running in board.read(0).running]
        assert lines[0].startswith("GET /\xff?\xff?")
        assert len(lines[0]) == 231
        assert lines[1] == "- "

    def test_how_many_connections_it_has_and_may_keep(self, board):
        lanes = board.lanes(2)
        assert lanes.most_connections(7) > 1000
        assert board.read(2).connections == 7
        board.allow(2, 3)
        assert lanes.most_connections(8) == 3
        board.allow(2, 0)
        assert lanes.most_connections(8) > 1000

    def test_a_slot_is_empty_for_the_next_worker(self, board):
        lanes = board.lanes(1)
        lanes.begin(GET)
        lanes.most_connections(9)
        board.allow(1, 5)
        board.clear(1)
        assert board.read(1) == (0, 0, (), 0)
        assert board.lanes(1).most_connections(1) > 1000


class TestAHostileWorker:
    @given(st.binary(min_size=SIZE, max_size=SIZE))
    def test_nothing_that_it_writes_is_more_than_a_claim_within_bounds(self, data):
        board = Scoreboard(2, 2)
        scribble(board, 0, data)
        before = time.monotonic_ns()
        score = board.read(0)
        assert 0 <= score.requests < 2 << 48
        assert 0 <= score.busy <= 4 * time.monotonic_ns()
        assert 0 <= score.connections <= 1 << 20
        assert len(score.running) <= 2
        for running in score.running:
            assert 0 < running.began <= time.monotonic_ns()
            assert len(running.line) <= 231
        assert before <= time.monotonic_ns()
        assert board.read(1) == (0, 0, (), 0)
        board.close()

    @pytest.mark.parametrize("byte", [0x00, 0x01, 0x7F, 0x80, 0xFF])
    def test_a_slot_full_of_one_byte_is_read(self, board, byte):
        scribble(board, 1, bytes([byte]) * SIZE)
        score = board.read(1)
        assert score.requests < 2 << 48

    def test_what_has_been_counted_stays_counted_until_the_next_worker_comes(self, board):
        lanes = board.lanes(0)
        lanes.end(lanes.begin(GET))
        lanes.end(lanes.begin(GET))
        assert board.read(0).requests == 2
        scribble(board, 0, bytes(SIZE))
        assert board.read(0).requests == 2
        lanes.end(lanes.begin(GET))
        assert board.read(0).requests == 3
        board.clear(0)
        assert board.read(0).requests == 0

    def test_a_request_of_the_future_does_not_run(self, board):
        scribble(board, 0, bytes(16) + (time.monotonic_ns() + 10**12).to_bytes(8, "little"))
        assert board.read(0).running == ()


def test_each_number_lies_where_it_is_written_in_one_step():
    assert scoreboard._LANE.size == 256
    for layout in (scoreboard._LANE, scoreboard._COUNTS, scoreboard._BEGAN):
        assert layout.format.startswith("@")  # the other formats write byte by byte
    assert scoreboard._HEAD % 8 == 0
