"""This file says what a case of the matrix is: a question to a web server, and the facts that ought to come of it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.interop.matrix_site import Answer, Site

Facts = dict[str, Any]

BYTES = bytes(range(256)) * 4096


class Case(NamedTuple):
    """A row of the matrix; `interface` is set where only one kind of application can tell."""

    name: str
    run: Callable[[Site], Facts]
    facts: Facts
    interface: str = ""


class Cases(dict[str, Case]):
    """Cases by their names, in the order of the table. It is a decorator too:

    `@case("GET", status=200)` enters a function under its name, with the facts that it ought to find. They are those of
    a web server that adds nothing, loses nothing and tells everything. What a real one does instead stands in
    differences.toml. In a fact, {mount} is the prefix under which the application lives.
    """

    def __call__(self, name: str, *, interface: str = "", **facts: Any) -> Callable[[Callable[[Site], Facts]], None]:
        def enter(run: Callable[[Site], Facts]) -> None:
            self[name] = Case(name, run, facts, interface)

        return enter


def answered(answer: Answer) -> Facts:
    return {"status": answer.status, "body": answer.body.decode("latin-1")}


def echoed(answer: Answer, sent: bytes) -> Facts:
    said = answer.sent()
    same = said.get("sha256") == hashlib.sha256(sent).hexdigest()
    return {"status": answer.status, "received": said.get("length", False), "whole": same}
