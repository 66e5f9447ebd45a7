"""This file types the program in a terminal, and starts it where there is neither a terminal nor a request."""

from __future__ import annotations

import os

from tests.homes.children import NOTHING, PATH_ALONE, Starter, cgi_environ, read_all


def read_terminal(master: int) -> str:
    """Everything up to the end of the last program on the other side."""
    data = b""
    while True:
        try:
            data += os.read(master, 4096)
        except OSError:  # Linux: EIO, nobody is there any more
            break
    os.close(master)
    return data.decode().replace("\r\n", "\n")


def type_in_terminal(start: Starter, *arguments: str, env=PATH_ALONE) -> tuple[int, str]:
    master, slave = os.openpty()
    child = start(*arguments, fds=dict.fromkeys((0, 1, 2), slave), env=env)
    os.close(slave)
    text = read_terminal(master)
    return child.wait(), text


def test_get_is_answered_readably_and_the_next_step_is_named(start: Starter):
    status, text = type_in_terminal(start)
    assert status == 0
    assert text.startswith("GET / is answered like this:\n\n    200 OK\n    Content-Type: text/plain\n")
    assert "\n\n    Hello\n" in text
    assert "\n    penstock serve tests/homes/program.py --bind unix:app.sock\n" in text


def test_a_request_in_the_environment_of_a_terminal_is_no_reason_to_speak_cgi(start: Starter):
    status, text = type_in_terminal(start, env=cgi_environ("/"))
    assert (status, text[:5]) == (0, "GET /")


def test_an_async_application_is_shown_as_well(start: Starter):
    status, text = type_in_terminal(start, "--asgi")
    assert status == 0
    assert "\n    started / \n" in text.replace("/\n", "/ \n")


def test_without_a_terminal_the_same_is_written_to_standard_output(start: Starter):
    output, printed = os.pipe()
    child = start(fds={1: printed})
    os.close(printed)
    assert b"    Hello\n" in read_all(output)
    assert child.wait() == 0


def test_it_ends_quietly_when_the_reader_has_left(start: Starter):
    output, printed = os.pipe()
    os.close(output)
    child = start(fds={1: printed})
    os.close(printed)
    assert child.wait() == 1
    assert child.read_errors() == ""


def test_it_ends_well_with_nothing_open_at_all(start: Starter):
    assert start(fds=dict.fromkeys((0, 1, 2), NOTHING)).wait() == 0
