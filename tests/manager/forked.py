"""This file runs a function in a forked child, for what cannot be undone in the process of the tests."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from typing import Any


def in_child(function: Callable[[], Any]) -> Any:
    """Return what the function returns, or raise what it raises, in a child that has ended by then."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        told: tuple[bool, Any]
        try:
            told = True, function()
        except BaseException as error:
            told = False, error
        try:
            os.write(writer, pickle.dumps(told))
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as answer:
        data = answer.read()
    os.waitpid(pid, 0)
    done, result = pickle.loads(data)
    if not done:
        raise result
    return result
