"""This file holds the floors to their word: who may import whom, read from the source and not from its effects."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parent.parent / "src" / "penstock"

# A module may import from its own room and from rooms on lower floors. Rooms on one floor do not know each other.
FLOORS = {
    "protocol": 1,
    "connection": 2,
    "gateways": 2,
    "server": 3,
    "client": 3,
    "testing": 3,
    "manager": 4,
    "compat": 4,
    "cli": 5,
    "__main__": 6,  # `python -m penstock` is the command line
}
# The face hands out what lies below it when asked to. All that anyone may have from it is the version.
FACE = ""
FREE_FROM_THE_FACE = {"penstock.__version__"}
# Below the command line the standard library is enough; these are used where they are installed, inside a `try`.
OPTIONAL = {"multipart", "prometheus_client", "uvloop", "wsproto"}
LAST_BARE_FLOOR = 4


def read_sources(root: Path = SOURCE) -> dict[str, str]:
    """Each module's dotted name ("penstock.protocol.spec") -> its text."""
    sources = {}
    for path in root.rglob("*.py"):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        sources[name] = path.read_text(encoding="utf-8")
    return sources


def room_of(module: str) -> str:
    """The room of penstock.protocol.spec is protocol; penstock itself is the face."""
    return [*module.split("."), FACE][1]


def imports(module: str, text: str, is_package: bool) -> Iterator[tuple[str, bool]]:
    """(dotted name, does it stand in a `try` that expects an ImportError) for every import, in functions too."""
    tree = ast.parse(text)
    guarded = {
        node
        for attempt in ast.walk(tree)
        if isinstance(attempt, ast.Try)
        and any("ImportError" in ast.dump(handler.type) for handler in attempt.handlers if handler.type)
        for statement in attempt.body
        for node in ast.walk(statement)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node in guarded) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: len(module.split(".")) - node.level + is_package]
                base = ".".join([*above, *filter(None, [node.module])])
            yield from ((f"{base}.{alias.name}", node in guarded) for alias in node.names)


def arrows(sources: Mapping[str, str]) -> Iterator[tuple[str, str, bool]]:
    """(importing module, imported name cut to a module of ours where it is one, guarded) for every import."""
    for module, text in sources.items():
        is_package = any(other.startswith(module + ".") for other in sources)
        for name, guarded in imports(module, text, is_package):
            target = name
            while target and target not in sources:
                target = target.rpartition(".")[0]
            yield module, (target if target and name not in FREE_FROM_THE_FACE else name), guarded


def wrong_arrows(sources: Mapping[str, str]) -> list[str]:
    """One line for each import that the floors forbid."""
    wrong = []
    for module, target, guarded in arrows(sources):
        room, other = room_of(module), room_of(target)
        if target.split(".")[0] != "penstock":
            top = target.split(".")[0]
            bare = room == FACE or FLOORS.get(room, 0) <= LAST_BARE_FLOOR
            if bare and top not in sys.stdlib_module_names and not (top in OPTIONAL and guarded):
                wrong.append(f"{module} imports {top}, which is not in the standard library")
        elif room == FACE or target in FREE_FROM_THE_FACE:
            continue
        elif room not in FLOORS:
            wrong.append(f"{module} lies in a room without a floor: give {room!r} one in FLOORS")
        elif other == FACE:
            wrong.append(f"{module} imports from the face of the package")
        elif room != other and FLOORS.get(other, 99) >= FLOORS[room]:
            wrong.append(f"{module} imports {target}: {room} may not know {other}")
    return wrong


def circle(sources: Mapping[str, str]) -> list[str]:
    """The modules of one circle of imports in their order, or an empty list."""
    graph: dict[str, set[str]] = {module: set() for module in sources}
    for module, target, _ in arrows(sources):
        if target in graph and target != module and room_of(module) != FACE:
            graph[module].add(target)
    done: set[str] = set()

    def walk(module: str, path: list[str]) -> list[str]:
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return []
        found = next(filter(None, (walk(target, [*path, module]) for target in sorted(graph[module]))), [])
        done.add(module)
        return found

    return next(filter(None, (walk(module, []) for module in sorted(graph))), [])


def test_no_import_leads_up_or_sideways_and_the_lower_floors_need_the_standard_library_alone():
    assert wrong_arrows(read_sources()) == []


def test_no_modules_import_each_other_in_a_circle():
    assert circle(read_sources()) == []


def test_the_reader_finds_the_modules_there_are():
    names = set(read_sources())
    assert {"penstock", "penstock.protocol", "penstock.protocol.spec"} <= names


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("penstock.protocol.spec", "import penstock.server.listen"),
        ("penstock.protocol.spec", "from penstock.server import listen"),
        ("penstock.protocol.spec", "from penstock.server.listen import Listener"),
        ("penstock.protocol.spec", "from ..server import listen"),
        ("penstock.protocol.spec", "from ..server.listen import Listener"),
        ("penstock.protocol.spec", "def late():\n    import penstock.server.listen"),
        ("penstock.protocol.spec", "from penstock import serve"),
        ("penstock.protocol.spec", "import click"),
        ("penstock.protocol.spec", "import uvloop"),
        ("penstock.protocol.spec", "try:\n    import click\nexcept ImportError:\n    pass"),
        ("penstock.client", "import penstock.server.listen"),
        ("penstock", "import click"),
        ("penstock.attic.box", "import penstock.protocol.spec"),
    ],
)
def test_a_forbidden_import_is_found_in_whatever_form_it_is_written(module, text):
    sources = {"penstock": "", "penstock.protocol": "", "penstock.protocol.spec": "", "penstock.server": ""}
    assert len(wrong_arrows(sources | {"penstock.server.listen": "", module: text})) == 1


@pytest.mark.parametrize(
    ("module", "text"),
    [
        ("penstock.server.listen", "from penstock.protocol import spec"),
        ("penstock.server.listen", "from . import poller"),
        ("penstock.server.listen", "from penstock import __version__"),
        ("penstock.server.listen", "try:\n    import uvloop\nexcept ImportError:\n    uvloop = None"),
        ("penstock.cli.main", "import click\nfrom penstock.server.poller import Poller"),
        ("penstock", "def serve():\n    from penstock.server.listen import serve"),
    ],
)
def test_an_allowed_import_is_let_pass(module, text):
    sources = {"penstock": "", "penstock.protocol": "", "penstock.protocol.spec": "", "penstock.server": ""}
    assert wrong_arrows(sources | {"penstock.server.poller": "", "penstock.cli": "", module: text}) == []


def test_a_circle_is_found_also_when_one_side_is_imported_late():
    sources = {
        "penstock.server": "",
        "penstock.server.a": "from penstock.server import b",
        "penstock.server.b": "def late():\n    from . import a",
    }
    assert circle(sources) == ["penstock.server.a", "penstock.server.b", "penstock.server.a"]
