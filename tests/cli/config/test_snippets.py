"""This file has snippets read, and run where that can be, in the places that they are written for."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
from configparser import RawConfigParser
from pathlib import Path
from unittest.mock import patch

import pytest

from penstock.cli.config.site import Site
from penstock.cli.config.text import APACHE_MODULES, config_text
from penstock.client import Client
from tests.cli.config import running
from tests.conftest import require_binary
from tests.interop.nginx import distributed_params
from tests.interop.unprivileged import reach
from tests.interop.webserver import wait_until_served
from tests.processes import PATIENCE, Process

SCRIPT = """\
#!{python}
import penstock

{application}

penstock.serve(app)
"""


def around(server: str, snippet: str, program: str, port: int, folder: Path) -> str:
    """What a distribution has around a snippet, as far as the snippet needs it."""
    modules = next(filter(os.path.isdir, APACHE_MODULES), "")
    names = ("mpm_event", "authz_core", "alias", "env", "setenvif", "proxy", "proxy_fcgi", "fcgid")
    loaded = "".join(f"LoadModule {name}_module {modules}/mod_{name}.so\n" for name in names)
    parts = ("client_body", "fastcgi", "proxy", "scgi", "uwsgi")
    temporary = f"access_log {folder}/log;\n" + "".join(f"{part}_temp_path {folder}/{part};\n" for part in parts)
    return {
        "nginx": f"pid {folder}/pid;\nerror_log {folder}/log;\nevents {{}}\n"
        f"http {{\n{temporary}include {folder}/part;\n}}\n",
        "apache": f"ServerRoot {folder}\nServerName x\nPidFile {folder}/pid\nErrorLog {folder}/log\n{loaded}{snippet}",
        "lighttpd": f'server.document-root = "{folder}"\nserver.port = {port}\nserver.modules = ()\n{snippet}',
        "haproxy": f"defaults\n    mode http\n    timeout connect 1s\n    timeout client 1s\n{snippet}",
    }.get(server.partition("-")[0], snippet)


@pytest.mark.parametrize("server", running.COMMANDS)
@pytest.mark.parametrize("mount", ["", "/app"])
def test_a_snippet_is_understood_where_it_belongs(server, mount, program, scratch, free_port):
    folder = scratch / "state"
    running.fill(folder)
    made = running.site(server, folder, full=False, mount=mount, listen=f"127.0.0.1:{free_port}")
    snippet = config_text(server, made)
    (folder / "part").write_text(snippet)
    if server == "nginx":  # `include` is relative to the folder of the file
        (folder / "fastcgi_params").write_bytes(distributed_params(program).read_bytes())
    file = folder / "whole"
    file.write_text(around(server, snippet, program, free_port, folder))
    looked = subprocess.run(
        running.command(program, running.CHECKS[server], file), capture_output=True, text=True, check=False
    )
    assert looked.returncode == 0, looked.stderr


@pytest.mark.parametrize("server", ["apache-fcgid"])
def test_a_script_and_a_htaccess_are_enough(server, program, open_python, scratch, processes, free_port):
    site = scratch / "www" / "blog"
    site.mkdir(parents=True)
    script = site / "dispatch.fcgi"
    script.write_text(SCRIPT.format(python=open_python, application=running.HELLO))
    script.chmod(0o755)
    (site / "a.txt").write_text("a file")
    (site / ".htaccess").write_text(config_text("apache-fcgid-htaccess", Site(app=str(script), mount="/blog")))
    state = scratch / "state"
    running.fill(state)
    made = running.site("apache-fcgid", state, static=[], mount="/other", listen=f"127.0.0.1:{free_port}")
    host = (
        f"LoadModule rewrite_module {next(filter(os.path.isdir, APACHE_MODULES))}/mod_rewrite.so\n"
        f'DocumentRoot "{scratch}/www"\n<Directory "{scratch}/www">\n    Require all granted\n'
        "    AllowOverride FileInfo AuthConfig Options=ExecCGI Limit\n    Options FollowSymLinks\n</Directory>\n"
    )
    file = running.write("apache-fcgid", made, open_python)
    text = file.read_text()
    (refusal,) = [line for line in text.splitlines() if "RedirectMatch 404" in line]
    file.write_text(host + text.replace(refusal, ""))
    process = processes.start(*running.command(program, running.COMMANDS["apache-fcgid"][1], file), cwd="/")
    wait_until_served(process, free_port)
    web = running.Running(process, [], free_port, tls=False)
    assert web.get("/blog/x%20y") == (200, "", "/blog /x y")
    assert web.get("/blog/a.txt") == (200, "", "a file")
    assert web.get("/blog/") == (200, "", "/blog /")


def answer(process: Process, address: str) -> tuple[int, bytes]:
    """What an application says behind a socket that another program has opened."""
    process.wait_for("penstock .* serves ")
    with Client(address, timeout=PATIENCE) as client:
        response = client.request("GET", "/x")
        return response.status, response.body


def test_the_script_with_spawn_fcgi_serves_its_socket(spawn_fcgi, open_python, scratch, processes):
    """multiwatch, which only repeats what stands behind it, is left out."""
    folder = scratch / "a b'c"
    running.fill(folder)
    reach(folder)
    user = "www-data" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    with patch.object(sys, "executable", open_python):
        written = config_text("spawn-fcgi", Site(app=f"{folder}/blog.py", bind=f"unix:{folder}/s", user=user))
    (line,) = [line for line in written.splitlines() if "multiwatch -f" in line]
    script = folder / "run.sh"
    script.write_text(written.replace(line + "\n", ""))
    env = {"PATH": os.pathsep.join((os.environ["PATH"], os.path.dirname(spawn_fcgi)))}
    assert answer(processes.start("sh", script, env=env), f"unix:{folder}/s") == (200, b" /x")


def test_supervisor_reads_its_section_as_it_was_meant(tmp_path):
    """It is not installed here: this is how its parser, Python's own, and its `%` take the section."""
    with patch.object(sys, "executable", "/opt/a b/100%"):
        written = config_text("supervisor", Site(app="/srv/it's;/app.py", bind="unix:/run/a%b.sock"))
    parser = RawConfigParser(inline_comment_prefixes=(";", "#"), strict=True)
    parser.read_string(written)
    section = {
        key: value % {"program_name": "p", "process_num": 1}
        for key, value in parser["fcgi-program:penstock-it_s".replace("_", "-")].items()
    }
    assert section["socket"] == "unix:///run/a%b.sock"
    assert section["command"] == """'/opt/a b/100%' -m penstock serve '/srv/it'"'"'s;/app.py'"""
    assert section["process_name"] == "p_1"


def test_systemd_understands_both_units(tmp_path):
    program = require_binary("systemd-analyze")
    (tmp_path / "blog.py").write_text(running.HELLO)
    written = config_text("systemd", Site(app=f"{tmp_path}/blog.py", bind="unix:/run/a %b.sock", mount="/app"))
    units = written.split("# /etc/systemd/system/")[1:]
    for unit in units:
        name, _, text = unit.partition("\n")
        (tmp_path / name).write_text(text)
    looked = subprocess.run(
        [program, "verify", "--man=no", *sorted(tmp_path.glob("penstock-*"))],
        capture_output=True,
        text=True,
        check=False,
    )
    complaints = [line for line in looked.stderr.splitlines() if "penstock-" in line]
    assert complaints == []
