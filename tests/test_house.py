"""This file measures what keeps the house liveable: short files, short functions, and a first sentence in each file."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LONGEST_FILE = 340
LONGEST_FUNCTION = 60

# A path of one machine, or a package host that only some machines reach, has no meaning for anybody else. Their names
# are written in another way here, so that the search does not find itself.
FOLDERS = ("work", "root")
PLACES = [name.replace("_", ".") for name in ("_pyenv", "pypi_org", "registry_npmjs", "deb_debian_org")]
NOT_OURS = re.compile(rf"(?<![\w.)}}])/(?:{'|'.join(FOLDERS)})/|(?:{'|'.join(map(re.escape, PLACES))})\b")


def files_of_the_repository() -> list[Path]:
    """What git tracks or would add; outside a checkout, what a source archive holds."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    names = [name for name in listing.stdout.split("\0") if name]
    if listing.returncode != 0:
        names = [
            str(path.relative_to(ROOT))
            for folder in ("src", "tests", "tools", "bench", "examples", "docs")
            for path in (ROOT / folder).rglob("*")
            if "__pycache__" not in path.parts
        ]
    return [ROOT / name for name in sorted(names) if (ROOT / name).is_file()]


FILES = files_of_the_repository()
PYTHON_FILES = [path for path in FILES if path.suffix == ".py"]


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", PYTHON_FILES, ids=named)
def test_a_file_opens_with_a_sentence_that_says_what_belongs_in_it(path):
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, "the file has no docstring"
    # The sentence may end in a colon, with a picture or a list below it.
    assert docstring.partition("\n\n")[0].rstrip().endswith((".", ":", "?")), "its first paragraph is no sentence"


@pytest.mark.parametrize("path", PYTHON_FILES, ids=named)
def test_no_file_and_no_function_outgrows_the_bounds(path):
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= LONGEST_FILE
    functions = [
        (node.name, (node.end_lineno or 0) - node.lineno + 1)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(name, length) for name, length in functions if length > LONGEST_FUNCTION] == []


def test_nothing_names_a_place_that_only_one_machine_has():
    found = [
        f"{named(path)}:{number}: {line.strip()[:80]}"
        for path in FILES
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if NOT_OURS.search(line)
    ]
    assert found == []


def test_the_search_for_such_places_sees_them():
    for folder in FOLDERS:
        for line in (f"cd /{folder}/x", f"'/{folder}/x'"):
            assert NOT_OURS.search(line), line
        for line in (f"$document_{folder}/x", f"example.com/{folder}/x", f"/srv/net{folder}/x", f"/{folder}ed"):
            assert not NOT_OURS.search(line), line
    for place in PLACES:
        for line in (f"~/{place}/versions", f"https://{place}/simple"):
            assert NOT_OURS.search(line), line
