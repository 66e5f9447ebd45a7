"""This file holds docs/webservers to what the command prints, and runs what its pages say to type.

`PYTHONPATH=src:. python -m tests.cli.config.test_docs` writes the printed texts into the pages.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from unittest.mock import patch

import click
import pytest
from click.testing import CliRunner

from penstock.cli.config import text
from penstock.cli.config.command import command
from penstock.cli.config.servers import SERVERS
from penstock.cli.main import penstock as cli
from penstock.cli.options import SettingOption
from tests.cli.config import running
from tests.interop.unprivileged import make_scratch, reach
from tests.interop.webserver import wait_until_served
from tests.processes import PATIENCE, ROOT, find_free_port

PAGES = ROOT / "docs" / "webservers"
SHOWN = re.compile(r"```console\n\$ (penstock config [^\n]*)\n```\n\n```(\w+)\n(.*?)```\n", re.DOTALL)
TYPED = re.compile(r"## Try it\n.*?```console\n(.*?)```\n", re.DOTALL)
OPTIONS = re.compile(r"<!-- options -->\n(.*?)<!-- options: end -->", re.DOTALL)


def printed(line: str) -> str:
    """What a command prints in /srv/blog on a Debian."""
    with ExitStack() as places:
        places.enter_context(patch.object(os, "getcwd", lambda: "/srv/blog"))
        places.enter_context(patch.object(sys, "executable", "/srv/blog/venv/bin/python"))
        places.enter_context(patch.object(text, "APACHE_MODULES", text.APACHE_MODULES[:1]))
        result = CliRunner().invoke(cli, line.split()[1:])
    assert result.exit_code == 0, result.output
    return result.stdout


def options_table() -> str:
    """The options of the command, as a table."""
    context = click.Context(command)
    rows = [param.get_help_record(context) for param in command.params if isinstance(param, SettingOption)]
    return "\n".join(["| option | |", "|---|---|", *(f"| `{usage}` | {about} |" for usage, about in rows)]) + "\n"


def test_there_is_a_page_for_each_server():
    assert {path.stem for path in PAGES.glob("*.md")} == {*SERVERS, "README"}
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    assert [name for name in SERVERS if f"({name}.md)" not in index] == []


@pytest.mark.parametrize("server", SERVERS)
def test_a_page_shows_what_the_command_prints(server):
    page = (PAGES / f"{server}.md").read_text(encoding="utf-8")
    found = SHOWN.findall(page)
    assert [line.split()[2] for line, _, _ in found] == [server]
    for line, _, shown in found:
        assert shown == printed(line)


def test_the_table_of_options_is_the_help():
    found = OPTIONS.search((PAGES / "README.md").read_text(encoding="utf-8"))
    assert found
    assert found[1].strip("\n") == options_table().strip("\n")


@pytest.fixture
def folder(processes) -> Iterator[Path]:
    """An empty folder for the web server's user, with nothing in it but the application of the page."""
    made = make_scratch()
    index = (PAGES / "README.md").read_text(encoding="utf-8")
    source = re.search(r"```python\n(.*?)```", index, re.DOTALL)
    assert source
    (made / "blog.py").write_text(source[1])
    reach(made)
    yield made
    processes.end()
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def path_with_penstock(web_python) -> Iterator[str]:
    """A PATH on which `penstock` is this checkout's, run by a Python that every user can run."""
    made = make_scratch()
    python = running.make_environment(web_python, made / "env")
    program = made / "penstock"
    program.write_text(f'#!/bin/sh\nexec {python} -m penstock "$@"\n')
    program.chmod(0o755)
    yield os.pathsep.join((str(made), os.environ["PATH"], "/usr/sbin", "/sbin"))
    shutil.rmtree(made)


@pytest.mark.parametrize("server", running.COMMANDS)
def test_what_a_page_says_to_type_works(server, request, processes, folder, path_with_penstock):
    running.find_program(request, server)
    found = TYPED.search((PAGES / f"{server}.md").read_text(encoding="utf-8"))
    assert found
    ports = {"8080": str(find_free_port()), "9000": str(find_free_port())}
    block = found[1].replace(" --full", f" --listen 127.0.0.1:{ports['8080']} --full")
    for old, new in ports.items():
        block = block.replace(f"127.0.0.1:{old}", f"127.0.0.1:{new}")
    env = {"PATH": path_with_penstock, "PYTHONDONTWRITEBYTECODE": "1"}
    for line, output in re.findall(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", block, re.MULTILINE):
        if line.endswith(" &"):
            process = processes.start("sh", "-c", "exec " + line.removesuffix(" &"), cwd=folder, env=env)
            wait_until_served(process, int(ports["9000" if "serve" in line else "8080"]))
        else:
            ended = subprocess.run(
                ["sh", "-c", line],
                cwd=folder,
                env=os.environ | env,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=False,
            )
            assert (ended.returncode, ended.stdout) == (0, output), ended.stderr


def write() -> None:
    for name in SERVERS:
        page = PAGES / f"{name}.md"
        text_of_page = page.read_text(encoding="utf-8")
        filled = SHOWN.sub(
            lambda found: f"```console\n$ {found[1]}\n```\n\n```{found[2]}\n{printed(found[1])}```\n", text_of_page
        )
        page.write_text(filled, encoding="utf-8")
    index = PAGES / "README.md"
    filled = OPTIONS.sub(
        lambda _: f"<!-- options -->\n\n{options_table()}\n<!-- options: end -->", index.read_text(encoding="utf-8")
    )
    index.write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    write()
