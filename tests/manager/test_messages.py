"""This file tests what templates and workers tell their supervisor, and that a hostile one tells it nothing."""

from __future__ import annotations

import array
import json
import os
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.manager.messages import Message, hear, make_pair, tell

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.fixture
def pair():
    ours, theirs = make_pair()
    with ours, theirs:
        yield ours, theirs


def heard(ours: socket.socket) -> Message:
    message = hear(ours)
    assert message.event
    return message


def test_a_message_comes_with_the_number_of_the_process_that_wrote_it(pair):
    ours, theirs = pair
    assert tell(theirs, "ready", slot=3)
    assert heard(ours) == (os.getpid(), "ready", {"event": "ready", "slot": 3}, 512)


def test_the_number_is_the_kernels_and_not_what_the_message_says(pair):
    ours, theirs = pair
    theirs.send(json.dumps({"event": "ready", "pid": 1}).encode())
    assert heard(ours).pid == os.getpid()


def test_a_child_is_told_from_its_parent(pair):
    ours, theirs = pair
    pid = os.fork()
    if not pid:
        tell(theirs, "born")
        os._exit(0)
    os.waitpid(pid, 0)
    assert heard(ours).pid == pid


def test_nothing_there_is_no_end_and_the_end_is(pair):
    ours, theirs = pair
    with pytest.raises(BlockingIOError):
        hear(ours)
    theirs.close()
    with pytest.raises(EOFError):
        hear(ours)


def test_an_empty_message_is_not_the_end(pair):
    ours, theirs = pair
    theirs.send(b"")
    tell(theirs, "ready")
    assert hear(ours)[1:3] == ("", {})
    assert heard(ours).event == "ready"


@pytest.mark.parametrize(
    "data",
    [
        b"x",
        b"\xff\xfe\x00",
        b"[]",
        b"1",
        b"null",
        b'"ready"',
        b"{}",
        b'{"event": 1}',
        b'{"event": null}',
        b'{"event": ["ready"]}',
        b'{"event": "ready"',
        b"[" * 40_000,
        b'{"event": ' * 4000,
        b"9" * 40_000,
        b'{"event": "ready", "slot": ' + b"9" * 40_000 + b"}",
    ],
    ids=lambda data: repr(data[:20]),
)
def test_what_makes_no_sense_is_no_message_and_the_next_one_is(pair, data):
    ours, theirs = pair
    theirs.send(data)
    tell(theirs, "ready")
    assert hear(ours)[1:3] == ("", {})
    assert heard(ours).event == "ready"


def test_a_message_that_is_too_long_is_cut_and_so_is_none(pair):
    ours, theirs = pair
    theirs.send(b'{"event": "ready"' + b" " * 100_000 + b"}")
    assert hear(ours)[1:3] == ("", {})
    with pytest.raises(BlockingIOError):
        hear(ours)


def test_descriptors_that_come_with_a_message_are_not_taken(pair):
    ours, theirs = pair
    before = len(os.listdir("/proc/self/fd"))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    theirs.sendmsg([b'{"event": "ready"}'], rights)
    message = heard(ours)
    assert (message.event, message.pid) == ("ready", os.getpid())
    assert len(os.listdir("/proc/self/fd")) == before


@given(st.dictionaries(st.sampled_from(["slot", "pid", "names", "error"]), JSON))
def test_whatever_a_message_holds_its_readers_get_what_they_ask_for(content):
    ours, theirs = make_pair()
    with ours, theirs:
        theirs.send(json.dumps({**content, "event": "ready"}).encode()[:40_000])
        message = hear(ours)
    for name in ("slot", "pid", "names", "error"):
        assert type(message.number(name, 100)) is int
        assert -1 <= message.number(name, 100) < 100
        assert isinstance(message.text(name), str)
        assert all(isinstance(text, str) for text in message.texts(name))
        assert len(message.texts(name, 3)) <= 3


def test_true_is_no_number():
    assert Message(1, "ready", {"slot": True}).number("slot", 10) == -1


def test_a_long_text_is_cut_in_its_middle(pair):
    ours, theirs = pair
    tell(theirs, "failed", traceback="first" + "x" * 100_000 + "last")
    text = heard(ours).text("traceback")
    assert text.startswith("firstx")
    assert text.endswith("xlast")
    assert "\n[...]\n" in text
    assert len(text) < 20_000


def test_of_too_many_texts_only_the_event_is_left(pair):
    ours, theirs = pair
    assert tell(theirs, "imported", files=["x" * 100] * 1000)
    assert heard(ours).content == {"event": "imported"}


def test_who_does_not_wait_is_told_that_there_was_no_room(pair):
    _, theirs = pair
    while tell(theirs, "used up", wait=False):
        pass
    assert not tell(theirs, "used up", wait=False)


def test_a_supervisor_that_has_gone_is_no_error(pair):
    ours, theirs = pair
    ours.close()
    assert not tell(theirs, "ready")
